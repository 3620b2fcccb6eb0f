"""Ports: the capabilities that feedback needs from outside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from chapar.feedback.v1 import feedback_pb2 as pb
from services.policy.model.counting import Counting
from services.policy.model.surveys import Programme, SurveyKind


class Subjects(Protocol):
    """Checks whether the subject of an invitation exists."""

    async def check(self, tenant: str, about: pb.Subject) -> None:
        """Raise NOT_FOUND unless interaction, conversation, person and identity are this tenant's and belong
        together."""


class Programmes(Protocol):
    """The tenants' surveys, as configured now."""

    def of(self, tenant: str) -> Programme:
        """Return this tenant's programme; an empty one for an unknown tenant."""

    def counting(self, tenant: str) -> Counting:
        """Return how this tenant's responses are counted; the defaults for an unknown tenant."""

    def knows(self, tenant: str) -> bool:
        """Return whether the tenant is configured at all."""

    def invitation_text(self, tenant: str, language: str, *, reminder: bool = False) -> str:
        """Return the template of an invitation or a reminder, with {question}, {link} and {until}."""


class CommandLog(Protocol):
    """The log that makes commands durable."""

    async def publish(self, command: pb.FeedbackCommand, *, proven: bool = True) -> None:
        """Write a command. Returns when the broker has acknowledged it. Raises ChaparError UNAVAILABLE.

        Not `proven`: the caller may have invented the person. A response of a person without a key is then written
        without its texts, and the lane refuses it.
        """


@dataclass(frozen=True, slots=True)
class Ticket:
    """The contents of a survey link. `language` is BCP 47, `expires_at_ms` is milliseconds since the epoch."""

    tenant: str
    person_id: str
    invitation_id: str
    survey: str
    kind: SurveyKind
    language: str
    expires_at_ms: int


class Links(Protocol):
    """Signed links to survey pages."""

    def url(self, ticket: Ticket) -> str:
        """Return the address of the survey page."""

    def read(self, token: str) -> Ticket | None:
        """Return the contents of a token; None for one that is forged, damaged or expired, without saying which."""

    def refusal(self, token: str) -> str:
        """Return "late" or "forged" for a token that could not be read. For this service's own metrics only."""


@dataclass(frozen=True, slots=True)
class OutgoingInvitation:
    """One invitation or reminder to send to the customer. A repeated `key` is the same sending."""

    key: str
    tenant: str
    invitation_id: str
    identity_id: str
    conversation_id: str
    interaction_id: str
    text: str
    kind: SurveyKind
    expires_at_ms: int
    amend_for_ms: int = 0


class InvitationSender(Protocol):
    """Passes invitations to the service that sends on the customer's channel."""

    async def send(self, invitation: OutgoingInvitation) -> str:
        """Send an invitation and return the delivery's id. The same invitation again is the same delivery. Raises
        ChaparError."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """A recovery interaction to open. `requirements` are the contract's Selectors, serialised."""

    tenant: str
    invitation_id: str
    identity_id: str
    conversation_id: str
    queue: str
    priority: int
    requirements: tuple[bytes, ...]
    labels: Mapping[str, str]
    reason: str


class RecoveryOpener(Protocol):
    """Opens interactions."""

    async def open(self, recovery: Recovery) -> str:
        """Open a recovery and return the interaction's id; the same id for the same invitation again. Raises
        ChaparError."""
