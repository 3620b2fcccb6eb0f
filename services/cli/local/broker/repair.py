"""Ends the transactions that a killed broker left open, before anything uses the broker that was started again.

A single broker that is killed loses the markers of transactions that it was just ending (docs/faults.md). Its own log still has
the outcome of each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.errors import KafkaError

from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka.transactions.coordinators import all_loaded, unfinished
from services.chassis.kafka.transactions.ending import end, recorded
from services.chassis.kafka.transactions.hanging import find, until_answered

_WITHIN_S: Final = 90.0
_LOADED_S: Final = 60.0
"""A busy machine needs long to read its coordinators' log. Until then no transaction can begin, so nothing is lost by waiting."""
_END_S: Final = 30.0
_SETTLE_S: Final = 10.0
_LOOK_AGAIN_S: Final = 0.05
_CLIENT: Final = "chapar-broker-repair"


@dataclass(frozen=True, slots=True)
class _Plain:
    """The broker itself: no settings of another cluster count."""

    bootstrap: str
    topic_prefix: str = ""

    def client_options(self) -> dict[str, Any]:
        """Return its address."""
        return {"bootstrap_servers": [self.bootstrap], "security_protocol": "PLAINTEXT"}


def end_hanging(bootstrap: str, say: Callable[[str], object]) -> None:
    """End the transactions that hang on a broker, and say which. A broker that does not answer is left as it is, and that is said too.

    Blocks, in an event loop of its own: the caller's thread may run one.
    """
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="broker-repair") as thread:
            thread.submit(lambda: asyncio.run(_end_hanging(bootstrap, say))).result()
    except (KafkaError, OSError, TimeoutError) as error:
        say(f"Kafka was killed before, and was not searched for transactions that hang: {error!r}")


async def _end_hanging(bootstrap: str, say: Callable[[str], object]) -> None:
    kafka = _Plain(bootstrap)
    async with (
        asyncio.timeout(_WITHIN_S),
        Cluster(kafka, client_id=_CLIENT, request_timeout_ms=10_000, close_timeout=3.0) as cluster,
    ):
        await _until_settled(cluster)
        hanging = [each.open for each in await find(cluster, await cluster.places_of(""), "") if each.hangs]
        outcomes = await recorded(kafka, hanging, client_id=_CLIENT)
        for each in hanging:
            where = f"{each.place[0]}/{each.place[1]} from offset {each.first_offset} on"
            if (outcome := outcomes[each].outcome) is None:
                say(f"A transaction hangs in {where}, and no outcome is recorded: see `chapar transactions list`.")
                continue
            await end(cluster, each, outcome, _END_S)
            say(
                f"A transaction that hung after Kafka was killed is ended, as its coordinator recorded: {outcome.word} in {where}."
            )


async def _until_settled(cluster: Cluster) -> None:
    """Wait until the coordinators have written the markers of what they were ending, or think so."""
    await until_answered(cluster, lambda: all_loaded(cluster, ""), _LOADED_S)
    until = time.monotonic() + _SETTLE_S
    while time.monotonic() < until:
        if not await until_answered(cluster, lambda: unfinished(cluster), _SETTLE_S):
            return
        await asyncio.sleep(_LOOK_AGAIN_S)
