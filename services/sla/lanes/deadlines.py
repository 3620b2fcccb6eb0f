"""The deadline lane: routing.events.v1 in, sla.events.v1 out, and all state of open interactions in sla.state.v1.

Order of a batch: first the records, each at its own time; then, in `end`, the timers up to the lane's watermark: a deadline
is decided when the lane has handled everything that was in the log `settle_ms` after it was due. So a reply that was given
in time counts, also when its event waited in the log. `advance` itself only wakes the lane up.
Last, a portion of the open interactions is checked against a new configuration. The results are in the changelog, and
so is the version when all are done.

A deadline that orders a queue goes to the router as a command in the same transaction: exactly once, and without a
call.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.lane import Followed, LaneContext, LaneSpec, Outbox, Processor, ProcessorFactory, Record
from services.chassis.keys import tenant_key
from services.policy.model.business_time import NEVER_MS
from services.policy.model.sla import Plan, PolicyList
from services.sla.domain.analytics import WEEK_MS, Analytics, Noted
from services.sla.domain.engine import Engine
from services.sla.domain.facts import Occurrence, RoutingFactKind
from services.sla.domain.forecasting import DEFAULT_LIMITS, ForecastLimits
from services.sla.domain.interaction import TrackedInteraction
from services.sla.domain.policy_changes import PolicyChanges
from services.sla.domain.tracked_interactions import CalendarOf, TrackedInteractions
from services.sla.ports import OnCommitted
from services.sla.translate import analytics_state, state
from services.sla.translate.events import event_of, fact_of, order_of

SPEC: Final = LaneSpec(name="sla", input="routing.events.v1", changelog="sla.state.v1", group="sla")
EVENTS: Final = "sla.events.v1"
COMMANDS: Final = "routing.commands.v1"
_AT_ONCE: Final = 2_000
"""Interactions checked against a new configuration in one batch, or a tenth of them if all change: some tens of
milliseconds."""
_LOOK_MS: Final = 1_000
"""How often the configuration is checked when nothing else happens."""


class DeadlineProcessor:
    """A `Processor`: the engine of one partition and its position in the log."""

    def __init__(
        self,
        tracked: TrackedInteractions,
        settle_ms: int,
        policies: Callable[[], Mapping[str, PolicyList]],
        on_committed: OnCommitted,
        analytics: Analytics | None = None,
        measured: Callable[[list[Noted]], None] | None = None,
    ) -> None:
        """`settle_ms`: time for an event to reach the log after it happened. `policies`: returns the running
        configuration, by tenant; called once a batch. `on_committed` and `measured`: called with what was committed."""
        self.tracked = tracked
        self.analytics = Analytics(tracked, 600_000) if analytics is None else analytics
        self._engine = Engine(tracked)
        self._policy_changes = PolicyChanges(tracked)
        self._settle_ms = settle_ms
        self._until_ms = 0
        self._policies = policies
        self._in_force: Mapping[str, PolicyList] = {}
        self._on_committed = on_committed
        self._measured = measured
        self._now_ms = 0

    def restore(self, key: bytes, value: bytes) -> None:
        """See Processor."""
        match state.decode(key, value):
            case TrackedInteraction() as interaction:
                self.tracked.restore_interaction(interaction)
            case Plan() as plan:
                self.tracked.restore_plan(plan)
            case state.KeptTally() as kept:
                self.tracked.restore_tally(kept.key, kept.tally)
            case state.KeptVersion() as at:
                self.tracked.restore_version(at.tenant, at.version)
            case None if analytics_state.restore(self.analytics, key, value):
                pass
            case None:
                raise ValueError(f"an entry of {SPEC.changelog_topic} has a key of an unknown kind: {key[:2]!r}")

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """See Processor."""
        self._now_ms = now_ms
        self.analytics.restored()

    def begin(self, now_ms: int) -> None:
        """See Processor. Takes the configuration that is in force for the whole batch."""
        self._now_ms = self._until_ms = now_ms
        self._in_force = self._policies()

    def follow(self, followed: Followed) -> None:
        """See Follower."""
        self._until_ms = followed.until_ms

    def handle(self, record: Record, outbox: Outbox) -> None:
        """See Processor."""
        fact = fact_of(record)
        if fact is None:
            return
        policies = self._in_force.get(fact.tenant)
        if policies is not None and fact.disposition in policies.spam:
            fact = replace(fact, kind=RoutingFactKind.CANCELLED, reason="SPAM")  # no customer waited for an answer
        found = self._engine.handle(fact, policies.policies if policies else (), self._now_ms)
        self._emit(found + self.analytics.observe(fact, found, self._now_ms), outbox)

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """See Processor. Timers fire in `end`, after the batch's records."""

    def end(self, outbox: Outbox) -> None:
        """See Processor."""
        until = self._until_ms - self._settle_ms
        found = self._engine.advance(until, self._now_ms)
        found += self._policy_changes.look(self._in_force, self._now_ms, _AT_ONCE)
        found += self.analytics.look(found, self._now_ms)
        self._emit(found + self.analytics.advance(until, self._now_ms), outbox)
        changes, tracked = self.tracked.take_changes(), self.tracked
        # Plans first, so that a reader of the changelog meets a plan before the interactions that use it.
        for plan_id in changes.plans:
            plan = tracked.plans.get(plan_id)
            _put(outbox, state.plan_key(plan_id), state.encode(plan) if plan else None)
        for interaction_id in changes.interactions:
            interaction = tracked.interactions.get(interaction_id)
            _put(outbox, state.interaction_key(interaction_id), state.encode(interaction) if interaction else None)
        for key in changes.tallies:
            tally = tracked.tallies.get(key)
            _put(outbox, state.tally_key(key), state.encode(tally) if tally else None)
        for tenant in changes.versions:
            _put(outbox, state.version_key(tenant), state.encode(tracked.versions[tenant]))
        noted, self.analytics.noted = self.analytics.noted, []
        if noted and (measured := self._measured) is not None:
            outbox.after_commit(lambda: measured(noted))
        for name, value in analytics_state.changes(self.analytics):
            _put(outbox, name, value)

    def next_wakeup(self) -> int | None:
        """See Processor."""
        if self._policy_changes.busy:
            return self._now_ms + 1
        wanted = [at for at in (self.tracked.next_wakeup(), self.analytics.next_wakeup()) if at is not None]
        times = [at + self._settle_ms for at in wanted]
        if self.tracked.interactions:
            times.append(self._now_ms + _LOOK_MS)
        return min(times, default=None)

    def _emit(self, occurrences: list[Occurrence], outbox: Outbox) -> None:
        if not occurrences:
            return
        for occurrence in occurrences:
            event = event_of(occurrence)
            headers = record_headers(EVENTS, event.event_id, event.tenant)
            key = tenant_key(event.tenant, event.conversation_id)
            outbox.send(EVENTS, key, event.SerializeToString(deterministic=True), headers)
            if occurrence.orders_queue and occurrence.adequate_at_ms < NEVER_MS:
                command = order_of(occurrence, event.event_id)
                key = tenant_key(command.tenant, command.pool)
                headers = record_headers(COMMANDS, command.command_id, command.tenant)
                outbox.send(COMMANDS, key, command.SerializeToString(deterministic=True), headers)
        outbox.after_commit(lambda: self._on_committed(occurrences))


def _put(outbox: Outbox, key: bytes, value: bytes | None) -> None:
    if value is None:
        outbox.delete(key)
    else:
        outbox.put(key, value)


def factory(
    calendar_of: CalendarOf,
    policies: Callable[[], Mapping[str, PolicyList]],
    on_committed: OnCommitted,
    *,
    forget_after_ms: int,
    settle_ms: int,
    contacts_kept_ms: int = 2 * WEEK_MS,
    measured: Callable[[list[Noted]], None] | None = None,
    forecasts: ForecastLimits = DEFAULT_LIMITS,
) -> ProcessorFactory:
    """Return a function that builds the processor of a partition."""

    def make(_context: LaneContext) -> Processor:
        tracked = TrackedInteractions(calendar_of, forget_after_ms)
        analytics = Analytics(tracked, forget_after_ms, contacts_kept_ms, forecasts=forecasts)
        return DeadlineProcessor(tracked, settle_ms, policies, on_committed, analytics, measured)

    return make
