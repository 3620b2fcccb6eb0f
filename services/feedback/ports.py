"""What feedback needs from outside, as capabilities."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from chapar.feedback.v1 import feedback_pb2 as pb
from services.feedback.domain.counting import Counting
from services.feedback.domain.survey import Kind, Programme


class Subjects(Protocol):
    """Who knows which contacts there were."""

    async def check(self, tenant: str, about: pb.Subject) -> None:
        """Raises NOT_FOUND unless interaction, conversation, person and identity are this tenant's and belong together."""


class Programmes(Protocol):
    """The tenants' surveys, as configured now."""

    def of(self, tenant: str) -> Programme:
        """This tenant's programme; an empty one for a tenant that is not known."""

    def counting(self, tenant: str) -> Counting:
        """How this tenant's answers are counted; the defaults for a tenant that is not known."""

    def knows(self, tenant: str) -> bool:
        """Whether the tenant is configured at all."""

    def invitation_text(self, tenant: str, language: str, *, reminder: bool = False) -> str:
        """The template of an invitation or a reminder, with {question}, {link} and {until}."""


class CommandLog(Protocol):
    """Where commands become durable."""

    async def publish(self, command: pb.FeedbackCommand, *, proven: bool = True) -> None:
        """Returns when the broker has acknowledged. Raises ChaparError UNAVAILABLE.

        Not `proven`: the caller may have invented the person. An answer of a person without a key is then written without its words, and the lane
        refuses it.
        """


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a survey link stands for. `language` is BCP 47, `expires_at_ms` since the epoch."""

    tenant: str
    person_id: str
    invitation_id: str
    survey: str
    kind: Kind
    language: str
    expires_at_ms: int


class Links(Protocol):
    """Signed links to survey pages."""

    def url(self, ticket: Ticket) -> str:
        """The page's address."""

    def read(self, token: str) -> Ticket | None:
        """What a token stands for; None for one that is forged, damaged or expired, without saying which."""

    def refusal(self, token: str) -> str:
        """For our own figures only, of a token that could not be read: "late" or "forged"."""


@dataclass(frozen=True, slots=True)
class OutgoingInvitation:
    """One invitation or reminder on its way to the customer. `key`: the same again is the same sending."""

    key: str
    tenant: str
    invitation_id: str
    identity_id: str
    conversation_id: str
    interaction_id: str
    text: str
    kind: Kind
    expires_at_ms: int
    amend_for_ms: int = 0


class InvitationSender(Protocol):
    """Hands invitations to whoever speaks the customer's channel."""

    async def send(self, invitation: OutgoingInvitation) -> str:
        """The delivery's id. The same invitation again is the same delivery. Raises ChaparError."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """A recovery interaction to be opened. `requirements` are the contract's Selectors, serialised."""

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
    """Whoever opens interactions."""

    async def open(self, recovery: Recovery) -> str:
        """The interaction's id; the same for the same invitation again. Raises ChaparError."""
