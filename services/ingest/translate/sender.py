"""Converts records of outbound.v1 to the sending core's types and back; also the sender lane's changelog."""

from types import MappingProxyType
from typing import Any, Final

from chapar.common.v1 import dead_letter_pb2, types_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.chassis.keys import tenant_key
from services.ingest.domain.deliveries import (
    Delivery,
    DeliveryChanged,
    DeliveryNoticed,
    Finished,
    InvitationFailed,
    MessageRecorded,
    Outcome,
    ReplyOutcomeChanged,
    SenderConversation,
)
from services.ingest.domain.delivery_facts import DeliveryState, FactSource, Verdict
from services.ingest.domain.messages import Derive, Route, SendRequest
from services.ingest.domain.origin import OriginProof
from services.ingest.domain.reasons import Reason
from services.ingest.domain.recipients import Recipients, recipients
from services.ingest.domain.seen import Chunk
from services.ingest.translate.attachments import attachment_record
from services.ingest.translate.lanes import identity, request_record
from services.ingest.translate.templates import template_choice

_REPLY_STATES: Final = MappingProxyType(
    {
        DeliveryState.FAILED: router_pb2.REPLY_STATE_FAILED,
        DeliveryState.UNKNOWN: router_pb2.REPLY_STATE_UNKNOWN,
    }
)
THREAD_STATE: Final = b"t/"
SEEN_STATE: Final = b"s/"


def route(record: records_pb2.ReplyRoute) -> Route:
    """Convert a reply route."""
    return Route(
        identity(record.identity),
        dict(record.context),
        record.subject,
        record.last_customer_message_at_ms,
        OriginProof(record.proof),
        record.no_marketing,
    )


def finished(record: records_pb2.AttemptFinished) -> Finished:
    """Convert the outcome of an attempt. Raises ValueError for an outcome that this version does not know."""
    return Finished(
        delivery_id=record.delivery_id,
        attempt=record.attempt,
        outcome=Outcome(record.outcome),
        reason=record.reason,
        native_ids=tuple(record.native_ids),
        retry_after_ms=record.retry_after_ms,
        migrated_to=record.migrated_to,
    )


def finished_record(
    tenant: str, conversation_id: str, event: Finished, finished_at_ms: int
) -> records_pb2.OutboundRecord:
    """Convert the outcome of an attempt to a record of the sender's own input."""
    return records_pb2.OutboundRecord(
        tenant=tenant,
        conversation_id=conversation_id,
        finished=records_pb2.AttemptFinished(
            delivery_id=event.delivery_id,
            attempt=event.attempt,
            outcome=records_pb2.AttemptOutcome.ValueType(event.outcome),
            reason=event.reason,
            native_ids=event.native_ids,
            retry_after_ms=event.retry_after_ms,
            finished_at_ms=finished_at_ms,
            migrated_to=event.migrated_to,
        ),
    )


def delivery_record(
    conversation: SenderConversation, changed: DeliveryChanged, now_ms: int, derive: Derive
) -> records_pb2.DeliveryRecord:
    """Return the state of a delivery, for deliveries.v1."""
    known = conversation.route.identity if conversation.route is not None else None
    delivery, state, found = changed.delivery, changed.state, changed.verdict
    request = delivery.request
    return records_pb2.DeliveryRecord(
        delivery_id=delivery.delivery_id,
        tenant=conversation.tenant,
        conversation_id=conversation.conversation_id,
        interaction_id=request.interaction_id,
        channel=known.channel if known is not None else "",
        account=known.account if known is not None else "",
        state=records_pb2.DeliveryState.ValueType(state),
        attempts=delivery.number,
        reason=changed.reason,
        native_ids=delivery.native_ids,
        purpose=records_pb2.OutboundPurpose.ValueType(request.purpose),
        occurred_at_ms=now_ms,
        event_id=derive("delivery", delivery.delivery_id, state.name, str(delivery.number), changed.reason),
        retryable=found.retryable if found is not None and state is DeliveryState.FAILED else False,
        source=records_pb2.DeliverySource.ValueType(found.source if found is not None else FactSource.SENDER),
        stated_at_ms=found.at_ms if found is not None else 0,
        author_kind=types_pb2.ActorKind.ValueType(request.author_kind),
        author_id=request.author_id,
        invitation_id=request.invitation_id,
        resends_delivery_id=request.resends,
        pool=request.pool,
    )


def reply_outcome_command(
    conversation: SenderConversation, changed: ReplyOutcomeChanged, now_ms: int, derive: Derive
) -> router_pb2.RoutingCommand:
    """Return the command by which the router learns what became of an agent's reply."""
    delivery, found = changed.delivery, changed.verdict
    request = delivery.request
    state = router_pb2.REPLY_STATE_SENT if found.state.left else _REPLY_STATES[found.state]
    return router_pb2.RoutingCommand(
        command_id=derive("outcome", delivery.delivery_id, found.state.name, str(delivery.number), found.reason),
        tenant=conversation.tenant,
        pool=request.pool,
        issued_at_ms=now_ms,
        actor_kind=types_pb2.ACTOR_KIND_SYSTEM,
        actor_id="ingest",
        record_reply_outcome=router_pb2.RecordReplyOutcome(
            interaction_id=request.interaction_id,
            agent_id=request.author_id,
            reply_id=request.request_id,
            delivery_id=delivery.delivery_id,
            state=state,
            failure=_failure(request, found),
            retryable=found.retryable and found.state is DeliveryState.FAILED,
        ),
    )


def _failure(request: SendRequest, found: Verdict) -> str:
    """Return why a reply failed; of one that was sent, whether a template was sent in its place."""
    if not found.state.left:
        return found.reason
    return Reason.SENT_AS_TEMPLATE if request.template is not None and request.template.by_rule else ""


def delivery_notice(
    conversation: SenderConversation, noticed: DeliveryNoticed, now_ms: int
) -> records_pb2.InboundRecord:
    """Return the record by which the lane of the customer learns of a failure, or that an address works again."""
    request = noticed.delivery.request
    return records_pb2.InboundRecord(
        tenant=conversation.tenant,
        delivery_notice=records_pb2.DeliveryNotice(
            identity_id=noticed.route.identity.identity_id,
            conversation_id=conversation.conversation_id,
            interaction_id=request.interaction_id,
            queue=request.queue,
            delivery_id=noticed.delivery.delivery_id,
            purpose=records_pb2.OutboundPurpose.ValueType(request.purpose),
            state=records_pb2.DeliveryState.ValueType(noticed.state),
            reason=noticed.reason,
            address_failed=noticed.address_failed,
            occurred_at_ms=now_ms,
        ),
    )


def undeliverable_command(
    conversation: SenderConversation, failed: InvitationFailed, now_ms: int, derive: Derive
) -> feedback_pb2.FeedbackCommand:
    """Return the command by which feedback learns that an invitation did not arrive."""
    delivery, request = failed.delivery, failed.delivery.request
    return feedback_pb2.FeedbackCommand(
        command_id=derive("undeliverable", delivery.delivery_id, str(delivery.number), failed.reason),
        tenant=conversation.tenant,
        person_id=request.person_id,
        issued_at_ms=now_ms,
        undeliverable=feedback_pb2.RecordInvitationUndeliverable(
            invitation_id=request.invitation_id, delivery_id=delivery.delivery_id, reason=failed.reason
        ),
    )


def sent_message(
    conversation: SenderConversation, effect: MessageRecorded, now_ms: int, derive: Derive
) -> records_pb2.ConversationRecord:
    """Return a message to the customer as its conversation keeps it.

    The person is not known here; history knows the conversation's person.
    """
    request, where = effect.delivery.request, effect.route.identity
    sent_to = recipients(effect.route, request.to, request.cc) if where.channel == "email" else Recipients(())
    return records_pb2.ConversationRecord(
        event_id=derive("sent", effect.delivery.delivery_id),
        tenant=conversation.tenant,
        conversation_id=conversation.conversation_id,
        identity_id=where.identity_id,
        occurred_at_ms=now_ms,
        message=records_pb2.ConversationMessage(
            message_id=effect.delivery.delivery_id,
            author_kind=types_pb2.ActorKind.ValueType(request.author_kind),
            author_id=request.author_id,
            interaction_id=request.interaction_id,
            text=request.text,
            attachments=[attachment_record(each) for each in request.attachments],
            channel=where.channel,
            purpose=records_pb2.OutboundPurpose.ValueType(request.purpose),
            native_message_id=effect.delivery.native_ids[0] if effect.delivery.native_ids else "",
            delivery_state=records_pb2.DeliveryState.ValueType(effect.state),
            to=sent_to.to,
            cc=sent_to.cc,
            template=template_choice(request.template) if request.template is not None else None,
        ),
    )


def never_sent(
    outbound: records_pb2.OutboundRecord, reason: str, now_ms: int, derive: Derive
) -> records_pb2.DeliveryRecord:
    """Return the final state of a request that can no longer be carried out."""
    request = outbound.request
    delivery_id = derive(outbound.tenant, request.request_id)
    return records_pb2.DeliveryRecord(
        delivery_id=delivery_id,
        tenant=outbound.tenant,
        conversation_id=outbound.conversation_id,
        interaction_id=request.interaction_id,
        state=records_pb2.DELIVERY_STATE_FAILED,
        reason=reason,
        purpose=request.purpose,
        occurred_at_ms=now_ms,
        event_id=derive("delivery", delivery_id, "FAILED", "0", reason),
        source=records_pb2.DELIVERY_SOURCE_SENDER,
        stated_at_ms=now_ms,
        author_kind=request.author_kind,
        author_id=request.author_id,
        invitation_id=request.invitation_id,
        resends_delivery_id=request.resends_delivery_id,
        pool=request.pool,
    )


def asked_record(conversation: SenderConversation, delivery: Delivery) -> records_pb2.OutboundRecord:
    """Return the request from which a delivery was made."""
    return records_pb2.OutboundRecord(
        tenant=conversation.tenant,
        conversation_id=conversation.conversation_id,
        request=request_record(delivery.request, conversation.tenant),
    )


def dead_letter(
    conversation: SenderConversation,
    delivery: Delivery,
    asked: bytes,
    reason: str,
    lane: str,
    partition: int,
    now_ms: int,
) -> dead_letter_pb2.DeadLetter:
    """Return the dead letter of a failed send, with the sealed request, so that it can be replayed."""
    return dead_letter_pb2.DeadLetter(
        origin_topic="outbound.v1",
        origin_partition=partition,
        origin_offset=-1,
        key=tenant_key(conversation.tenant, conversation.conversation_id),
        value=asked,
        reason=reason,
        detail=f"given up after {delivery.tried} attempts",
        refused_by=lane,
        occurred_at_ms=now_ms,
        origin_timestamp_ms=delivery.asked_at_ms,
    )


class SenderState:
    """Encodes the sender lane's changelog entries."""

    def __init__(self) -> None:
        self._entries = ChangelogCodec[SenderConversation | Chunk](Any)
        self._conversations = ChangelogCodec[SenderConversation](SenderConversation)
        self._chunks = ChangelogCodec[Chunk](Chunk)

    def conversation_key(self, place: str) -> bytes:
        """Return the entry of a conversation; its place is tenant/conversation."""
        return THREAD_STATE + place.encode()

    def seen_key(self, place: str, number: int) -> bytes:
        """Return the entry of a chunk of delivery ids."""
        return SEEN_STATE + place.encode() + b"/%d" % number

    def seen_owner(self, entry: bytes) -> str:
        """Return the place of the conversation of a chunk."""
        return entry[len(SEEN_STATE) :].rpartition(b"/")[0].decode()

    def encode(self, value: SenderConversation | Chunk) -> bytes:
        """Encode an entry's value."""
        return self._entries.encode(value)

    def conversation(self, value: bytes) -> SenderConversation:
        """Decode a conversation. Raises UnknownVersion, and msgspec.MsgspecError for invalid bytes."""
        return self._conversations.decode(value)

    def chunk(self, value: bytes) -> Chunk:
        """Decode a chunk. Raises UnknownVersion, and msgspec.MsgspecError for invalid bytes."""
        return self._chunks.decode(value)
