"""Conversion of configuration, commands and responses to the input of counting, and of its decisions to records."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from services.feedback.domain import categories, recovery, windows
from services.feedback.domain.contacts import DEFAULT_WINDOW_MS, Contact, Settled
from services.feedback.domain.counting import LEAST_RESPONSES, Counting
from services.feedback.domain.survey import SCALES
from services.feedback.translate.records import Untranslatable, kind, parse, subject, subject_message


def counting(tenant: config.TenantConfiguration) -> Counting:
    """Return a tenant's counting configuration. Raises Untranslatable for invalid values and names the field."""
    try:
        zone = ZoneInfo(tenant.time_zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Untranslatable("time_zone is not an IANA zone") from error
    try:
        begins = windows.first_weekday(tenant.week_begins, tenant.time_zone)
    except ValueError as error:
        raise Untranslatable("week_begins is not a day of the week") from error
    if tenant.least_responses < 0 or tenant.first_contact_window_ms < 0:
        raise Untranslatable("least_responses and first_contact_window must not be negative")
    return Counting(
        zone=zone,
        week_begins=begins,
        least_responses=tenant.least_responses or LEAST_RESPONSES,
        first_contact_window_ms=tenant.first_contact_window_ms or DEFAULT_WINDOW_MS,
        recoveries=tuple(_recovery(rule) for rule in tenant.recoveries),
        categories=tuple(_category(rule) for rule in tenant.categories),
        routes=_routes(tenant),
    )


def _recovery(rule: config.RecoveryRule) -> recovery.Rule:
    found = kind(rule.kind)
    if found is None and rule.kind != config.SURVEY_KIND_UNSPECIFIED:
        raise Untranslatable(f"recovery {rule.name}: its kind has no score")
    if not rule.queue:
        raise Untranslatable(f"recovery {rule.name} must name a queue")
    return recovery.Rule(
        name=rule.name,
        at_most=rule.at_most,
        queue=rule.queue,
        surveys=frozenset(rule.surveys),
        queues=frozenset(rule.queues),
        kind=found,
        priority=rule.priority,
        requirements=tuple(each.SerializeToString(deterministic=True) for each in rule.requirements),
    )


def _category(rule: config.CategoryRule) -> categories.Rule:
    try:
        return categories.rule(
            rule.name,
            (word for language in sorted(rule.words) for word in rule.words[language].any),
            (word for language in sorted(rule.words) for word in rule.words[language].none),
        )
    except ValueError as error:
        raise Untranslatable(str(error)) from error


def _routes(tenant: config.TenantConfiguration) -> dict[str, frozenset[str]]:
    routes: dict[str, set[str]] = {}
    for rule in tenant.categories:
        routes.setdefault(rule.name, set()).update(rule.webhooks)
    return {name: frozenset(hooks) for name, hooks in routes.items() if hooks}


def command(raw: bytes | None) -> pb.FeedbackCommand | None:
    """Return a record of feedback.commands.v1 if counting uses it, else None."""
    record = pb.FeedbackCommand()
    try:
        parse(record, raw)
    except Untranslatable:
        return None  # the survey lane refuses it
    return record if record.WhichOneof("command") in ("consider", "contact", "recovery") else None


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
    thread = settled.thread
    record = pb.FeedbackRecord(
        event_id=event_id, tenant=thread.tenant, person_id=thread.first.person_id, occurred_at_ms=now_ms
    )
    record.settled.subject.CopyFrom(subject_message(thread.first))
    record.settled.first_at_ms = thread.first_at_ms
    record.settled.resolved = settled.resolved
    record.settled.day = windows.day(thread.first_at_ms, how.zone)
    return record


def counted_response(record: pb.FeedbackRecord) -> pb.ResponseCounted | None:
    """Return the response that counts from this record on; None for other records."""
    match record.WhichOneof("record"):
        case "answered":
            return record.answered
        case "amended":
            return record.amended.answer
        case _:
            return None


def judgement(response: pb.ResponseCounted) -> recovery.Judgement:
    """Return the input of the recovery rules."""
    first = kind(response.kind)
    scores = [(first, response.score)] if first is not None and response.score in SCALES.get(first, ()) else []
    for answer in response.responses:
        found = kind(answer.kind)
        if answer.question_id and found is not None and answer.score in SCALES.get(found, ()):
            scores.append((found, answer.score))
    return recovery.Judgement(response.survey, response.subject.queue, tuple(scores))


def recovery_due(
    rule: recovery.Rule, score: int, response: pb.ResponseCounted, of: pb.FeedbackRecord, event_id: str
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
