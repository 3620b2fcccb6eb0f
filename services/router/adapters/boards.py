"""The queues of a pool, computed once for all callers who watch them: many watchers cost the event loop little more than one."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from chapar.router.v1 import router_pb2 as api

_KEPT: Final = 256
"""The greatest number of pools; their names come from callers, so there is a limit."""


class Boards:
    """Recent results, by tenant and pool."""

    def __init__(self, fresh_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._fresh_s = fresh_s
        self._now_s = now_s
        self._kept: OrderedDict[tuple[str, str], tuple[float, api.ListQueuesResponse]] = OrderedDict()

    async def get(
        self, tenant: str, pool: str, compute: Callable[[], Awaitable[api.ListQueuesResponse]]
    ) -> api.ListQueuesResponse:
        """Return the pool's queues, at most `fresh_s` seconds old. Callers must not change the response."""
        known = self._kept.get((tenant, pool))
        if known is not None and self._now_s() - known[0] < self._fresh_s:
            return known[1]
        found = await compute()
        self._kept[tenant, pool] = (self._now_s(), found)
        self._kept.move_to_end((tenant, pool))
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found
