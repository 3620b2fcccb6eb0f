"""Handlers for a due invitation and for an incoming response: load, decide, perform."""

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, Disposition, ErrorKind, invalid
from services.chassis.ids import derive
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.questions import LaneQuestions
from services.feedback.domain.comments import clean_comment
from services.feedback.domain.reasons import Reason
from services.feedback.ports import CommandLog, InvitationSender, Links, OutgoingInvitation, Programmes, Ticket
from services.policy.model.surveys import MAX_COMMENT_CHARS, MOST_QUESTIONS, SCALES, Programme, Survey, SurveyKind
from services.policy.reading.surveys import kind, kind_message

QUIET_GRACE_MS: Final = 5 * 60_000
"""An invitation that was due within this time before the quiet hours is still sent."""
_PLACEHOLDER: Final = re.compile(r"\{(question|link|until)\}")
_OURS: Final = frozenset({ErrorKind.UNAUTHENTICATED, ErrorKind.PERMISSION_DENIED})
"""Refusals that say nothing about the invitation: this service's key or rights are wrong until an operator corrects
them."""
_NO_ANSWERS: Final[Mapping[str, tuple[int, str]]] = MappingProxyType({})
log = get_logger(__name__)


class Dispatcher:
    """Sends each due invitation and reminder, once as far as the customer can see, and notes that an invitation was
    sent."""

    def __init__(
        self,
        programmes: Programmes,
        links: Links,
        sender: InvitationSender,
        commands: CommandLog,
        clock: Clock,
        shown: Callable[[int, Programme, str], str],
    ) -> None:
        """`shown` formats a time for readers of a language."""
        self._programmes = programmes
        self._links = links
        self._sender = sender
        self._commands = commands
        self._clock = clock
        self._shown = shown

    async def dispatch(self, record: pb.FeedbackRecord) -> str:
        """Handle one record of feedback.responses.v1 and return the result: "ignored", "late", "quiet", "sent",
        "reminded" or "refused".

        Raises ChaparError if a retry may succeed later: repeating is safe, because each sending has its key.
        """
        made = due(record)
        if made is None:
            return "ignored"
        reminder = record.WhichOneof("record") == "reminder"
        found = kind(made.kind)
        if found is None or made.expires_at_ms <= self._clock():
            return "late"
        programme = self._programmes.of(record.tenant)
        if self._quiet(programme, made.survey):
            return "quiet"
        ticket = Ticket(
            tenant=record.tenant,
            person_id=record.person_id,
            invitation_id=made.invitation_id,
            survey=made.survey,
            kind=found,
            language=made.subject.language or programme.default_language,
            expires_at_ms=made.expires_at_ms,
        )
        template = self._programmes.invitation_text(record.tenant, ticket.language, reminder=reminder)
        outgoing = OutgoingInvitation(
            key=derive(made.invitation_id, "reminder") if reminder else made.invitation_id,
            tenant=record.tenant,
            invitation_id=made.invitation_id,
            identity_id=made.subject.identity_id,
            conversation_id=made.subject.conversation_id,
            interaction_id=made.subject.interaction_id,
            text=filled(
                template,
                question=made.question,
                link=self._links.url(ticket),
                until=self._shown(made.expires_at_ms, programme, ticket.language),
            ),
            kind=found,
            expires_at_ms=made.expires_at_ms,
            amend_for_ms=made.amend_for_ms,
        )
        try:
            delivery_id = await self._sender.send(outgoing)
        except ChaparError as error:
            if error.disposition is Disposition.RETRY or error.kind in _OURS:
                raise
            log.error("invitation refused", reason=error.reason, tenant=record.tenant, invitation=made.invitation_id)
            return "refused"
        if reminder:
            return "reminded"
        await self._commands.publish(
            pb.FeedbackCommand(
                command_id=derive(made.invitation_id, "sent"),
                tenant=record.tenant,
                person_id=record.person_id,
                issued_at_ms=self._clock(),
                sent=pb.RecordInvitationSent(invitation_id=made.invitation_id, delivery_id=delivery_id),
            )
        )
        return "sent"

    def _quiet(self, programme: Programme, name: str) -> bool:
        """Return whether it is too late to write before the quiet hours."""
        survey = programme.named(name)
        if survey is None:
            return False
        now = self._clock()
        return all(programme.after_quiet(survey, at) > at for at in (now, now - QUIET_GRACE_MS))


def due(record: pb.FeedbackRecord) -> pb.InvitationCreated | None:
    """Return the invitation that a record asks to send; None if it asks for none."""
    match record.WhichOneof("record"):
        case "due":
            return record.due.invitation
        case "reminder":
            return record.reminder.invitation
        case _:
            return None


def filled(template: str, **values: str) -> str:
    """Return the template with its placeholders filled; other text in braces stays unchanged."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)


class ResponseIntake:
    """Makes a response durable. The survey lane decides whether it counts."""

    def __init__(
        self, commands: CommandLog, clock: Clock, metrics: Metrics, questions: LaneQuestions | None = None
    ) -> None:
        self._commands = commands
        self._clock = clock
        self._questions = questions
        self._results = metrics.counter("chapar_feedback_responses_total")

    async def submit(
        self,
        *,
        tenant: str,
        person_id: str,
        invitation_id: str,
        kind: SurveyKind | None,
        score: int,
        comment: str,
        source: "pb.ResponseSource.ValueType",
        answers: Mapping[str, tuple[int, str]] = _NO_ANSWERS,
        key: str = "",
        view: str = "",
        wait: bool = False,
        proven: bool = True,
    ) -> None:
        """Write a response. Returns when it is durable; with `wait`, returns when the lane has counted it, or raises
        the reason why not.

        Not `proven`: only the caller says that the person and the invitation exist; then use `wait`. Without a `key`,
        the same response from the same `view` of a page is the same command: a double click.

        Raises INVALID for a response that does not fit a known kind, UNAVAILABLE if the log cannot be written.
        """
        text = clean_comment(comment)
        if kind is not None:
            check(kind, score, text, "score", "comment")
        cleaned = {name: (given, clean_comment(words)) for name, (given, words) in answers.items()}
        others = [f"{name}={given}:{words}" for name, (given, words) in sorted(cleaned.items())]
        parts = (key,) if key else (view, str(score), text, *others)
        command = pb.FeedbackCommand(
            command_id=derive("response", tenant, invitation_id, *parts),
            tenant=tenant,
            person_id=person_id,
            issued_at_ms=self._clock(),
            response=pb.RecordResponse(
                invitation_id=invitation_id,
                score=score,
                comment=text,
                source=source,
                answers=[
                    pb.Answer(question_id=name, score=given, text=words) for name, (given, words) in cleaned.items()
                ],
            ),
        )
        if not wait or self._questions is None:
            await self._commands.publish(command, proven=proven)
            return

        async def publish(question_id: str) -> None:
            command.question_id = question_id
            await self._commands.publish(command, proven=proven)

        await self._questions.ask(tenant, publish)

    def refuse(self, result: str, tenant: str = "") -> None:
        """Count a response that goes no further: "forged", "late" or "bot". `tenant`: empty if the link does not prove it."""
        self._results.labels(tenant, "", result).inc()


def check(kind: SurveyKind, score: int, text: str, score_field: str, text_field: str) -> None:
    """Raise INVALID for an answer that does not fit a question of this kind."""
    if kind is SurveyKind.TEXT:
        if score != 0:
            raise invalid(score_field, "must be 0 for free text", reason=Reason.OUT_OF_SCALE)
        if not text:
            raise invalid(text_field, "must not be empty: it is the answer", reason=Reason.INCOMPLETE)
    elif score not in SCALES[kind]:
        scale = SCALES[kind]
        raise invalid(score_field, f"must be from {scale[0]} to {scale[-1]}", reason=Reason.OUT_OF_SCALE)


def read_answers(answers: Iterable[pb.Answer], survey: Survey | None) -> Mapping[str, tuple[int, str]]:
    """Return the answers to the questions after the first, by question. If the survey is known, they must fit it, and
    must answer every question that is not optional.

    Raises INVALID.
    """
    found: dict[str, tuple[int, str]] = {}
    asked = {question.question_id: question for question in survey.more} if survey is not None else {}
    for index, each in enumerate(answers):
        where = f"answers[{index}]"
        if index >= MOST_QUESTIONS:
            raise invalid("answers", f"must be at most {MOST_QUESTIONS}")
        if len(each.text) > MAX_COMMENT_CHARS:
            raise invalid(f"{where}.text", f"has more than {MAX_COMMENT_CHARS} characters")
        if not each.question_id or each.question_id in found:
            raise invalid(f"{where}.question_id", "must name a question, each once")
        if survey is not None:
            question = asked.get(each.question_id)
            if question is None:
                raise invalid(f"{where}.question_id", "is not a question of this survey")
            if each.kind and each.kind != kind_message(question.kind):
                raise invalid(f"{where}.kind", f"must be {question.kind.value}")
            check(question.kind, each.score, each.text.strip(), f"{where}.score", f"{where}.text")
        found[each.question_id] = (each.score, each.text)
    for question in asked.values():
        if not question.optional and question.question_id not in found:
            raise invalid("answers", f"must contain an answer to {question.question_id}", reason=Reason.INCOMPLETE)
    return found
