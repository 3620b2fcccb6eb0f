"""The effects of the intake core. A closed union: the lane handles every type and writes it in the batch's transaction.

Effects are written in their order. A reply route always comes before an effect that could cause a reply.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum

from services.ingest.domain.deliveries import Reported
from services.ingest.domain.messages import NO_WISHES, Attachment, Identity, Message, Route, SendRequest, Wishes
from services.ingest.domain.opt_outs import OptOut
from services.policy.model.automatic import AutomaticKind
from services.policy.model.rules import Requirement


@dataclass(frozen=True, slots=True)
class ConversationStarted:
    """A conversation started."""

    conversation_id: str
    person_id: str
    identity: Identity
    place: str = ""


@dataclass(frozen=True, slots=True)
class MessageRecorded:
    """A customer's message belongs to the conversation. `edits` and `deletes` name the message that it changes."""

    conversation_id: str
    person_id: str
    message: Message
    interaction_id: str
    edits: str = ""
    deletes: str = ""
    of_identity: str = ""
    """The identity whose conversation it is, if the author is only a participant; otherwise empty."""


@dataclass(frozen=True, slots=True)
class FetchAsked:
    """Fetch a file of a recorded message from its provider."""

    conversation_id: str
    message: Message
    interaction_id: str
    attachment: Attachment


@dataclass(frozen=True, slots=True)
class InteractionStarted:
    """An interaction started in the conversation."""

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
    further_message_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InteractionEnded:
    """An interaction ended. `outcome`: completed, abandoned, cancelled."""

    conversation_id: str
    person_id: str
    identity_id: str
    interaction_id: str
    outcome: str


@dataclass(frozen=True, slots=True)
class RouteKnown:
    """The conversation's reply route from now on."""

    conversation_id: str
    route: Route
    only_if_missing: bool = False
    """If true, a conversation that already has a route keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueue:
    """Put the interaction into its queue: attributes only, no text and no native ids."""

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
    automatic: AutomaticKind = AutomaticKind.NONE


@dataclass(frozen=True, slots=True)
class TellMessaged:
    """Notify the router that the customer, or a machine in their name, sent another message."""

    pool: str
    interaction_id: str
    message_id: str
    automatic: AutomaticKind = AutomaticKind.NONE


@dataclass(frozen=True, slots=True)
class TellLeft:
    """Notify the router that the customer left."""

    pool: str
    interaction_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class SendAsked:
    """Send something in the conversation."""

    conversation_id: str
    request: SendRequest


@dataclass(frozen=True, slots=True)
class ReportPassed:
    """Pass a fact about a delivery to the lane that sends in the conversation."""

    conversation_id: str
    channel: str
    report: Reported


@dataclass(frozen=True, slots=True)
class AnswerGiven:
    """The message answers an open survey invitation."""

    person_id: str
    invitation_id: str
    score: int
    message_id: str


class Passing(Enum):
    """What a message becomes when it is forwarded."""

    UNCHANGED = "unchanged"
    PARTICIPANT = "participant"
    """The author takes part in the conversation of the identity that gets it."""
    RETURNED = "returned"
    """The conversation is not known, so the message belongs to its author."""
    ANSWERED = "answered"
    """The message belongs to the identity at which it asks to be answered."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The record belongs to another identity's key: publish it under that key, with one more hop.

    `checked`: the identity that forwards the request owns the conversation and interaction that the request names.
    """

    identity_id: str
    checked: bool = False
    passing: Passing = Passing.UNCHANGED


@dataclass(frozen=True, slots=True)
class LinkConfirmed:
    """The home belongs to this tenant and is not linked elsewhere, so the identity may be linked to it."""

    identity_id: str
    home_identity_id: str
    opt_outs: tuple[OptOut, ...] = ()
    preferred_channel: str = ""


@dataclass(frozen=True, slots=True)
class ConversationForgotten:
    """Forget the texts and names of this conversation."""

    conversation_id: str
    person_id: str
    identity_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class PersonForgotten:
    """Everything about the person is forgotten here, with the counts by kind.

    Other services that keep data under the person's id must forget it too.
    """

    person_id: str
    identity_id: str
    request_id: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class IdentityMoved:
    """The identity belongs to this person from now on, even if it never sends another message."""

    identity_id: str
    person_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class PreferencesSet:
    """The person of this identity wants to be reached in this way from now on."""

    identity_id: str
    opt_outs: tuple[OptOut, ...]
    preferred_channel: str
    request_id: str


class Share(IntEnum):
    """Why preferences are passed on to the lane of another identity. The numbers are those of the contract."""

    UNSPECIFIED = 0
    BROUGHT = 1
    HELD = 2
    LEFT = 3
    KEPT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencesShared:
    """Pass preferences on to the lane of another identity of the person; see `shared_preferences`."""

    identity_id: str
    from_identity_id: str
    kind: Share
    request_id: str
    opt_outs: tuple[OptOut, ...] = ()
    removed: tuple[OptOut, ...] = ()
    preferred_channel: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderBlockAsked:
    """Ask the lane of the identity to block it: the disposition of an interaction says so."""

    identity_id: str
    until_ms: int
    actor: str
    interaction_id: str
    disposition: str


@dataclass(frozen=True, slots=True)
class JoinClaimed:
    """Ask the lane of the identity that a link names whether the claimant may join its person."""

    identity_id: str
    claimant_id: str
    digest: bytes
    message_id: str


@dataclass(frozen=True, slots=True)
class JoinConfirmed:
    """The claimant has proved that they are this person: link them to its home."""

    claimant_id: str
    home_identity_id: str
    message_id: str
    opt_outs: tuple[OptOut, ...] = ()
    preferred_channel: str = ""


Effect = (
    ConversationStarted
    | MessageRecorded
    | FetchAsked
    | InteractionStarted
    | InteractionEnded
    | RouteKnown
    | Enqueue
    | TellMessaged
    | TellLeft
    | SendAsked
    | ReportPassed
    | AnswerGiven
    | Forwarded
    | LinkConfirmed
    | ConversationForgotten
    | PersonForgotten
    | IdentityMoved
    | PreferencesSet
    | PreferencesShared
    | SenderBlockAsked
    | JoinClaimed
    | JoinConfirmed
)
