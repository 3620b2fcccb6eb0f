"""Converts routing events to facts."""

from typing import Final

from chapar.router.v1 import records_pb2
from services.ingest.adapters.history.rows import Fact, Routed
from services.ingest.adapters.history.story import ROUTER, Unreadable, clean, identifier, step

_OFFER_ENDS: Final = {
    records_pb2.OFFER_END_DECLINED: "OfferDeclined",
    records_pb2.OFFER_END_EXPIRED: "OfferExpired",
    records_pb2.OFFER_END_REVOKED: "OfferRevoked",
}


def routed(raw: bytes, offset: int) -> Fact | None:
    """Return the router's decision as a fact; None for events about agents. Raises Unreadable, DecodeError."""
    record = records_pb2.RoutingEvent.FromString(raw)
    which = record.WhichOneof("event")
    if which == "agent_state_changed":
        return None
    facts = record.interaction
    interaction_id = identifier(facts.interaction_id)
    if which is None or not interaction_id:
        raise Unreadable("UNKNOWN_KIND" if which is None else "NO_ID")
    kind, state, agent_id, queue, details = _decided(which, record)
    event = step(
        ROUTER,
        record,
        kind,
        interaction_id,
        identifier(facts.conversation_id),
        position=record.epoch,
        reason=record.reason,
        details={"queue": queue or facts.queue, **details},
    )
    change = Routed(
        epoch=record.epoch,
        person_id=identifier(facts.person_id),
        channel=clean(facts.channel),
        queue=clean(queue or facts.queue),
        state=state,
        agent_id=None if agent_id is None else identifier(agent_id),
        arrived_at_ms=max(0, facts.arrived_at_ms),
    )
    return Fact(event, change)


def _decided(which: str, record: records_pb2.RoutingEvent) -> tuple[str, str | None, str | None, str, dict[str, str]]:
    """Return the kind, the new state, the agent who holds the interaction (None: unchanged), the queue (empty: the
    interaction's), and details."""
    match which:
        case "queued":
            q = record.queued
            wait = str(q.estimated_wait_ms) if q.estimated_wait_ms >= 0 else ""
            details = {
                "position": str(q.position) if q.position else "",
                "estimated_wait_ms": wait,
                "again": "yes" if q.again else "",
                "rule": record.interaction.rule,
                "priority": str(record.interaction.priority) if record.interaction.priority else "",
            }
            return "InteractionQueued", "queued", None, "", details
        case "offered":
            offered = record.offered
            details = {
                "agent": offered.agent_id,
                "offer": offered.offer_id,
                "eligible": str(offered.eligible) if offered.eligible else "",
                "considered": str(offered.considered) if offered.considered else "",
            }
            return "InteractionOffered", "offered", None, "", details
        case "offer_ended":
            e = record.offer_ended
            return _OFFER_ENDS.get(e.end, "OfferEnded"), "queued", None, "", {"agent": e.agent_id, "offer": e.offer_id}
        case "assigned":
            a = record.assigned
            details = {
                "agent": a.agent_id,
                "offer": a.offer_id,
                "waited_ms": str(a.waited_ms),
                "over_capacity": "yes" if a.over_capacity else "",
            }
            return "InteractionAssigned", "assigned", a.agent_id, "", details
        case "agent_replied":
            r = record.agent_replied
            details = {"agent": r.agent_id, "reply": r.reply_id, "first": "yes" if r.first else ""}
            return "AgentReplied", None, None, "", details
        case "customer_message_recorded":
            return "CustomerMessageRecorded", None, None, "", {"message": record.customer_message_recorded.message_id}
        case "transferred":
            t = record.transferred
            details = {"from_agent": t.from_agent_id, "to_agent": t.to_agent_id}
            return "InteractionTransferred", "queued", None, t.queue, details
        case "completed":
            c = record.completed
            return (
                "InteractionCompleted",
                "completed",
                c.agent_id,
                "",
                {"agent": c.agent_id, "disposition": c.disposition},
            )
        case "wrap_up_ended":
            return "WrapUpEnded", None, None, "", {"agent": record.wrap_up_ended.agent_id}
        case "abandoned":
            return "InteractionAbandoned", "abandoned", None, "", {"waited_ms": str(record.abandoned.waited_ms)}
        case "cancelled":
            return "InteractionCancelled", "cancelled", None, "", {}
        case "changed":
            h = record.changed
            # The agent who offers a warm transfer, or who has taken it back, holds the interaction.
            state = "assigned" if record.reason in ("WARM_TRANSFER", "TRANSFER_RECALLED") else None
            return "InteractionChanged", state, None, h.queue, {"priority": str(h.priority)}
        case "scheduled":
            at = {"start_at_ms": str(record.scheduled.start_at_ms)}
            return "InteractionScheduled", "scheduled", None, "", at
        case "overflowed":
            o = record.overflowed
            return "InteractionOverflowed", "queued", None, "", {"from_queue": o.from_queue, "rule": o.rule}
        case "parked":
            by = {"agent": record.parked.agent_id, "interrupted_by": record.parked.by}
            return "InteractionParked", None, None, "", by
        case "resumed":
            return "InteractionResumed", None, None, "", {"agent": record.resumed.agent_id}
    raise Unreadable("UNKNOWN_KIND")
