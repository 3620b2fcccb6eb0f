"""Converts records of the log to the intake core's types and back."""

from chapar.common.v1 import types_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from services.ingest.domain import effects
from services.ingest.domain.automatic import NOT_AUTOMATIC
from services.ingest.domain.messages import (
    NO_WISHES,
    Check,
    Derive,
    Erasure,
    FollowUp,
    Identity,
    Link,
    Message,
    MessageKind,
    Notice,
    NoticeKind,
    Purpose,
    Route,
    SendRequest,
    Wishes,
)
from services.ingest.domain.origin import UNPROVEN
from services.ingest.translate.attachments import attachment, attachment_record
from services.ingest.translate.automatic import automatic, automatic_record
from services.ingest.translate.opt_outs import opt_outs
from services.ingest.translate.origin import origin, origin_record
from services.ingest.translate.templates import template_choice, template_use
from services.ingest.translate.text_parts import text_part_records, text_parts
from services.policy.reading.intake import requirements, selectors

# ---- in


def message(record: records_pb2.CustomerMessage) -> Message:
    """Convert a customer's message. Raises ValueError for a kind that this version does not know."""
    return Message(
        message_id=record.message_id,
        identity=identity(record.identity),
        native_message_id=record.native_message_id,
        revision=record.revision,
        kind=MessageKind(record.kind),
        text=record.text,
        subject=record.subject,
        attachments=tuple(attachment(each) for each in record.attachments),
        original=attachment(record.original) if record.HasField("original") else None,
        language=record.language or "und",
        sent_at_ms=record.sent_at_ms,
        received_at_ms=record.received_at_ms,
        reply_context=dict(record.reply_context),
        labels=dict(record.labels),
        automatic=automatic(record.automatic) if record.HasField("automatic") else NOT_AUTOMATIC,
        no_auto_reply=record.no_auto_reply,
        customer_left=record.customer_left,
        in_reply_to=record.in_reply_to,
        wishes=_wishes(record.wishes) if record.HasField("wishes") else NO_WISHES,
        origin=origin(record.origin) if record.HasField("origin") else UNPROVEN,
        text_parts=text_parts(record.text_parts),
        # Of a provider's object that was read in part, the text is known.
        unparsed=bool(record.raw) and not record.text,
        content=record.content,
        placeholder=record.placeholder,
        deletes=record.deletes,
        place=record.place,
        answer_to=identity(record.answer_to) if record.HasField("answer_to") else None,
        participant=record.participant,
        blocked=record.blocked,
        to=tuple(record.to),
        cc=tuple(record.cc),
    )


def _wishes(record: records_pb2.RoutingWishes) -> Wishes:
    return Wishes(record.start_at_ms, record.due_at_ms, record.preferred_agent, record.preferred_team)


def identity(record: records_pb2.Identity) -> Identity:
    """Convert an identity."""
    return Identity(
        record.identity_id,
        record.tenant,
        record.channel,
        record.account,
        record.native_id,
        record.display_name,
        record.verified,
    )


def send_request(record: records_pb2.OutboundRequest) -> SendRequest:
    """Convert a request to send. Raises ValueError for a purpose that this version does not know."""
    return SendRequest(
        request_id=record.request_id,
        identity_id=record.identity_id,
        conversation_id=record.conversation_id,
        interaction_id=record.interaction_id,
        text=record.text,
        purpose=Purpose(record.purpose),
        invitation_id=record.invitation_id,
        survey_kind=record.survey_kind,
        survey_expires_at_ms=record.survey_expires_at_ms,
        survey_amend_for_ms=record.survey_amend_for_ms,
        author_kind=int(record.author_kind),
        author_id=record.author_id,
        requested_at_ms=record.requested_at_ms,
        checked=record.checked,
        pool=record.pool,
        person_id=record.person_id,
        resends=record.resends_delivery_id,
        to=tuple(record.to),
        cc=tuple(record.cc),
        template=template_use(record.template) if record.HasField("template") else None,
        forbidden=record.forbidden,
        queue=record.queue,
        attachments=tuple(attachment(each) for each in record.attachments),
    )


def check(record: records_pb2.OwnershipCheck) -> Check:
    """Convert a question about ids."""
    return Check(
        conversation_id=record.conversation_id,
        interaction_id=record.interaction_id,
        person_id=record.person_id,
        checked=record.checked,
    )


def notice(record: records_pb2.InteractionNotice) -> Notice:
    """Convert a notice. Raises ValueError for a kind that this version does not know."""
    return Notice(
        event_id=record.event_id,
        interaction_id=record.interaction_id,
        conversation_id=record.conversation_id,
        kind=NoticeKind(record.kind),
        position=record.position,
        estimated_wait_ms=record.estimated_wait_ms,
        occurred_at_ms=record.occurred_at_ms,
        message_id=record.message_id,
        disposition=record.disposition,
        agent_id=record.agent_id,
        closes_at_ms=record.closes_at_ms,
    )


def link(record: records_pb2.IdentityLink) -> Link:
    """Convert a link."""
    return Link(
        record.request_id,
        record.home_identity_id,
        record.identity_id,
        record.confirmed,
        opt_outs(record.opt_outs),
        record.preferred_channel,
    )


def erasure(record: records_pb2.IdentityErasure) -> Erasure:
    """Convert an erasure."""
    return Erasure(record.request_id, tuple(record.conversation_ids))


def follow_up(record: records_pb2.FollowUpRequest) -> FollowUp:
    """Convert a follow-up."""
    return FollowUp(
        request_id=record.request_id,
        queue=record.queue,
        conversation_id=record.conversation_id,
        priority=record.priority,
        requirements=requirements(record.requirements),
        labels=dict(record.labels),
        reason=record.reason,
        requested_at_ms=record.requested_at_ms,
        checked=record.checked,
    )


# ---- out


def identity_record(value: Identity) -> records_pb2.Identity:
    """Convert an identity."""
    return records_pb2.Identity(
        identity_id=value.identity_id,
        tenant=value.tenant,
        channel=value.channel,
        account=value.account,
        native_id=value.native_id,
        display_name=value.display_name,
        verified=value.verified,
    )


def route_record(value: Route, *, only_if_missing: bool = False) -> records_pb2.ReplyRoute:
    """Convert a reply route."""
    return records_pb2.ReplyRoute(
        identity=identity_record(value.identity),
        context=dict(value.context),
        subject=value.subject,
        last_customer_message_at_ms=value.last_customer_message_at_ms,
        proof=records_pb2.OriginProof.ValueType(value.proof),
        only_if_missing=only_if_missing,
        no_marketing=value.no_marketing,
    )


def request_record(value: SendRequest, tenant: str) -> records_pb2.OutboundRequest:
    """Convert a request to send."""
    return records_pb2.OutboundRequest(
        request_id=value.request_id,
        tenant=tenant,
        identity_id=value.identity_id,
        conversation_id=value.conversation_id,
        interaction_id=value.interaction_id,
        text=value.text,
        purpose=records_pb2.OutboundPurpose.ValueType(value.purpose),
        invitation_id=value.invitation_id,
        survey_kind=value.survey_kind,
        survey_expires_at_ms=value.survey_expires_at_ms,
        survey_amend_for_ms=value.survey_amend_for_ms,
        author_kind=types_pb2.ActorKind.ValueType(value.author_kind),
        author_id=value.author_id,
        requested_at_ms=value.requested_at_ms,
        pool=value.pool,
        person_id=value.person_id,
        resends_delivery_id=value.resends,
        to=value.to,
        cc=value.cc,
        template=template_choice(value.template) if value.template is not None else None,
        forbidden=value.forbidden,
        queue=value.queue,
        attachments=[attachment_record(each) for each in value.attachments],
    )


def customer_message(
    value: Message, interaction_id: str, edits: str, deletes: str = ""
) -> records_pb2.ConversationMessage:
    """Convert a customer's message to the form in which its conversation keeps it."""
    return records_pb2.ConversationMessage(
        message_id=value.message_id,
        author_kind=types_pb2.ACTOR_KIND_CUSTOMER,
        author_id=value.identity.identity_id,
        interaction_id=interaction_id,
        text=value.text,
        subject=value.subject,
        attachments=[attachment_record(each) for each in value.attachments],
        original=attachment_record(value.original) if value.original is not None else None,
        language=value.language,
        channel=value.identity.channel,
        edits_message_id=edits,
        native_message_id=value.native_message_id,
        automatic=automatic_record(value.automatic) if value.automatic.silent else None,
        origin=origin_record(value.origin),
        text_parts=text_part_records(value.text_parts),
        kind=records_pb2.MessageKind.ValueType(value.kind),
        in_reply_to=value.in_reply_to,
        content=value.content,
        placeholder=value.placeholder,
        deletes_message_id=deletes,
        to=value.to,
        cc=value.cc,
        participant=value.participant,
        blocked=value.blocked,
    )


def conversation_record(
    effect: effects.ConversationStarted
    | effects.MessageRecorded
    | effects.InteractionStarted
    | effects.InteractionEnded
    | effects.ConversationForgotten,
    tenant: str,
    now_ms: int,
    derive: Derive,
) -> records_pb2.ConversationRecord:
    """Convert an effect on a conversation to a record of conversations.v1.

    The event's id derives from its subject, so a duplicate has the same id.
    """
    record = records_pb2.ConversationRecord(
        tenant=tenant,
        conversation_id=effect.conversation_id,
        person_id=effect.person_id,
        occurred_at_ms=now_ms,
    )
    match effect:
        case effects.ConversationStarted():
            record.event_id = derive("conversation-opened", effect.conversation_id)
            record.identity_id = effect.identity.identity_id
            record.opened.identity.CopyFrom(identity_record(effect.identity))
            record.opened.person_id = effect.person_id
            record.opened.place = effect.place
        case effects.MessageRecorded():
            record.event_id = derive("message", effect.message.message_id)
            record.identity_id = effect.of_identity or effect.message.identity.identity_id
            record.message.CopyFrom(
                customer_message(effect.message, effect.interaction_id, effect.edits, effect.deletes)
            )
        case effects.InteractionStarted():
            record.event_id = derive("interaction-opened", effect.interaction_id)
            record.identity_id = effect.identity_id
            record.interaction_opened.interaction_id = effect.interaction_id
            record.interaction_opened.queue = effect.queue
            # If no rule chose the queue, this field shows the reason, so that people see why the interaction is there.
            record.interaction_opened.rule = effect.rule or effect.reason
            record.interaction_opened.configuration_version = effect.configuration_version
            record.interaction_opened.message_id = effect.message_id
            record.interaction_opened.further_message_ids.extend(effect.further_message_ids)
        case effects.InteractionEnded():
            record.event_id = derive("interaction-closed", effect.interaction_id)
            record.identity_id = effect.identity_id
            record.interaction_closed.interaction_id = effect.interaction_id
            record.interaction_closed.outcome = effect.outcome
        case effects.ConversationForgotten():
            record.event_id = derive("erased", effect.conversation_id, effect.request_id)
            record.identity_id = effect.identity_id
            record.erased.request_id = effect.request_id
    return record


def routing_command(
    effect: effects.Enqueue | effects.TellMessaged | effects.TellLeft,
    tenant: str,
    now_ms: int,
    derive: Derive,
) -> router_pb2.RoutingCommand:
    """Convert an effect to a command for the router: attributes and ids, no text, no native ids."""
    command = router_pb2.RoutingCommand(
        tenant=tenant,
        pool=effect.pool,
        issued_at_ms=now_ms,
        actor_kind=types_pb2.ACTOR_KIND_CUSTOMER,
        actor_id="ingest",
    )
    match effect:
        case effects.Enqueue():
            command.command_id = derive("enqueue", effect.interaction_id)
            command.enqueue.interaction.CopyFrom(
                router_pb2.InteractionAttributes(
                    interaction_id=effect.interaction_id,
                    conversation_id=effect.conversation_id,
                    person_id=effect.person_id,
                    identity_id=effect.identity_id,
                    channel=effect.channel,
                    account=effect.account,
                    language=effect.language,
                    queue=effect.queue,
                    priority=effect.priority,
                    requirements=selectors(effect.requirements),
                    labels=dict(effect.labels),
                    arrived_at_ms=effect.arrived_at_ms,
                    rule=effect.rule or "NO_RULE_MATCHED",
                    public=effect.public,
                    start_at_ms=effect.wishes.start_at_ms,
                    due_at_ms=effect.wishes.due_at_ms,
                    preferred_agent=effect.wishes.preferred_agent,
                    preferred_team=effect.wishes.preferred_team,
                    automatic=types_pb2.AutomaticKind.ValueType(effect.automatic),
                )
            )
        case effects.TellMessaged():
            command.command_id = derive("customer-messaged", effect.interaction_id, effect.message_id)
            command.customer_messaged.interaction_id = effect.interaction_id
            command.customer_messaged.message_id = effect.message_id
            command.customer_messaged.at_ms = now_ms
            command.customer_messaged.automatic = types_pb2.AutomaticKind.ValueType(effect.automatic)
        case effects.TellLeft():
            command.command_id = derive("customer-left", effect.interaction_id, effect.message_id)
            command.customer_left.interaction_id = effect.interaction_id
    return command


def routing_key(tenant: str, pool: str) -> bytes:
    """Return the key of routing.commands.v1: each pool has one writer."""
    return f"{tenant}/{pool}".encode()


def answer_command(
    effect: effects.AnswerGiven, tenant: str, now_ms: int, derive: Derive
) -> feedback_pb2.FeedbackCommand:
    """Return the command with a survey's answer, given by a reply."""
    return feedback_pb2.FeedbackCommand(
        command_id=derive("response", effect.invitation_id, effect.message_id),
        tenant=tenant,
        person_id=effect.person_id,
        issued_at_ms=now_ms,
        response=feedback_pb2.RecordResponse(
            invitation_id=effect.invitation_id,
            score=effect.score,
            source=feedback_pb2.RESPONSE_SOURCE_REPLY,
        ),
    )
