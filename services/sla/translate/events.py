"""RoutingEvent -> RoutingFact, Occurrence -> SlaEvent."""

from sys import intern
from typing import Final

from google.protobuf.message import DecodeError

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as router
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.ids import derive
from services.chassis.kafka.records import InvalidRecord, Record
from services.policy.model.sla import Level, Target
from services.sla.domain.deadlines import State
from services.sla.domain.facts import OPENING, Occurrence, OccurrenceKind, RoutingFact, RoutingFactKind
from services.sla.domain.reasons import Reason

_KINDS: Final = {
    "queued": RoutingFactKind.QUEUED,
    "scheduled": RoutingFactKind.SCHEDULED,
    "assigned": RoutingFactKind.ASSIGNED,
    "agent_replied": RoutingFactKind.AGENT_REPLIED,
    "reply_outcome": RoutingFactKind.REPLY_SENT,
    "customer_message_recorded": RoutingFactKind.CUSTOMER_MESSAGED,
    "customer_left": RoutingFactKind.CUSTOMER_LEFT,
    "transferred": RoutingFactKind.MOVED,
    "overflowed": RoutingFactKind.MOVED,
    "changed": RoutingFactKind.MOVED,
    "completed": RoutingFactKind.COMPLETED,
    "abandoned": RoutingFactKind.ABANDONED,
    "cancelled": RoutingFactKind.CANCELLED,
}
"""Events without a meaning for this service (offers, wrap-up, agents' states, and events that later versions add)
are absent."""

_NEEDS_NO_AGENT: Final = frozenset({"spam", "auto_submitted"})
"""Dispositions of interactions that need no agent: they get no targets."""

_EVENT_KINDS: Final = {
    OccurrenceKind.SET: sla.SLA_EVENT_KIND_DEADLINE_SET,
    OccurrenceKind.PAUSED: sla.SLA_EVENT_KIND_PAUSED,
    OccurrenceKind.RESUMED: sla.SLA_EVENT_KIND_RESUMED,
    OccurrenceKind.WARNED: sla.SLA_EVENT_KIND_WARNED,
    OccurrenceKind.BREACHED: sla.SLA_EVENT_KIND_BREACHED,
    OccurrenceKind.MET: sla.SLA_EVENT_KIND_MET,
    OccurrenceKind.CANCELLED: sla.SLA_EVENT_KIND_CANCELLED,
    OccurrenceKind.ESCALATED: sla.SLA_EVENT_KIND_ESCALATED,
    OccurrenceKind.CHANGED: sla.SLA_EVENT_KIND_CHANGED,
    OccurrenceKind.PREDICTED: sla.SLA_EVENT_KIND_PREDICTED,
    OccurrenceKind.CORRECTED: sla.SLA_EVENT_KIND_CORRECTED,
    OccurrenceKind.REARMED: sla.SLA_EVENT_KIND_REARMED,
    OccurrenceKind.DESIRED_PASSED: sla.SLA_EVENT_KIND_DESIRED_PASSED,
}
TARGETS: Final = {
    Target.PICK_UP: config_pb2.TARGET_KIND_PICK_UP,
    Target.FIRST_RESPONSE: config_pb2.TARGET_KIND_FIRST_RESPONSE,
    Target.NEXT_RESPONSE: config_pb2.TARGET_KIND_NEXT_RESPONSE,
    Target.RESOLUTION: config_pb2.TARGET_KIND_RESOLUTION,
}
LEVELS: Final = {
    Level.NONE: sla.SLA_LEVEL_UNSPECIFIED,
    Level.DESIRED: sla.SLA_LEVEL_DESIRED,
    Level.ADEQUATE: sla.SLA_LEVEL_ADEQUATE,
}
STATES: Final = {
    State.RUNNING: sla.DEADLINE_STATE_RUNNING,
    State.PAUSED: sla.DEADLINE_STATE_PAUSED,
    State.MET: sla.DEADLINE_STATE_MET,
    State.BREACHED: sla.DEADLINE_STATE_BREACHED,
    State.CANCELLED: sla.DEADLINE_STATE_CANCELLED,
}
ACTOR: Final = "sla"
ORDERED: Final = "SLA_DUE"
_NEAR_MS: Final = 5 * 366 * 86_400_000
"""No event may be further than this from the time at which it was written, because calendars are calculated as far
as they are asked for."""


def fact_of(record: Record) -> RoutingFact | None:
    """Return what a record of routing.events.v1 means here; None if it has no meaning. Raises InvalidRecord for a
    record that cannot be understood."""
    if record.value is None:
        raise InvalidRecord(Reason.UNDECODABLE)
    try:
        event = router.RoutingEvent.FromString(record.value)
    except DecodeError as error:
        raise InvalidRecord(Reason.UNDECODABLE, "not a chapar.router.v1.RoutingEvent") from error
    name = event.WhichOneof("event")
    kind = _KINDS.get(name or "")
    if kind is None:
        return None
    outcome = event.reply_outcome
    if kind is RoutingFactKind.AGENT_REPLIED:
        if not event.agent_replied.agent_id:
            return None  # no person wrote it: an acknowledgement, a bot's text
        if event.agent_replied.awaits_outcome:
            kind = RoutingFactKind.REPLY_WRITTEN
    if kind is RoutingFactKind.REPLY_SENT and outcome.state != router.REPLY_STATE_SENT:
        kind = RoutingFactKind.REPLY_FAILED  # also when it is not known whether it was sent: the clock goes on
    if kind is RoutingFactKind.CUSTOMER_MESSAGED and event.customer_message_recorded.automatic:
        return None  # no person wrote it: an out-of-office notice, a bounce
    reason = outcome.failure
    if kind is RoutingFactKind.COMPLETED and event.completed.disposition in _NEEDS_NO_AGENT:
        kind, reason = RoutingFactKind.CANCELLED, event.completed.disposition.upper()
    about = event.interaction
    if not (event.event_id and event.tenant and about.interaction_id):
        raise InvalidRecord(Reason.INCOMPLETE, "event_id, tenant and interaction are required")
    now = event.occurred_at_ms
    start_at = event.scheduled.start_at_ms
    for at_ms in (now, about.arrived_at_ms or now, start_at or now):
        if abs(at_ms - record.timestamp_ms) > _NEAR_MS:
            raise InvalidRecord(Reason.TIME_OUT_OF_RANGE, "more than five years from the time at which it was written")
    return RoutingFact(
        kind=kind,
        event_id=event.event_id,
        # A million interactions share a few names: each name is kept once.
        tenant=intern(event.tenant),
        pool=intern(event.pool),
        interaction_id=about.interaction_id,
        conversation_id=about.conversation_id,
        # After a transfer, the attributes may still name the queue that the interaction has left.
        queue=intern(event.transferred.queue or event.changed.queue or about.queue),
        channel=intern(about.channel),
        tier=about.labels.get("tier", ""),
        occurred_at_ms=event.occurred_at_ms,
        arrived_at_ms=about.arrived_at_ms,
        epoch=event.epoch,
        agent_id=event.assigned.agent_id or event.agent_replied.agent_id or outcome.agent_id,
        again=event.queued.again,
        language=about.language,
        priority=about.priority,
        # Only facts that open an interaction need labels: sorting the labels of every event costs more than applying
        # it.
        labels=tuple(sorted(about.labels.items())) if kind in OPENING else (),
        start_at_ms=start_at,
        due_at_ms=about.due_at_ms,
        reason=reason,
        reply_id=event.agent_replied.reply_id or outcome.reply_id,
        person_id=about.person_id,
        estimated_p50_ms=event.queued.estimated_wait_ms if kind is RoutingFactKind.QUEUED else -1,
        estimated_p90_ms=event.queued.estimated_p90_ms if kind is RoutingFactKind.QUEUED else -1,
        disposition=event.completed.disposition if kind is RoutingFactKind.COMPLETED else "",
    )


def event_of(occurrence: Occurrence) -> sla.SlaEvent:
    """Return the record of sla.events.v1."""
    o = occurrence
    event = sla.SlaEvent(
        event_id=derive("sla", o.tenant, o.cause, str(o.ordinal)),
        tenant=o.tenant,
        pool=o.pool,
        interaction_id=o.interaction_id,
        conversation_id=o.conversation_id,
        queue=o.queue,
        channel=o.channel,
        policy=o.policy,
        target=TARGETS[o.target],
        epoch=o.epoch,
        kind=_EVENT_KINDS[o.kind],
        level=LEVELS[o.level],
        desired_at_ms=o.desired_at_ms,
        adequate_at_ms=o.adequate_at_ms,
        share=o.share,
        occurred_at_ms=o.occurred_at_ms,
        used_ms=o.used_ms,
        escalate_priority=o.escalate_priority,
        reason=o.reason,
        agent_id=o.agent_id,
        warning=o.warning,
        orders_queue=o.orders_queue,
        probability=o.probability,
    )
    if o.action is not None:
        event.action.add_priority = o.action.add_priority
        event.action.queue = o.action.queue
        event.action.webhook = o.action.webhook
        event.action.supervisor = o.action.supervisor
        for raw in o.action.requirements:
            event.action.requirements.add().MergeFromString(raw)
    return event


def order_of(occurrence: Occurrence, event_id: str) -> router.RoutingCommand:
    """Return the command that gives the router the pick-up deadline."""
    o = occurrence
    return router.RoutingCommand(
        command_id=derive("sla", "order", event_id),
        tenant=o.tenant,
        pool=o.pool,
        issued_at_ms=o.occurred_at_ms,
        actor_kind=types_pb2.ACTOR_KIND_SYSTEM,
        actor_id=ACTOR,
        reprioritise=router.Reprioritise(interaction_id=o.interaction_id, reason=ORDERED, due_at_ms=o.adequate_at_ms),
    )
