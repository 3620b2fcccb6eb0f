"""What the intake core wants done. A closed union: the lane matches every one and writes it in the batch's transaction.

The order of effects is the order of writing; a reply route always comes before anything that could cause a reply.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.ingest.domain.messages import NO_WISHES, Identity, Message, Route, SendRequest, Wishes
from services.ingest.domain.rules import Requirement


@dataclass(frozen=True, slots=True)
class ConversationStarted:
    """A thread began."""

    conversation_id: str
    person_id: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class MessageRecorded:
    """A customer's message belongs to the thread. `edits` names the message that it edits."""

    conversation_id: str
    person_id: str
    message: Message
    interaction_id: str
    edits: str = ""


@dataclass(frozen=True, slots=True)
class InteractionStarted:
    """Work began in the thread."""

    conversation_id: str
    person_id: str
    identity_id: str
    interaction_id: str
    queue: str
    rule: str
    reason: str
    configuration_version: int
    message_id: str
    channel: str
    failed_rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InteractionEnded:
    """Work ended. `outcome`: completed, abandoned, cancelled."""

    conversation_id: str
    person_id: str
    identity_id: str
    interaction_id: str
    outcome: str


@dataclass(frozen=True, slots=True)
class RouteKnown:
    """How to answer the thread from now on."""

    conversation_id: str
    route: Route
    only_if_missing: bool = False
    """A conversation that has a route keeps its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueue:
    """Put the interaction into its queue: facts only, no text, no native ids."""

    interaction_id: str
    conversation_id: str
    person_id: str
    identity_id: str
    channel: str
    account: str
    language: str
    queue: str
    pool: str
    priority: int
    requirements: tuple[Requirement, ...]
    labels: Mapping[str, str]
    arrived_at_ms: int
    rule: str
    public: bool
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class TellMessaged:
    """Tell the router that the customer wrote again."""

    pool: str
    interaction_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class TellLeft:
    """Tell the router that the customer left."""

    pool: str
    interaction_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class SendAsked:
    """Something is to be sent in the thread."""

    conversation_id: str
    request: SendRequest


@dataclass(frozen=True, slots=True)
class AnswerGiven:
    """The message answers an open survey invitation."""

    person_id: str
    invitation_id: str
    score: int
    message_id: str


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The record belongs to another identity's key: publish it there, one hop further.

    `checked`: what the request names was found to belong to the identity that passes it on.
    """

    identity_id: str
    checked: bool = False


@dataclass(frozen=True, slots=True)
class LinkConfirmed:
    """The home is this tenant's and is not linked elsewhere: the identity may be linked to it."""

    identity_id: str
    home_identity_id: str


@dataclass(frozen=True, slots=True)
class ConversationForgotten:
    """Forget the texts and names of this thread."""

    conversation_id: str
    person_id: str
    identity_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class PersonForgotten:
    """Everything about the person is forgotten here: whoever keeps something under the person's id does the same. What was found, by kind."""

    person_id: str
    identity_id: str
    request_id: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class IdentityMoved:
    """The identity belongs to this person from now on, whether it writes again or not."""

    identity_id: str
    person_id: str
    request_id: str


Effect = (
    ConversationStarted
    | MessageRecorded
    | InteractionStarted
    | InteractionEnded
    | RouteKnown
    | Enqueue
    | TellMessaged
    | TellLeft
    | SendAsked
    | AnswerGiven
    | Forwarded
    | LinkConfirmed
    | ConversationForgotten
    | PersonForgotten
    | IdentityMoved
)
