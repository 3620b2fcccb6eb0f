"""Notices that a lane cannot read its input, or restore from its changelog, because a transaction stays open there.

Transactions of lanes last milliseconds, and the coordinator ends one whose writer died after `transaction_timeout_ms`. One that
is open for longer hangs: no one will end it, and the lane waits for ever (`transactions.hanging`).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from services.chassis.kafka.lane_dependencies import LaneDependencies
from services.chassis.kafka.open_ages import OpenAges
from services.chassis.kafka.transactions.cluster import UNREACHABLE, Cluster
from services.chassis.kafka.transactions.contents import Place
from services.chassis.kafka.transactions.hanging import ends_of, open_transactions
from services.chassis.kafka.transactions.producer import TransactionFailed

log = logging.getLogger(__name__)

_EVERY: Final = 5.0
_LOOKS: Final = 4
"""Looks at least before a transaction hangs, so that a short `hang_after` is noticed in time."""


class HangWatch:
    """The partitions of one membership that wait for a transaction. `hanging`: a sentence for each."""

    def __init__(self, parts: LaneDependencies) -> None:
        self.hanging: Mapping[int, str] = {}
        self._parts = parts
        self._ages = OpenAges()

    async def run(self, lanes: Callable[[], Mapping[int, bool]]) -> None:
        """Look for ever. `lanes` returns the partitions of this process, and whether each is live: a lane that is live needs only
        its input."""
        while True:
            await asyncio.sleep(min(_EVERY, self._parts.tuning.hang_after / _LOOKS))
            try:
                cluster = (await self._parts.writer.incarnation()).cluster
                found = await self._look(cluster, lanes())
            except (*UNREACHABLE, TransactionFailed) as error:
                log.info("open transactions of lane %s not known: %r", self._parts.spec.name, error)
                continue
            if found != self.hanging:
                for partition in found.keys() - self.hanging.keys():
                    log.critical("lane %s: %s", self._parts.spec.name, found[partition])
                self.hanging = found
                self._parts.on_assignment()

    async def _look(self, cluster: Cluster, lanes: Mapping[int, bool]) -> dict[int, str]:
        spec, prefix = self._parts.spec, self._parts.kafka.topic_prefix
        places: dict[Place, int] = {}
        for partition, live in lanes.items():
            places[prefix + spec.input, partition] = partition
            if not live:
                places[prefix + spec.changelog_topic, partition] = partition
        self._ages.keep(places)
        ends = await ends_of(cluster, places)
        now = time.monotonic()
        ages = {place: self._ages.note(place, *each, now) for place, each in ends.items()}
        late = [place for place, age in ages.items() if age > self._parts.tuning.hang_after]
        found: dict[int, str] = {}
        for place in late:
            said = await _sentence(cluster, place, ends[place][0])
            found[places[place]] = "; ".join(filter(None, (found.get(places[place]), said)))
        return found


async def _sentence(cluster: Cluster, place: Place, offset: int) -> str:
    """Say what holds readers back, without a changing number: a sentence that stays the same is said once."""
    topic, partition = place
    first = next((each for each in await open_transactions(cluster, [place]) if each.first_offset == offset), None)
    whose = (
        "a transaction" if first is None else f"the transaction of producer {first.producer_id}, epoch {first.epoch},"
    )
    return (
        f"{topic}/{partition} cannot be read from offset {offset} on: {whose} stays open there; "
        "see `chapar transactions list` and end it with `chapar transactions end`"
    )
