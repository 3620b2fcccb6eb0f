"""What happens when an invitation is due and when an answer comes in: load, decide, perform."""

import re
from typing import Final

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, Disposition, ErrorKind, invalid
from services.chassis.ids import derive
from services.chassis.logs import get_logger
from services.feedback.domain.comments import clean_comment
from services.feedback.domain.survey import SCALES, Kind
from services.feedback.ports import CommandLog, InvitationSender, Links, OutgoingInvitation, Programmes, Ticket
from services.feedback.translate import kind

_PLACEHOLDER: Final = re.compile(r"\{(question|link)\}")
_OURS: Final = frozenset({ErrorKind.UNAUTHENTICATED, ErrorKind.PERMISSION_DENIED})
"""Refusals that say nothing about the invitation: our own key or rights are wrong, which somebody will mend."""
log = get_logger(__name__)


class Dispatcher:
    """Sends each invitation that is due, once as far as the customer can see, and notes that it was sent."""

    def __init__(
        self, programmes: Programmes, links: Links, sender: InvitationSender, commands: CommandLog, clock: Clock
    ) -> None:
        self._programmes = programmes
        self._links = links
        self._sender = sender
        self._commands = commands
        self._clock = clock

    async def dispatch(self, record: pb.FeedbackRecord) -> str:
        """Handles one record of feedback.answers.v1 and says what was done: "ignored", "late", "sent" or "refused".

        Raises ChaparError when the same may succeed later: repeating is safe, because the invitation's id is the key of
        the sending.
        """
        if record.WhichOneof("record") != "due":
            return "ignored"
        made = record.due.invitation
        found = kind(made.kind)
        if found is None or made.expires_at_ms <= self._clock():
            return "late"
        ticket = Ticket(
            tenant=record.tenant,
            person_id=record.person_id,
            invitation_id=made.invitation_id,
            survey=made.survey,
            kind=found,
            language=made.subject.language or self._programmes.of(record.tenant).default_language,
            expires_at_ms=made.expires_at_ms,
        )
        outgoing = OutgoingInvitation(
            tenant=record.tenant,
            invitation_id=made.invitation_id,
            identity_id=made.subject.identity_id,
            conversation_id=made.subject.conversation_id,
            interaction_id=made.subject.interaction_id,
            text=invitation_text(
                self._programmes.invitation_text(record.tenant, ticket.language), made.question, self._links.url(ticket)
            ),
            kind=found,
            expires_at_ms=made.expires_at_ms,
        )
        try:
            delivery_id = await self._sender.send(outgoing)
        except ChaparError as error:
            if error.disposition is Disposition.RETRY or error.kind in _OURS:
                raise
            log.error("invitation refused", reason=error.reason, tenant=record.tenant, invitation=made.invitation_id)
            return "refused"
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


def invitation_text(template: str, question: str, link: str) -> str:
    """The template with its placeholders filled; whatever else is in braces stays as it is."""
    values = {"question": question, "link": link}
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)


class Answering:
    """Makes an answer durable. Whether it counts is decided by the survey lane."""

    def __init__(self, commands: CommandLog, clock: Clock) -> None:
        self._commands = commands
        self._clock = clock

    async def submit(
        self,
        *,
        tenant: str,
        person_id: str,
        invitation_id: str,
        kind: Kind | None,
        score: int,
        comment: str,
        source: "pb.AnswerSource.ValueType",
        key: str = "",
    ) -> None:
        """Returns when it is durable. Without a `key` the same answer again is the same command: a double click.

        Raises INVALID for a score that is not on the scale of a known kind, UNAVAILABLE when the log cannot be written.
        """
        if kind is not None and score not in SCALES[kind]:
            scale = SCALES[kind]
            raise invalid("score", f"is from {scale[0]} to {scale[-1]}", reason="OUT_OF_SCALE")
        text = clean_comment(comment)
        parts = (key,) if key else (str(score), text)
        await self._commands.publish(
            pb.FeedbackCommand(
                command_id=derive("answer", tenant, invitation_id, *parts),
                tenant=tenant,
                person_id=person_id,
                issued_at_ms=self._clock(),
                answer=pb.RecordAnswer(invitation_id=invitation_id, score=score, comment=text, source=source),
            )
        )
