"""Questions to the coordinator of a consumer group, which a cluster has only some seconds after its first start or after a broker's end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)

T = TypeVar("T")
PATIENCE_S: Final = 10.0
"""A new cluster makes the topic of its groups when the first one is looked for."""
_ASK_AGAIN_S: Final = 0.2
_NOT_YET: Final = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)


async def once_coordinated(ask: Callable[[], Awaitable[T]], within_s: float = PATIENCE_S) -> T:
    """Return the answer. Asks again for `within_s` seconds while the group has no coordinator. Raises what `ask` raises."""
    until = time.monotonic() + within_s
    while True:
        try:
            return await ask()
        except _NOT_YET:
            if time.monotonic() >= until:
                raise
        await asyncio.sleep(_ASK_AGAIN_S)
