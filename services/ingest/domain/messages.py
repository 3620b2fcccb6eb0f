"""Customers' messages and identities, as the core sees them.

An identity never changes. A person is the set of identities that share a home. The home's key has one writer, so
messages of a linked identity are forwarded to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol

from services.ingest.domain.automatic import NOT_AUTOMATIC, Automatic
from services.ingest.domain.files.policy import FileRefusal, FileState
from services.ingest.domain.opt_outs import OptOut
from services.ingest.domain.origin import UNPROVEN, Origin, OriginProof
from services.policy.model.rules import Requirement


class Derive(Protocol):
    """Derives an id from parts: the same parts give the same id, in every process."""

    def __call__(self, *parts: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """A customer's account on a channel. `native_id` and `display_name` are personal data."""

    identity_id: str
    tenant: str
    channel: str
    account: str
    native_id: str
    display_name: str = ""
    verified: bool = False

    @property
    def channel_account(self) -> tuple[str, str, str]:
        """Tenant, channel, account."""
        return self.tenant, self.channel, self.account


class MessageKind(IntEnum):
    """The kind of a customer's message. The numbers are those of the contract."""

    UNSPECIFIED = 0
    TEXT = 1
    ATTACHMENT = 2
    REACTION = 3
    BUTTON = 4
    SYSTEM = 5


class TextPartKind(IntEnum):
    """What a part of a mail's text is. The numbers are those of the contract."""

    UNSPECIFIED = 0
    NEW = 1
    QUOTED = 2
    FORWARDED = 3
    SIGNATURE = 4
    DISCLAIMER = 5


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part of a text; the parts in order cover it. `length` in code points."""

    kind: TextPartKind
    length: int


def new_text(text: str, parts: tuple[TextPart, ...]) -> str:
    """Return what the customer wrote for this message: the new parts, or the whole text when it has no parts."""
    if not parts:
        return text
    pieces: list[str] = []
    at = 0
    for part in parts:
        if part.kind is TextPartKind.NEW:
            pieces.append(text[at : at + part.length].strip())
        at += part.length
    return "\n\n".join(piece for piece in pieces if piece)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file, whose bytes are in the file store or still at the provider. Size in bytes, 0 when unknown."""

    content_type: str
    name: str
    size: int
    reference: str
    file_id: str = ""
    owner_id: str = ""
    """The identity with whose key it is sealed."""
    sha256: str = ""
    state: FileState = FileState.DESCRIBED
    refusal: FileRefusal = FileRefusal.NONE


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the submitter of a message wants the interaction that it opens to be routed. Times in ms since the epoch, 0
    for none."""

    start_at_ms: int = 0
    due_at_ms: int = 0
    preferred_agent: str = ""
    preferred_team: str = ""

    def joined(self, later: "Wishes") -> "Wishes":
        """Return these wishes with those of a further fragment; the later fragment wins."""
        return Wishes(
            later.start_at_ms or self.start_at_ms,
            later.due_at_ms or self.due_at_ms,
            later.preferred_agent or self.preferred_agent,
            later.preferred_team or self.preferred_team,
        )


NO_WISHES: Final = Wishes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One customer's message, normalised by an edge. Times in ms since the epoch; `sent_at_ms` is 0 when unknown."""

    message_id: str
    identity: Identity
    native_message_id: str = ""
    revision: int = 0
    kind: MessageKind = MessageKind.TEXT
    text: str = ""
    subject: str = ""
    attachments: tuple[Attachment, ...] = ()
    language: str = "und"
    sent_at_ms: int = 0
    received_at_ms: int = 0
    in_reply_to: str = ""
    """Native id of the message that it answers or reacts to; may be empty."""
    reply_context: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    automatic: Automatic = NOT_AUTOMATIC
    no_auto_reply: bool = False
    """Whether the message must not get an acknowledgement, for whatever reason."""
    customer_left: bool = False
    wishes: Wishes = NO_WISHES
    origin: Origin = UNPROVEN
    text_parts: tuple[TextPart, ...] = ()
    """Empty when the whole text is new."""
    unparsed: bool = False
    """True when the edge could not parse the message and kept only the raw bytes."""
    content: str = ""
    """The kind of content, in the channel's word; empty for a plain text."""
    placeholder: bool = False
    """Whether the text only names what can't be shown."""
    deletes: str = ""
    """Native id of the message that the customer deleted; otherwise empty."""
    place: str = ""
    """The group chat or the thread of the channel; empty for what the customer writes to us alone. Personal data."""
    answer_to: Identity | None = None
    """The identity at which an unproven mail asks to be answered, if it is not the author's; see `form_mailers`."""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    participant: bool = False
    """Whether the author takes part in a conversation of another customer, under whose key the message is decided."""
    original: Attachment | None = None
    """The message as it arrived, in the file store; None when it was not kept."""
    blocked: bool = False
    """Whether the sender is blocked; see `blocking`."""

    @property
    def by_person(self) -> bool:
        """Return whether a person wrote the message. Of an unparsed message this is not known."""
        return self.automatic.kind.by_person and not self.unparsed

    @property
    def opens(self) -> bool:
        """Return whether the message can open an interaction. Reactions, system notes, automatic replies and bounces
        belong to a conversation but never ask for an agent."""
        if self.kind in (MessageKind.REACTION, MessageKind.SYSTEM) or self.revision > 0:
            return False
        if not self.automatic.kind.opens:
            return False
        return bool(self.text or self.attachments or self.subject or self.unparsed)


@dataclass(frozen=True, slots=True)
class Route:
    """How to answer: an identity, the data that its channel needs, and what proves it (`reply_routes`). Personal data.
    Time in ms."""

    identity: Identity
    context: Mapping[str, str]
    subject: str
    last_customer_message_at_ms: int
    proof: OriginProof = OriginProof.NONE
    no_marketing: bool = False
    """Whether the person does not want advertising here."""


class Purpose(IntEnum):
    """Why something is sent. The numbers are those of the contract."""

    UNSPECIFIED = 0
    REPLY = 1
    ACKNOWLEDGEMENT = 2
    SURVEY = 3
    NOTICE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateUse:
    """An approved template of the provider, with the values of its parameters. `by_rule`: the account's rule chose it in place of
    a text."""

    name: str
    language: str = ""
    parameters: tuple[str, ...] = ()
    by_rule: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRequest:
    """A request to send something. Times in ms; `author_kind` is the contract's ActorKind (2 agent, 4 system)."""

    request_id: str
    identity_id: str = ""
    conversation_id: str = ""
    interaction_id: str = ""
    text: str = ""
    purpose: Purpose = Purpose.REPLY
    invitation_id: str = ""
    survey_kind: str = ""
    survey_expires_at_ms: int = 0
    survey_amend_for_ms: int = 0
    author_kind: int = 4
    author_id: str = ""
    requested_at_ms: int = 0
    checked: bool = False
    """The lane of a linked identity has found the named conversation among its own."""
    pool: str = ""
    """The interaction's pool, for replies of agents: its shard learns what became of the reply."""
    person_id: str = ""
    """The person, for surveys: feedback learns of an invitation that failed."""
    resends: str = ""
    """The delivery that is sent again, knowingly."""
    to: tuple[str, ...] = ()
    """The addresses of a mail, if an agent or a caller has chosen them; empty: the customer alone. Personal data."""
    cc: tuple[str, ...] = ()
    template: TemplateUse | None = None
    """The approved template that is sent; `text` then has its words."""
    forbidden: str = ""
    """Why the lane of the identity forbids it; the delivery fails at once with this reason."""
    queue: str = ""
    """The interaction's queue, for replies of agents."""
    attachments: tuple[Attachment, ...] = ()
    """Files of the store that are sent with the text."""
    blocked_identity: str = ""
    """The identity under whose key it is decided, if that sender is blocked; otherwise empty."""


class NoticeKind(IntEnum):
    """What happened to an interaction. The numbers are those of the contract."""

    UNSPECIFIED = 0
    QUEUED = 1
    ASSIGNED = 2
    COMPLETED = 3
    ABANDONED = 4
    CANCELLED = 5
    MESSAGE_RECORDED = 6
    CUSTOMER_SILENT = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A routing event, reduced to what intake needs. `position` 0 and `estimated_wait_ms` -1 mean unknown."""

    event_id: str
    interaction_id: str
    conversation_id: str
    kind: NoticeKind
    position: int = 0
    estimated_wait_ms: int = -1
    occurred_at_ms: int = 0
    message_id: str = ""
    disposition: str = ""
    agent_id: str = ""
    """Of a completion."""
    closes_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """Links this identity to a person's home. An empty home removes the link.

    An unconfirmed link is a question to the home's lane. A confirmed link is a fact for the identity's lane.
    """

    request_id: str
    home_identity_id: str
    identity_id: str = ""
    confirmed: bool = False
    opt_outs: tuple[OptOut, ...] = ()
    """Of a confirmed link: the opt-outs of the home's person."""
    preferred_channel: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """An interaction that another service requests in a conversation. Times in ms.

    If `reason` is set, it replaces the name of the rule.
    """

    request_id: str
    queue: str
    conversation_id: str = ""
    priority: int = 0
    requirements: tuple[Requirement, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    requested_at_ms: int = 0
    checked: bool = False
    """As in `SendRequest`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Asks whether the ids belong together. Empty ids are not checked."""

    conversation_id: str = ""
    interaction_id: str = ""
    person_id: str = ""
    checked: bool = False
    """As in `SendRequest`."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """Forget everything known of this identity, and these conversations of its person."""

    request_id: str
    conversation_ids: tuple[str, ...] = ()
