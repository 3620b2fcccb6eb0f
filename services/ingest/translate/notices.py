"""Converts routing events to notices for the lane of the identity that they concern."""

from typing import Final

from chapar.ingest.v1 import records_pb2
from chapar.router.v1 import records_pb2 as router_pb2

_NOTICES: Final = {
    "queued": records_pb2.INTERACTION_NOTICE_KIND_QUEUED,
    "assigned": records_pb2.INTERACTION_NOTICE_KIND_ASSIGNED,
    "completed": records_pb2.INTERACTION_NOTICE_KIND_COMPLETED,
    "abandoned": records_pb2.INTERACTION_NOTICE_KIND_ABANDONED,
    "cancelled": records_pb2.INTERACTION_NOTICE_KIND_CANCELLED,
    "customer_message_recorded": records_pb2.INTERACTION_NOTICE_KIND_MESSAGE_RECORDED,
    "customer_silent": records_pb2.INTERACTION_NOTICE_KIND_CUSTOMER_SILENT,
}


def notice_record(event: router_pb2.RoutingEvent) -> records_pb2.InboundRecord | None:
    """Return the part of a routing event that the identity's lane needs; None for events that do not concern it."""
    kind = _NOTICES.get(event.WhichOneof("event") or "")
    if kind is None or not event.interaction.identity_id:
        return None
    return records_pb2.InboundRecord(
        tenant=event.tenant,
        notice=records_pb2.InteractionNotice(
            event_id=event.event_id,
            tenant=event.tenant,
            interaction_id=event.interaction.interaction_id,
            conversation_id=event.interaction.conversation_id,
            kind=kind,
            position=event.queued.position if kind == records_pb2.INTERACTION_NOTICE_KIND_QUEUED else 0,
            estimated_wait_ms=(
                event.queued.estimated_wait_ms if kind == records_pb2.INTERACTION_NOTICE_KIND_QUEUED else -1
            ),
            occurred_at_ms=event.occurred_at_ms,
            message_id=event.customer_message_recorded.message_id,
            disposition=event.completed.disposition,
            agent_id=event.completed.agent_id,
            closes_at_ms=event.customer_silent.closes_at_ms,
        ),
    )
