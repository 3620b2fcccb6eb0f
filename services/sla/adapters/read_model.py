"""Read model of SlaService: the open interactions of all partitions, followed from the lanes' changelog.

Every replica follows the whole of sla.state.v1, so any replica answers any query, and a lane that moves leaves no gap
(docs/decisions/0010-sla-reads.md). It shows committed state only. Tallies and plans are kept per partition, because
each lane keeps its own; an interaction has one lane.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from itertools import islice
from typing import Final

from services.chassis.kafka.poison import Poison
from services.chassis.kafka.records import Record
from services.policy.model.business_time import BusinessTime, RoundTheClock
from services.policy.model.sla import Plan, Target
from services.sla.adapters.analytics_model import AnalyticsModel
from services.sla.domain.deadlines import Deadline, State
from services.sla.domain.interaction import TrackedInteraction
from services.sla.domain.measures import Tally, TallyKey
from services.sla.domain.tracked_interactions import CalendarOf
from services.sla.translate import state

Place = tuple[int, str, int, int]
"""Position of a deadline in the order of risk: due time of the adequate level, interaction, target, epoch."""
FIRST: Final[Place] = (0, "", 0, 0)
MOST_RANKED: Final = 10_000


class ReadModel:
    """The newest committed state. Applied and read in one event loop."""

    def __init__(self, calendar_of: CalendarOf) -> None:
        self._calendar_of = calendar_of
        self._interactions: dict[str, TrackedInteraction] = {}
        self._plans: dict[str, dict[int, Plan]] = {}
        self._tallies: dict[str, dict[tuple[int, TallyKey], Tally]] = {}
        self._by_risk: dict[str, list[Place]] = {}
        self.analytics = AnalyticsModel()
        self._open: Counter[tuple[str, str, str, Target]] = Counter()

    async def follow(self, records: AsyncGenerator[Record, None], poison: Poison) -> None:
        """Apply the records of the changelog, until cancelled."""
        async with aclosing(records):
            async for record in records:
                poison.guard(record, self.apply)

    def apply(self, record: Record) -> None:
        """Apply one record of the changelog. Keys that begin with a zero byte are the lane's own."""
        key = record.key
        if not key or key.startswith(b"\x00"):
            return
        if self.analytics.apply(record):
            return
        if record.value is None:
            self._remove(record.partition, key)
            return
        match state.decode(key, record.value):
            case TrackedInteraction() as interaction:
                self._unlist(interaction.interaction_id)
                self._interactions[interaction.interaction_id] = interaction
                self._list(interaction)
                self.analytics.follow(record.partition, interaction)
            case Plan() as plan:
                self._plans.setdefault(plan.plan_id, {})[record.partition] = plan
            case state.KeptTally() as kept:
                self._tallies.setdefault(kept.key.tenant, {})[record.partition, kept.key] = kept.tally
            case None:
                pass  # an entry of a later version

    def forecast(self, interaction: TrackedInteraction, deadline: Deadline, now_ms: int) -> tuple[float, int] | None:
        """Return the probability of a breach, and the number of outcomes from which it was learned; None unless the
        deadline is running."""
        plan = self.plan_of(interaction)
        target = plan.target(deadline.target) if plan is not None else None
        if plan is None or target is None:
            return None
        return self.analytics.forecast(interaction, deadline, target.adequate_ms, self.time_of(plan), now_ms)

    def likeliest(
        self, tenant: str, until_ms: int, queue: str, now_ms: int
    ) -> list[tuple[float, Place, TrackedInteraction, Deadline]]:
        """Return running deadlines due up to an instant, the most probable breach first; only the nearest
        `MOST_RANKED` are ranked."""
        found = [
            (-forecast[0], place, interaction, deadline)
            for place, interaction, deadline in islice(self.at_risk(tenant, FIRST, until_ms, queue), MOST_RANKED)
            if (forecast := self.forecast(interaction, deadline, now_ms)) is not None
        ]
        return sorted(found, key=lambda item: item[:2])

    def interaction(self, tenant: str, interaction_id: str) -> TrackedInteraction | None:
        """Return an interaction of this tenant, open or recently closed."""
        interaction = self._interactions.get(interaction_id)
        return interaction if interaction is not None and interaction.tenant == tenant else None

    def plan_of(self, interaction: TrackedInteraction) -> Plan | None:
        """Return the interaction's plan; None until the plan has been read."""
        return next(iter(self._plans.get(interaction.plan_id, {}).values()), None)

    def time_of(self, plan: Plan) -> BusinessTime:
        """Return the business time of the plan."""
        return RoundTheClock() if plan.calendar is None else self._calendar_of(plan.calendar)

    def at_risk(
        self, tenant: str, after: Place, until_ms: int, queue: str
    ) -> Iterator[tuple[Place, TrackedInteraction, Deadline]]:
        """Yield running deadlines due at the adequate level up to an instant, the nearest first, after a position."""
        places = self._by_risk.get(tenant, [])
        for at in range(bisect_left(places, (*after[:3], after[3] + 1)), len(places)):
            place = places[at]
            if place[0] > until_ms:
                return
            interaction = self._interactions[place[1]]
            if queue and interaction.queue != queue:
                continue
            deadline = next(d for d in interaction.deadlines if d.target == place[2] and d.epoch == place[3])
            yield place, interaction, deadline

    def tallies(self, tenant: str) -> Iterator[tuple[TallyKey, Tally]]:
        """Return all counts of a tenant, of all lanes."""
        for (_, key), tally in self._tallies.get(tenant, {}).items():
            yield key, tally

    def open(self, tenant: str, queue: str, channel: str, target: Target) -> int:
        """Return the number of open deadlines."""
        return sum(
            count
            for (of, at_queue, at_channel, kind), count in self._open.items()
            if of == tenant
            and kind is target
            and (not queue or at_queue == queue)
            and (not channel or at_channel == channel)
        )

    def _remove(self, partition: int, key: bytes) -> None:
        kind, name = key[:2], key[2:].decode("utf-8", "replace")
        if kind == b"w/":
            self._unlist(name)
            self._interactions.pop(name, None)
            self.analytics.forget(name)
        elif kind == b"p/":
            kept = self._plans.get(name, {})
            kept.pop(partition, None)
            if not kept:
                self._plans.pop(name, None)
        elif kind == b"t/":
            tally = state.tally_key_of(key)
            self._tallies.get(tally.tenant, {}).pop((partition, tally), None)

    def _list(self, interaction: TrackedInteraction) -> None:
        for place in _places(interaction):
            insort(self._by_risk.setdefault(interaction.tenant, []), place)
        for deadline in interaction.deadlines:
            if deadline.open:
                self._open[interaction.tenant, interaction.queue, interaction.channel, deadline.target] += 1

    def _unlist(self, interaction_id: str) -> None:
        interaction = self._interactions.get(interaction_id)
        if interaction is None:
            return
        places = self._by_risk.get(interaction.tenant, [])
        for place in _places(interaction):
            at = bisect_left(places, place)
            if at < len(places) and places[at] == place:
                del places[at]
        for deadline in interaction.deadlines:
            if deadline.open:
                key = (interaction.tenant, interaction.queue, interaction.channel, deadline.target)
                self._open[key] -= 1
                if not self._open[key]:
                    del self._open[key]


def _places(interaction: TrackedInteraction) -> Iterator[Place]:
    """Yield the positions of an interaction's deadlines. The last milestone is the breach of the adequate level."""
    for deadline in interaction.deadlines:
        if deadline.state is State.RUNNING:
            yield (deadline.dues[-1], interaction.interaction_id, int(deadline.target), deadline.epoch)
