"""Commands of feedback.commands.v1 and records of feedback.responses.v1, as the survey lane reads and writes them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, assert_never

from chapar.feedback.v1 import feedback_pb2 as pb
from services.feedback.domain import invitations as inv
from services.feedback.domain.comments import clean_comment
from services.feedback.translate.records import Untranslatable, parse, subject, subject_message
from services.policy.model.surveys import MOST_QUESTIONS
from services.policy.reading.surveys import kind_message

_SOURCE_OF: Final[Mapping[int, inv.Source]] = MappingProxyType(
    {
        pb.RESPONSE_SOURCE_PAGE: inv.Source.PAGE,
        pb.RESPONSE_SOURCE_REPLY: inv.Source.REPLY,
        pb.RESPONSE_SOURCE_API: inv.Source.API,
    }
)
_SOURCE_TO: Final[Mapping[inv.Source, "pb.ResponseSource.ValueType"]] = MappingProxyType(
    {
        inv.Source.PAGE: pb.RESPONSE_SOURCE_PAGE,
        inv.Source.REPLY: pb.RESPONSE_SOURCE_REPLY,
        inv.Source.API: pb.RESPONSE_SOURCE_API,
        inv.Source.UNKNOWN: pb.RESPONSE_SOURCE_UNSPECIFIED,
    }
)


def read_command(raw: bytes | None) -> pb.FeedbackCommand:
    """Return a record of feedback.commands.v1 with its texts still encrypted."""
    record = pb.FeedbackCommand()
    parse(record, raw)
    return record


def parse_command(record: pb.FeedbackCommand) -> inv.Command | inv.Erase:
    """Return the domain command of a record of feedback.commands.v1."""
    for name in ("command_id", "tenant", "person_id"):
        if not getattr(record, name):
            raise Untranslatable(f"{name} is empty")
    which = record.WhichOneof("command")
    match which:
        case "consider":
            about = subject(record.consider.subject, record.person_id)
            return inv.Consider(
                record.command_id,
                record.tenant,
                about,
                record.consider.completed_at_ms or record.issued_at_ms,
                record.consider.began_at_ms,
            )
        case "invite":
            return inv.Invite(
                record.command_id,
                record.tenant,
                subject(record.invite.subject, record.person_id),
                record.invite.survey,
            )
        case "response":
            response = record.response
            return inv.RecordResponse(
                record.command_id,
                record.tenant,
                response.invitation_id,
                response.score,
                clean_comment(response.comment),
                _SOURCE_OF.get(response.source, inv.Source.UNKNOWN),
                {
                    each.question_id: (each.score, clean_comment(each.text))
                    for each in response.answers[:MOST_QUESTIONS]
                    if each.question_id
                },
            )
        case "sent":
            return inv.NoteSent(record.command_id, record.tenant, record.sent.invitation_id, record.sent.delivery_id)
        case "undeliverable":
            failed = record.undeliverable
            return inv.NoteUndeliverable(record.command_id, record.tenant, failed.invitation_id, failed.delivery_id)
        case "erase":
            return inv.Erase(record.command_id, record.tenant, record.person_id, record.erase.request_id)
        case "contact" | "recovery" | "assignment" | "interaction_end":
            raise Untranslatable("a command without a decision")  # handled before it comes here
        case None:
            raise Untranslatable("no command is set")
        case _ as never:
            assert_never(never)


def begun_or_ended(record: pb.FeedbackCommand) -> inv.NoteBegun | inv.NoteEnded | None:
    """Return the command for an interaction that began, or that ended without being completed; None for other records."""
    match record.WhichOneof("command"):
        case "contact":
            about = subject(record.contact.subject, record.person_id)
            return inv.NoteBegun(record.command_id, record.tenant, about, record.contact.at_ms or record.issued_at_ms)
        case "interaction_end":
            ended = record.interaction_end.interaction_id
            return inv.NoteEnded(record.command_id, record.tenant, record.person_id, ended, record.issued_at_ms)
        case _:
            return None


def event_record(event: inv.Event, tenant: str, person_id: str, event_id: str, now_ms: int) -> pb.FeedbackRecord:
    """Return a record of feedback.responses.v1."""
    record = pb.FeedbackRecord(event_id=event_id, tenant=tenant, person_id=person_id, occurred_at_ms=now_ms)
    match event:
        case inv.Created(made):
            record.invited.CopyFrom(_created(made))
        case inv.Due(made):
            record.due.invitation.CopyFrom(_created(made))
        case inv.ReminderDue(made):
            record.reminder.invitation.CopyFrom(_created(made))
        case inv.Withdrawn(made, withdrawal):
            record.withdrawn.invitation.CopyFrom(_created(made))
            record.withdrawn.reason = withdrawal.value
        case inv.Skipped(interaction_id, reason):
            record.skipped.interaction_id = interaction_id
            record.skipped.reason = reason.value
        case inv.Counted(made, score, comment, source, answers, categories):
            record.answered.CopyFrom(_response(made, inv.Given(score, comment, source, answers, categories)))
        case inv.Amended(made, given, before):
            record.amended.response.CopyFrom(_response(made, given))
            record.amended.before.CopyFrom(_response(made, before))
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
        kind=kind_message(made.kind),
        subject=subject_message(made.subject),
        send_at_ms=made.send_at_ms,
        expires_at_ms=made.expires_at_ms,
        question=made.question,
        day=made.day,
        amend_for_ms=made.amend_for_ms,
    )


def _response(made: inv.Invitation, given: inv.Given) -> pb.ResponseCounted:
    return pb.ResponseCounted(
        invitation_id=made.invitation_id,
        survey=made.survey,
        kind=kind_message(made.kind),
        score=given.score,
        comment=given.comment,
        source=_SOURCE_TO[given.source],
        subject=subject_message(made.subject),
        day=made.day,
        answers=[
            pb.Answer(question_id=each.question_id, kind=kind_message(each.kind), score=each.score, text=each.text)
            for each in given.answers
        ],
        revision=given.revision,
        categories=given.categories,
        asked_at_ms=made.send_at_ms,
    )
