"""Converts routing events to facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2
from chapar.router.v1.records_pb2 import RoutingEvent
from services.ingest.adapters.history.rows import Fact, Routed
from services.ingest.adapters.history.story import ROUTER, Unreadable, clean, identifier, step, word
from services.ingest.domain.reasons import Reason

_OFFER_ENDS: Final = {
    records_pb2.OFFER_END_DECLINED: "OfferDeclined",
    records_pb2.OFFER_END_EXPIRED: "OfferExpired",
    records_pb2.OFFER_END_REVOKED: "OfferRevoked",
}


def routed(raw: bytes, offset: int) -> Fact | None:
    """Return the router's decision as a fact; None for events about agents. Raises Unreadable, DecodeError."""
    record = RoutingEvent.FromString(raw)
    which = record.WhichOneof("event")
    if which == "agent_state_changed":
        return None
    attributes = record.interaction
    interaction_id = identifier(attributes.interaction_id)
    if which is None or which not in _CHANGES:
        raise Unreadable(Reason.UNKNOWN_KIND)
    if not interaction_id:
        raise Unreadable(Reason.NO_ID)
    made = _CHANGES[which](record)
    event = step(
        ROUTER,
        record,
        made.kind,
        interaction_id,
        identifier(attributes.conversation_id),
        position=record.epoch,
        reason=record.reason,
        details={"queue": made.queue or attributes.queue, **made.details},
    )
    change = Routed(
        epoch=record.epoch,
        person_id=identifier(attributes.person_id),
        channel=clean(attributes.channel),
        queue=clean(made.queue or attributes.queue),
        state=made.state,
        agent_id=None if made.agent_id is None else identifier(made.agent_id),
        arrived_at_ms=max(0, attributes.arrived_at_ms),
    )
    return Fact(event, change)


@dataclass(frozen=True, slots=True)
class _Change:
    """What an event changes in the history of its interaction."""

    kind: str
    state: str | None = None
    """The new state; None when the event does not change it."""
    agent_id: str | None = None
    """The agent who holds the interaction; None when the event does not change it."""
    queue: str = ""
    """The new queue; empty when it is the interaction's own."""
    details: Mapping[str, str] = field(default_factory=dict)


def _queued(record: RoutingEvent) -> _Change:
    q, interaction = record.queued, record.interaction
    details = {
        "position": str(q.position) if q.position else "",
        "estimated_wait_ms": str(q.estimated_wait_ms) if q.estimated_wait_ms >= 0 else "",
        "again": "yes" if q.again else "",
        "rule": interaction.rule,
        "priority": str(interaction.priority) if interaction.priority else "",
    }
    return _Change("InteractionQueued", "queued", details=details)


def _offered(record: RoutingEvent) -> _Change:
    offered = record.offered
    details = {
        "agent": offered.agent_id,
        "offer": offered.offer_id,
        "eligible": str(offered.eligible) if offered.eligible else "",
        "considered": str(offered.considered) if offered.considered else "",
    }
    return _Change("InteractionOffered", "offered", details=details)


def _offer_ended(record: RoutingEvent) -> _Change:
    e = record.offer_ended
    kind = _OFFER_ENDS.get(e.end, "OfferEnded")
    return _Change(kind, "queued", details={"agent": e.agent_id, "offer": e.offer_id})


def _assigned(record: RoutingEvent) -> _Change:
    a = record.assigned
    details = {
        "agent": a.agent_id,
        "offer": a.offer_id,
        "waited_ms": str(a.waited_ms),
        "over_capacity": "yes" if a.over_capacity else "",
    }
    return _Change("InteractionAssigned", "assigned", a.agent_id, details=details)


def _agent_replied(record: RoutingEvent) -> _Change:
    r = record.agent_replied
    details = {"agent": r.agent_id, "reply": r.reply_id, "first": "yes" if r.first else ""}
    return _Change("AgentReplied", details=details)


_OUTCOMES: Final[Mapping[int, str]] = {
    records_pb2.REPLY_STATE_SENT: "ReplySent",
    records_pb2.REPLY_STATE_FAILED: "ReplyFailed",
    records_pb2.REPLY_STATE_UNKNOWN: "ReplyLeftUnknown",
}


def _reply_outcome(record: RoutingEvent) -> _Change:
    r = record.reply_outcome
    details = {
        "agent": r.agent_id,
        "reply": r.reply_id,
        "delivery": r.delivery_id,
        "failure": r.failure,
        "retryable": "yes" if r.retryable else "",
    }
    return _Change(_OUTCOMES.get(r.state, "ReplyOutcomeRecorded"), details=details)


def _customer_message_recorded(record: RoutingEvent) -> _Change:
    recorded = record.customer_message_recorded
    automatic = word(types_pb2.AutomaticKind.Name, recorded.automatic, "AUTOMATIC_KIND_")
    details = {"message": recorded.message_id, **({"automatic": automatic} if automatic else {})}
    return _Change("CustomerMessageRecorded", details=details)


def _customer_left(_record: RoutingEvent) -> _Change:
    return _Change("CustomerLeft")


def _customer_silent(record: RoutingEvent) -> _Change:
    return _Change("CustomerSilent", details={"closes_at_ms": str(record.customer_silent.closes_at_ms)})


def _transferred(record: RoutingEvent) -> _Change:
    t = record.transferred
    details = {"from_agent": t.from_agent_id, "to_agent": t.to_agent_id}
    return _Change("InteractionTransferred", "queued", queue=t.queue, details=details)


def _completed(record: RoutingEvent) -> _Change:
    c = record.completed
    details = {"agent": c.agent_id, "disposition": c.disposition}
    return _Change("InteractionCompleted", "completed", c.agent_id, details=details)


def _wrap_up_ended(record: RoutingEvent) -> _Change:
    return _Change("WrapUpEnded", details={"agent": record.wrap_up_ended.agent_id})


def _abandoned(record: RoutingEvent) -> _Change:
    return _Change("InteractionAbandoned", "abandoned", details={"waited_ms": str(record.abandoned.waited_ms)})


def _cancelled(_record: RoutingEvent) -> _Change:
    return _Change("InteractionCancelled", "cancelled")


def _changed(record: RoutingEvent) -> _Change:
    changed = record.changed
    # The agent who offers a warm transfer, or who has taken it back, holds the interaction.
    state = "assigned" if record.reason in ("WARM_TRANSFER", "TRANSFER_RECALLED") else None
    details = {"priority": str(changed.priority)}
    return _Change("InteractionChanged", state, queue=changed.queue, details=details)


def _scheduled(record: RoutingEvent) -> _Change:
    details = {"start_at_ms": str(record.scheduled.start_at_ms)}
    return _Change("InteractionScheduled", "scheduled", details=details)


def _overflowed(record: RoutingEvent) -> _Change:
    o = record.overflowed
    return _Change("InteractionOverflowed", "queued", details={"from_queue": o.from_queue, "rule": o.rule})


def _parked(record: RoutingEvent) -> _Change:
    return _Change("InteractionParked", details={"agent": record.parked.agent_id, "interrupted_by": record.parked.by})


def _resumed(record: RoutingEvent) -> _Change:
    return _Change("InteractionResumed", details={"agent": record.resumed.agent_id})


_CHANGES: Final[Mapping[str, Callable[[RoutingEvent], _Change]]] = {
    "queued": _queued,
    "offered": _offered,
    "offer_ended": _offer_ended,
    "assigned": _assigned,
    "agent_replied": _agent_replied,
    "reply_outcome": _reply_outcome,
    "customer_message_recorded": _customer_message_recorded,
    "customer_left": _customer_left,
    "customer_silent": _customer_silent,
    "transferred": _transferred,
    "completed": _completed,
    "wrap_up_ended": _wrap_up_ended,
    "abandoned": _abandoned,
    "cancelled": _cancelled,
    "changed": _changed,
    "scheduled": _scheduled,
    "overflowed": _overflowed,
    "parked": _parked,
    "resumed": _resumed,
}
"""The change that each event of an interaction makes."""
