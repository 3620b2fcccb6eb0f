"""Conversion of commands and responses to the input of counting, and of its decisions to records."""

from chapar.common.v1 import types_pb2
from chapar.feedback.v1 import feedback_pb2 as pb
from services.feedback.domain import recovery, windows
from services.feedback.domain.contacts import Contact, Settled
from services.feedback.translate.records import subject, subject_message
from services.policy.model.counting import Counting, RecoveryRule
from services.policy.model.surveys import SCALES
from services.policy.reading.surveys import kind


def contact(record: pb.FeedbackCommand) -> Contact:
    """Return the contact that a command reports: one that begins, or one that its agent completed. Raises
    Untranslatable."""
    if record.WhichOneof("command") == "contact":
        about, at_ms = record.contact.subject, record.contact.at_ms
    else:
        about, at_ms = record.consider.subject, record.consider.completed_at_ms
    contacted = subject(about, record.person_id)
    return Contact(record.command_id, record.tenant, contacted, at_ms or record.issued_at_ms)


def settled_record(settled: Settled, event_id: str, now_ms: int, how: Counting) -> pb.FeedbackRecord:
    """Return the record of a first contact whose resolution is known."""
    series = settled.series
    record = pb.FeedbackRecord(
        event_id=event_id, tenant=series.tenant, person_id=series.first.person_id, occurred_at_ms=now_ms
    )
    record.settled.subject.CopyFrom(subject_message(series.first))
    record.settled.first_at_ms = series.first_at_ms
    record.settled.resolved = settled.resolved
    record.settled.day = windows.day(series.first_at_ms, how.zone)
    return record


def counted_response(record: pb.FeedbackRecord) -> pb.ResponseCounted | None:
    """Return the response that counts from this record on; None for other records."""
    match record.WhichOneof("record"):
        case "answered":
            return record.answered
        case "amended":
            return record.amended.response
        case _:
            return None


def judgement(response: pb.ResponseCounted) -> recovery.Judgement:
    """Return the input of the recovery rules."""
    first = kind(response.kind)
    scores = [(first, response.score)] if first is not None and response.score in SCALES.get(first, ()) else []
    for answer in response.answers:
        found = kind(answer.kind)
        if answer.question_id and found is not None and answer.score in SCALES.get(found, ()):
            scores.append((found, answer.score))
    return recovery.Judgement(response.survey, response.subject.queue, tuple(scores))


def recovery_due(
    rule: RecoveryRule, score: int, response: pb.ResponseCounted, of: pb.FeedbackRecord, event_id: str
) -> pb.FeedbackRecord:
    """Return the record of a recovery that is to be opened."""
    record = pb.FeedbackRecord(
        event_id=event_id, tenant=of.tenant, person_id=of.person_id, occurred_at_ms=of.occurred_at_ms
    )
    due = record.recovery_due
    due.invitation_id, due.rule, due.score = response.invitation_id, rule.name, score
    due.subject.CopyFrom(response.subject)
    due.queue, due.priority = rule.queue, rule.priority
    due.requirements.extend(types_pb2.Selector.FromString(each) for each in rule.requirements)
    return record
