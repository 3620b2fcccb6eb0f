"""Protobuf to domain and back. What cannot be understood raises `Untranslatable`; nothing is guessed."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from google.protobuf.message import DecodeError

from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from services.feedback.domain import invitations as inv
from services.feedback.domain.comments import clean_comment
from services.feedback.domain.survey import DEFAULT_EXPIRES_AFTER_MS, Kind, Programme, Subject, Survey

MAX_RECORD_BYTES: Final = 256 << 10

_KIND_OF: Final[Mapping[int, Kind]] = MappingProxyType(
    {config.SURVEY_KIND_CSAT: Kind.CSAT, config.SURVEY_KIND_NPS: Kind.NPS, config.SURVEY_KIND_CES: Kind.CES}
)
_KIND_TO: Final[Mapping[Kind, "config.SurveyKind.ValueType"]] = MappingProxyType(
    {
        Kind.CSAT: config.SURVEY_KIND_CSAT,
        Kind.NPS: config.SURVEY_KIND_NPS,
        Kind.CES: config.SURVEY_KIND_CES,
    }
)
_SOURCE_OF: Final[Mapping[int, inv.Source]] = MappingProxyType(
    {
        pb.ANSWER_SOURCE_PAGE: inv.Source.PAGE,
        pb.ANSWER_SOURCE_REPLY: inv.Source.REPLY,
        pb.ANSWER_SOURCE_API: inv.Source.API,
    }
)
_SOURCE_TO: Final[Mapping[inv.Source, "pb.AnswerSource.ValueType"]] = MappingProxyType(
    {
        inv.Source.PAGE: pb.ANSWER_SOURCE_PAGE,
        inv.Source.REPLY: pb.ANSWER_SOURCE_REPLY,
        inv.Source.API: pb.ANSWER_SOURCE_API,
        inv.Source.UNKNOWN: pb.ANSWER_SOURCE_UNSPECIFIED,
    }
)


class Untranslatable(ValueError):  # noqa: N818 - a verdict about the input
    """A message that says nothing this service can act upon. The text names the field, never its content."""


def headers(schema: str, event_id: str, tenant: str) -> tuple[tuple[str, bytes], ...]:
    """The headers of a record (DESIGN, Kafka)."""
    return (
        ("content-type", b"application/protobuf"),
        ("schema", schema.encode()),
        ("event-id", event_id.encode()),
        ("tenant", tenant.encode()),
    )


def parse_command(raw: bytes | None) -> inv.Command:
    """A record of feedback.commands.v1."""
    record = pb.FeedbackCommand()
    _parse(record, raw)
    for name in ("command_id", "tenant", "person_id"):
        if not getattr(record, name):
            raise Untranslatable(f"{name} is empty")
    which = record.WhichOneof("command")
    match which:
        case "consider":
            about = subject(record.consider.subject, record.person_id)
            return inv.Consider(
                record.command_id, record.tenant, about, record.consider.completed_at_ms or record.issued_at_ms
            )
        case "invite":
            return inv.Invite(
                record.command_id,
                record.tenant,
                subject(record.invite.subject, record.person_id),
                record.invite.survey,
            )
        case "answer":
            answer = record.answer
            return inv.Answer(
                record.command_id,
                record.tenant,
                answer.invitation_id,
                answer.score,
                clean_comment(answer.comment),
                _SOURCE_OF.get(answer.source, inv.Source.UNKNOWN),
            )
        case "sent":
            return inv.NoteSent(record.command_id, record.tenant, record.sent.invitation_id, record.sent.delivery_id)
        case "contact" | "recovery":
            raise Untranslatable("a command of counting's")  # handled before it comes here
        case None:
            raise Untranslatable("no command is set")
        case _ as never:
            assert_never(never)


def parse_record(raw: bytes | None) -> pb.FeedbackRecord:
    """A record of feedback.answers.v1."""
    record = pb.FeedbackRecord()
    _parse(record, raw)
    return record


def _parse(message: pb.FeedbackCommand | pb.FeedbackRecord, raw: bytes | None) -> None:
    if raw is None:
        raise Untranslatable("the record has no value")
    if len(raw) > MAX_RECORD_BYTES:
        raise Untranslatable(f"the record has {len(raw)} bytes, more than {MAX_RECORD_BYTES}")
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise Untranslatable("the record is not a message of its schema") from error


def subject(message: pb.Subject, person_id: str) -> Subject:
    """A subject. Its person is the record's key: whoever writes a command for one person speaks of nobody else."""
    if message.person_id and message.person_id != person_id:
        raise Untranslatable("subject.person_id is not the record's person")
    if not message.interaction_id:
        raise Untranslatable("subject.interaction_id is empty")
    return Subject(
        interaction_id=message.interaction_id,
        conversation_id=message.conversation_id,
        person_id=person_id,
        identity_id=message.identity_id,
        channel=message.channel,
        queue=message.queue,
        agent_id=message.agent_id,
        language=message.language,
        labels=dict(message.labels),
    )


def subject_message(about: Subject) -> pb.Subject:
    """The same as a message."""
    return pb.Subject(
        interaction_id=about.interaction_id,
        conversation_id=about.conversation_id,
        person_id=about.person_id,
        identity_id=about.identity_id,
        channel=about.channel,
        queue=about.queue,
        agent_id=about.agent_id,
        language=about.language,
        labels=dict(about.labels),
    )


def kind(value: int) -> Kind | None:
    """A survey's kind; None for unspecified and unknown ones."""
    return _KIND_OF.get(value)


def kind_message(value: Kind) -> "config.SurveyKind.ValueType":
    """The same as a number."""
    return _KIND_TO[value]


def event_record(event: inv.Event, tenant: str, person_id: str, event_id: str, now_ms: int) -> pb.FeedbackRecord:
    """A record of feedback.answers.v1."""
    record = pb.FeedbackRecord(event_id=event_id, tenant=tenant, person_id=person_id, occurred_at_ms=now_ms)
    match event:
        case inv.Created(made):
            record.invited.CopyFrom(_created(made))
        case inv.Due(made):
            record.due.invitation.CopyFrom(_created(made))
        case inv.Skipped(interaction_id, reason):
            record.skipped.interaction_id = interaction_id
            record.skipped.reason = reason.value
        case inv.Counted(made, score, comment, source):
            record.answered.invitation_id = made.invitation_id
            record.answered.survey = made.survey
            record.answered.kind = _KIND_TO[made.kind]
            record.answered.score = score
            record.answered.comment = comment
            record.answered.source = _SOURCE_TO[source]
            record.answered.subject.CopyFrom(subject_message(made.subject))
            record.answered.day = made.day
        case inv.Refused(invitation_id, why, _):
            record.refused.invitation_id = invitation_id
            record.refused.reason = why.value
        case inv.Expired(made):
            record.expired.invitation_id = made.invitation_id
            record.expired.survey = made.survey
            record.expired.subject.CopyFrom(subject_message(made.subject))
        case _ as never:
            assert_never(never)
    return record


def _created(made: inv.Invitation) -> pb.InvitationCreated:
    return pb.InvitationCreated(
        invitation_id=made.invitation_id,
        survey=made.survey,
        kind=_KIND_TO[made.kind],
        subject=subject_message(made.subject),
        send_at_ms=made.send_at_ms,
        expires_at_ms=made.expires_at_ms,
        question=made.question,
        day=made.day,
    )


def programme(tenant: config.TenantConfiguration) -> Programme:
    """A tenant's surveys. Raises Untranslatable for a zone or a share that makes no sense."""
    try:
        zone = ZoneInfo(tenant.time_zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Untranslatable("time_zone is no IANA zone") from error
    surveys = []
    for survey in tenant.surveys:
        found = kind(survey.kind)
        if found is None:
            raise Untranslatable(f"survey {survey.name}: kind is not known")
        if not 0 <= survey.sampling <= 1:
            raise Untranslatable(f"survey {survey.name}: sampling is a share from 0 to 1")
        if min(survey.least_gap_ms, survey.delay_ms, survey.expires_after_ms) < 0:
            raise Untranslatable(f"survey {survey.name}: times are not negative")
        surveys.append(
            Survey(
                name=survey.name,
                kind=found,
                queues=frozenset(survey.queues),
                channels=frozenset(survey.channels),
                sampling=survey.sampling,
                least_gap_ms=survey.least_gap_ms,
                delay_ms=survey.delay_ms,
                expires_after_ms=survey.expires_after_ms or DEFAULT_EXPIRES_AFTER_MS,
                questions=dict(survey.questions),
            )
        )
    return Programme(tuple(surveys), tenant.default_language or "fa", zone)
