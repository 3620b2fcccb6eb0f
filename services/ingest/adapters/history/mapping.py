"""Converts records of the log to facts. Pure: the same record gives the same fact.

Details of a story are ids, numbers and our own constants; never texts, names or native ids. PostgreSQL can't store NUL,
so it is stored as U+FFFD.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from google.protobuf.message import DecodeError

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2
from services.chassis.kafka.records import Record
from services.chassis.privacy.sealing import Keys, Unsealable, unseal
from services.ingest.adapters.history import rows
from services.ingest.adapters.history.mapping_audit import audited
from services.ingest.adapters.history.mapping_persons import WITHOUT_CONVERSATION, change_of_a_person
from services.ingest.adapters.history.mapping_routing import routed
from services.ingest.adapters.history.mapping_sla import judged
from services.ingest.adapters.history.message_template import template_column
from services.ingest.adapters.history.rows import Fact
from services.ingest.adapters.history.story import FEEDBACK, INGEST, Unreadable, clean, identifier, step, word
from services.ingest.adapters.history.text import fold
from services.ingest.domain.reasons import Reason

CONVERSATIONS: Final = "conversations.v1"
ROUTING: Final = "routing.events.v1"
DEADLINES: Final = "sla.events.v1"
DELIVERIES: Final = "deliveries.v1"
FEEDBACKS: Final = "feedback.responses.v1"
AUDIT: Final = "audit.v1"
TOPICS: Final = (CONVERSATIONS, ROUTING, DEADLINES, DELIVERIES, FEEDBACKS, AUDIT)


def fact(record: Record, keys: Keys) -> Fact | None:
    """Return the fact in a record, without personal data if the person is erased; None when history does not use the
    record. Raises Unreadable."""
    raw = record.value or b""

    def opened(message: Any) -> Any:
        unseal(message, keys, record.topic, record.key or b"")
        return message

    try:
        match record.topic:
            case "conversations.v1":
                found = _conversation(opened(records_pb2.ConversationRecord.FromString(raw)), record.offset)
            case "deliveries.v1":
                found = _delivery(opened(records_pb2.DeliveryRecord.FromString(raw)), record.offset)
            case "feedback.responses.v1":
                found = _feedback(opened(feedback_pb2.FeedbackRecord.FromString(raw)), record.offset)
            case "routing.events.v1":
                found = routed(raw, record.offset)
            case "audit.v1":
                found = audited(raw, record.offset)
            case _:
                found = judged(raw, record.offset)
    except DecodeError as error:
        raise Unreadable(Reason.UNDECODABLE) from error
    except Unsealable as error:
        raise Unreadable(Reason.UNSEALABLE) from error
    if found is not None and not (found.event.tenant and found.event.event_id):
        raise Unreadable(Reason.NO_ID)
    return found


def _conversation(record: records_pb2.ConversationRecord, offset: int) -> Fact | None:
    tenant, conversation_id = identifier(record.tenant), identifier(record.conversation_id)
    identity_id = identifier(record.identity_id)
    if not conversation_id and record.WhichOneof("record") not in WITHOUT_CONVERSATION:
        raise Unreadable(Reason.NO_ID)

    def event(kind: str, interaction_id: str = "", /, **details: str) -> rows.Event:
        return step(INGEST, record, kind, identifier(interaction_id), conversation_id, position=offset, details=details)

    match record.WhichOneof("record"):
        case "opened":
            identity = record.opened.identity
            person_id = identifier(record.opened.person_id or record.person_id)
            row = rows.Identity(
                tenant,
                identifier(identity.identity_id or record.identity_id),
                person_id,
                record.occurred_at_ms,
                clean(identity.channel),
                clean(identity.account),
                clean(identity.native_id),
                clean(identity.display_name),
                identity.verified,
                record.occurred_at_ms,
            )
            return Fact(event("ConversationOpened", channel=identity.channel), rows.Opened(row), row.identity_id)
        case "message":
            message = _message(record, offset)
            customer = message.author_kind == types_pb2.ACTOR_KIND_CUSTOMER
            author = "agent" if message.author_kind == types_pb2.ACTOR_KIND_AGENT else "author"
            details = {"channel": message.channel, "message": message.message_id}
            about = {
                "edits": message.edits_message_id,
                "deletes": message.deletes_message_id,
                "content": message.content,
            }
            details |= {name: value for name, value in about.items() if value}
            if customer and record.message.HasField("origin"):
                proof = record.message.origin.proof
                details["origin"] = word(records_pb2.OriginProof.Name, proof, "ORIGIN_PROOF_") or "unproven"
            details |= _automatic(record.message.automatic)
            details |= {"not_routed": Reason.SENDER_BLOCKED.value} if message.blocked else {}
            if not customer:
                details[author] = message.author_id
                details["purpose"] = word(records_pb2.OutboundPurpose.Name, record.message.purpose, "OUTBOUND_PURPOSE_")
            kind = _customer_kind(message) if customer else _outgoing_kind(record.message)
            written = rows.Written(message, identifier(record.person_id))
            return Fact(event(kind, message.interaction_id, **details), written, identity_id)
        case "file_settled":
            settled = record.file_settled
            file = settled.attachment
            refusal = word(records_pb2.AttachmentRefusal.Name, file.refusal, "ATTACHMENT_REFUSAL_")
            details = {"message": settled.message_id, "file": file.file_id, "refusal": refusal}
            kind = "FileStored" if file.state == records_pb2.ATTACHMENT_STATE_STORED else "FileRefused"
            return Fact(
                event(kind, settled.interaction_id, **{name: value for name, value in details.items() if value}),
                rows.FileChanged(identifier(settled.message_id), _attachment(file), offset),
                identity_id,
            )
        case "interaction_opened":
            began = record.interaction_opened
            details = {"queue": began.queue, "rule": began.rule, "message": began.message_id}
            return Fact(
                event("InteractionOpened", began.interaction_id, **details),
                rows.Began(clean(began.queue), identifier(record.person_id)),
            )
        case "interaction_closed":
            ended = record.interaction_closed
            return Fact(
                event("InteractionClosed", ended.interaction_id, outcome=ended.outcome),
                rows.Ended(clean(ended.outcome)),
            )
        case "belongs":
            moved = rows.Belongs(identity_id, identifier(record.belongs.person_id))
            return Fact(event("IdentityMoved"), moved, identity_id)
        case "preferences_set" | "sender_block":
            told, change = change_of_a_person(record, identity_id)
            return Fact(event(told, record.sender_block.interaction_id), change, identity_id)
        case "erased":
            return Fact(event("ConversationErased"), rows.Erased(identity_id, record.erased.request_id), identity_id)
    raise Unreadable(Reason.UNKNOWN_KIND)


def _customer_kind(message: rows.Message) -> str:
    """Return what the story calls a customer's message."""
    if message.edits_message_id:
        return "MessageEdited"
    if message.deletes_message_id:
        return "MessageDeleted"
    return "ReactionReceived" if message.kind == records_pb2.MESSAGE_KIND_REACTION else "MessageReceived"


def _origin(origin: records_pb2.Origin) -> dict[str, object]:
    return {
        "proof": int(origin.proof),
        "evidence": clean(origin.evidence),
        "conversation_id": identifier(origin.conversation_id),
        "author": clean(origin.author),
        "reply_to": clean(origin.reply_to),
    }


def _attachment(file: records_pb2.Attachment) -> dict[str, Any]:
    """Return a file by the names of the contract, so that the reader can give the contract's type back."""
    return {
        "content_type": clean(file.content_type),
        "name": clean(file.name),
        "size": file.size,
        "reference": clean(file.reference),
        "file_id": identifier(file.file_id),
        "owner_id": identifier(file.owner_id),
        "sha256": clean(file.sha256),
        "state": int(file.state),
        "refusal": int(file.refusal),
        "thumbnail_id": identifier(file.thumbnail_id),
    }


def _message(record: records_pb2.ConversationRecord, offset: int) -> rows.Message:
    message = record.message
    names = " ".join(attachment.name for attachment in message.attachments)
    return rows.Message(
        tenant=record.tenant,
        conversation_id=record.conversation_id,
        message_id=identifier(message.message_id or record.event_id),
        sequence=offset,
        occurred_at_ms=record.occurred_at_ms,
        identity_id=record.identity_id,
        interaction_id=identifier(message.interaction_id),
        author_kind=int(message.author_kind),
        author_id=identifier(message.author_id),
        text=clean(message.text),
        subject=clean(message.subject),
        attachments=[_attachment(each) for each in message.attachments],
        language=clean(message.language),
        channel=clean(message.channel),
        purpose=int(message.purpose),
        edits_message_id=identifier(message.edits_message_id),
        native_message_id=clean(message.native_message_id),
        folded=fold(f"{message.subject} {message.text} {names}"),
        origin=_origin(message.origin) if message.HasField("origin") else {},
        text_parts=[[int(part.kind), part.length] for part in message.text_parts],
        kind=int(message.kind),
        placeholder=int(message.placeholder),
        in_reply_to=clean(message.in_reply_to),
        content=clean(message.content),
        deletes_message_id=identifier(message.deletes_message_id),
        to_addresses=[clean(each) for each in message.to],
        cc_addresses=[clean(each) for each in message.cc],
        participant=int(message.participant),
        blocked=int(message.blocked),
        original=_attachment(message.original) if message.HasField("original") else {},
        template=template_column(message),
    )


def _outgoing_kind(message: records_pb2.ConversationMessage) -> str:
    failed = message.delivery_state in (records_pb2.DELIVERY_STATE_FAILED, records_pb2.DELIVERY_STATE_UNKNOWN)
    return "MessageWritten" if failed else "MessageSent"


_DELIVERY_KINDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        records_pb2.DELIVERY_STATE_QUEUED: "DeliveryQueued",
        records_pb2.DELIVERY_STATE_ATTEMPTING: "DeliveryStarted",
        records_pb2.DELIVERY_STATE_SENT: "DeliverySent",
        records_pb2.DELIVERY_STATE_FAILED: "DeliveryFailed",
        records_pb2.DELIVERY_STATE_UNKNOWN: "DeliveryLeftUnknown",
        records_pb2.DELIVERY_STATE_DELIVERED: "DeliveryArrived",
        records_pb2.DELIVERY_STATE_READ: "DeliveryRead",
    }
)


def _automatic(found: records_pb2.Automatic) -> dict[str, str]:
    """Return what the story says of an automatic message: its kind and signs, and for a bounce what failed. No personal
    data."""
    kind = word(types_pb2.AutomaticKind.Name, found.kind, "AUTOMATIC_KIND_")
    bounce = found.bounce
    details = {
        "automatic": kind,
        "signs": " ".join(found.evidence) if kind else "",
        "bounced_delivery": bounce.delivery_prefix,
        "bounce_status": bounce.status,
    }
    return {name: value for name, value in details.items() if value}


def _delivery(record: records_pb2.DeliveryRecord, offset: int) -> Fact | None:
    kind = _DELIVERY_KINDS.get(record.state)
    if kind is None or not record.delivery_id:
        raise Unreadable(Reason.UNKNOWN_KIND if kind is None else Reason.NO_ID)
    if record.state == records_pb2.DELIVERY_STATE_QUEUED and record.attempts:
        kind = "DeliveryDelayed"
    row = rows.Delivery(
        identifier(record.tenant),
        identifier(record.delivery_id),
        identifier(record.conversation_id),
        identifier(record.interaction_id),
        clean(record.channel),
        clean(record.account),
        int(record.state),
        record.attempts,
        clean(record.reason),
        [clean(each) for each in record.native_ids],
        int(record.purpose),
        record.occurred_at_ms,
        identifier(record.event_id),
        record.retryable,
        int(record.source),
        record.stated_at_ms,
        int(record.author_kind),
        identifier(record.author_id),
        identifier(record.invitation_id),
        identifier(record.resends_delivery_id),
        clean(record.pool),
    )
    details = {
        "channel": row.channel,
        "delivery": row.delivery_id,
        "stated_by": word(records_pb2.DeliverySource.Name, record.source, "DELIVERY_SOURCE_"),
        "retryable": "true" if row.retryable else "",
        "resends": row.resends_delivery_id,
        "attempts": str(row.attempts) if row.attempts else "",
        "purpose": word(records_pb2.OutboundPurpose.Name, record.purpose, "OUTBOUND_PURPOSE_"),
    }
    ids = (row.interaction_id, row.conversation_id)
    return Fact(step(INGEST, record, kind, *ids, position=offset, reason=record.reason, details=details), row)


def _feedback(record: feedback_pb2.FeedbackRecord, offset: int) -> Fact | None:
    tenant, at = identifier(record.tenant), record.occurred_at_ms

    def event(kind: str, about: feedback_pb2.Subject, reason: str = "", /, **details: str) -> rows.Event:
        ids = (identifier(about.interaction_id), identifier(about.conversation_id))
        return step(FEEDBACK, record, kind, *ids, position=offset, reason=reason, details=details)

    def asked(
        kind: str, of: feedback_pb2.InvitationCreated | feedback_pb2.ResponseCounted | feedback_pb2.InvitationExpired
    ) -> rows.Invitation:
        about = of.subject
        return rows.Invitation(
            tenant,
            identifier(of.invitation_id),
            identifier(about.interaction_id),
            identifier(about.conversation_id),
            identifier(about.person_id or record.person_id),
            clean(about.channel),
            clean(about.queue),
            identifier(about.agent_id),
            clean(of.survey),
            kind,
        )

    match record.WhichOneof("record"):
        case "invited":
            kind = word(config_pb2.SurveyKind.Name, record.invited.kind, "SURVEY_KIND_")
            row = asked(kind, record.invited)
            row.invited_at_ms = at
            details = {"invitation": row.invitation_id, "survey": row.survey, "kind": kind}
            return Fact(
                event("InvitationCreated", record.invited.subject, **details),
                rows.InvitationChanged(row),
                "",
                row.invitation_id,
            )
        case "due":
            invitation = record.due.invitation
            return Fact(event("InvitationFellDue", invitation.subject, invitation=invitation.invitation_id), None)
        case "answered" | "amended" as which:
            counted = record.answered if which == "answered" else record.amended.response
            kind = word(config_pb2.SurveyKind.Name, counted.kind, "SURVEY_KIND_")
            row = asked(kind, counted)
            row.state, row.score, row.answered_at_ms = "answered", counted.score, at
            row.source = word(feedback_pb2.ResponseSource.Name, counted.source, "RESPONSE_SOURCE_")
            details = {
                "invitation": row.invitation_id,
                "survey": row.survey,
                "kind": kind,
                "score": str(counted.score),
                "by": row.source,
            }
            return Fact(
                event("ResponseCounted" if which == "answered" else "ResponseAmended", counted.subject, **details),
                rows.InvitationChanged(row),
                "",
                row.invitation_id,
            )
        case "reminder":
            invitation = record.reminder.invitation
            return Fact(event("ReminderFellDue", invitation.subject, invitation=invitation.invitation_id), None)
        case "withdrawn":
            invitation = record.withdrawn.invitation
            details = {"invitation": invitation.invitation_id}
            return Fact(event("InvitationWithdrawn", invitation.subject, record.withdrawn.reason, **details), None)
        case "settled":
            first = record.settled
            return Fact(
                event("FirstContactSettled", first.subject, "RESOLVED" if first.resolved else "CAME_AGAIN"), None
            )
        case "recovery_due":
            due = record.recovery_due
            details = {"invitation": identifier(due.invitation_id), "score": str(due.score), "queue": clean(due.queue)}
            return Fact(event("RecoveryFellDue", due.subject, due.rule, **details), None)
        case "recovery_opened":
            opened = record.recovery_opened
            details = {"invitation": identifier(opened.invitation_id), "recovery": identifier(opened.interaction_id)}
            return Fact(event("RecoveryOpened", opened.subject, **details), None)
        case "expired":
            row = asked("", record.expired)
            row.state = "expired"
            details = {"invitation": row.invitation_id, "survey": row.survey}
            return Fact(
                event("InvitationExpired", record.expired.subject, **details),
                rows.InvitationChanged(row),
                "",
                row.invitation_id,
            )
        case "erased":
            return None
        case "skipped":
            about = feedback_pb2.Subject(interaction_id=record.skipped.interaction_id)
            return Fact(event("InvitationSkipped", about, record.skipped.reason), None)
        case "refused":
            invitation_id = identifier(record.refused.invitation_id)
            happened = event("ResponseRefused", feedback_pb2.Subject(), record.refused.reason, invitation=invitation_id)
            return Fact(happened, rows.Declined(invitation_id), "", invitation_id)
    raise Unreadable(Reason.UNKNOWN_KIND)
