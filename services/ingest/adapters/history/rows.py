"""The rows of the projection and the facts that change them. Fields have the columns' names."""

from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str]
"""(tenant, id)."""


@dataclass(slots=True)
class Conversation:
    """A conversation."""

    tenant: str
    conversation_id: str
    identity_id: str = ""
    person_id: str = ""
    opened_at_ms: int = 0
    last_message_at_ms: int = 0
    erased_at_ms: int = 0


@dataclass(slots=True)
class Message:
    """A message; `sequence` is its offset in conversations.v1."""

    tenant: str
    conversation_id: str
    message_id: str
    sequence: int
    occurred_at_ms: int
    identity_id: str
    interaction_id: str
    author_kind: int
    author_id: str
    text: str
    subject: str
    attachments: list[dict[str, Any]]
    language: str
    channel: str
    purpose: int
    edits_message_id: str
    native_message_id: str
    folded: str
    origin: dict[str, Any] = field(default_factory=dict)
    """The claimed origin of a customer's message; empty for our messages."""
    text_parts: list[list[int]] = field(default_factory=list)
    """Kind and length of each part of the text; empty when the whole text is new."""
    kind: int = 0
    placeholder: int = 0
    """1 when the text only names what can't be shown."""
    in_reply_to: str = ""
    content: str = ""
    deletes_message_id: str = ""
    to_addresses: list[str] = field(default_factory=list)
    cc_addresses: list[str] = field(default_factory=list)
    participant: int = 0
    """1 when the author is not the customer but takes part in the conversation."""
    files_sequence: int = 0
    """The offset of the newest record that changed a file of the message; 0: none has."""
    original: dict[str, Any] = field(default_factory=dict)
    """The message as it arrived, a file; empty when it was not kept."""
    template: dict[str, Any] = field(default_factory=dict)
    """The approved template of an outgoing message; empty for a text."""
    blocked: int = 0
    """1 when it was kept and not routed because its sender was blocked."""

    def settle(self, file: "FileChanged") -> None:
        """Replace a file by what it has become. A message without the file, e.g. of an erased person, has no change."""
        changed = with_file(self.attachments, file.attachment)
        if changed is not None:
            self.attachments = changed
            self.files_sequence = max(self.files_sequence, file.sequence)

    def erase(self) -> None:
        """Remove the personal data."""
        self.text = self.subject = self.folded = self.native_message_id = self.in_reply_to = ""
        self.attachments = []
        self.to_addresses = []
        self.cc_addresses = []
        self.text_parts = []
        self.origin = {}
        self.original = {}
        self.template = {}


def with_file(attachments: list[dict[str, Any]], file: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return a message's files with this one changed; None when it is not among them."""
    if all(each.get("file_id") != file["file_id"] for each in attachments):
        return None
    return [file if each.get("file_id") == file["file_id"] else each for each in attachments]


@dataclass(slots=True)
class Identity:
    """An identity: its owner, from the newest record that names one; and its personal data, from the newest record that
    has them."""

    tenant: str
    identity_id: str
    person_id: str = ""
    person_at_ms: int = 0
    channel: str = ""
    account: str = ""
    native_id: str = ""
    display_name: str = ""
    verified: bool = False
    stated_at_ms: int = 0
    erased_at_ms: int = 0
    opt_outs: list[list[Any]] = field(default_factory=list)
    """Of a home identity: channel, scope, since when (ms) and actor of each opt-out of its person."""
    preferred_channel: str = ""
    preferences_at_ms: int = 0
    blocked_until_ms: int = 0
    blocked_at_ms: int = 0
    block: dict[str, str] = field(default_factory=dict)
    """Of a block: its actor, note, interaction and disposition."""


@dataclass(slots=True)
class Interaction:
    """An interaction. The epochs say which routing event each group of columns comes from; 0: none yet."""

    tenant: str
    interaction_id: str
    conversation_id: str = ""
    person_id: str = ""
    channel: str = ""
    queue: str = ""
    state: str = "open"
    agent_id: str = ""
    opened_at_ms: int = 0
    closed_at_ms: int = 0
    attributes_epoch: int = 0
    state_epoch: int = 0
    agent_epoch: int = 0
    routed_state: str = ""
    outcome: str = ""


@dataclass(slots=True)
class Event:
    """One step of a story."""

    tenant: str
    event_id: str
    interaction_id: str
    conversation_id: str
    occurred_at_ms: int
    service_order: int
    position: int
    service: str
    kind: str
    reason: str = ""
    details: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Delivery:
    """The newest record of a delivery."""

    tenant: str
    delivery_id: str
    conversation_id: str
    interaction_id: str
    channel: str
    account: str
    state: int
    attempts: int
    reason: str
    native_ids: list[str]
    purpose: int
    occurred_at_ms: int
    event_id: str
    retryable: bool = False
    source: int = 0
    stated_at_ms: int = 0
    author_kind: int = 0
    author_id: str = ""
    invitation_id: str = ""
    resends_delivery_id: str = ""
    pool: str = ""


@dataclass(slots=True)
class Invitation:
    """An invitation and its result: "invited", "expired", "answered"."""

    tenant: str
    invitation_id: str
    interaction_id: str = ""
    conversation_id: str = ""
    person_id: str = ""
    channel: str = ""
    queue: str = ""
    agent_id: str = ""
    survey: str = ""
    kind: str = ""
    state: str = "invited"
    score: int | None = None
    source: str = ""
    invited_at_ms: int = 0
    answered_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """A conversation with this identity began."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Written:
    """A message was written. `identity_id`: the account that it came from or went to. `person_id` may be empty."""

    message: Message
    person_id: str


@dataclass(frozen=True, slots=True)
class FileChanged:
    """A file of a message was fetched, or can't be. `sequence`: the offset of the record."""

    message_id: str
    attachment: dict[str, Any]
    sequence: int


@dataclass(frozen=True, slots=True)
class Began:
    """An interaction began."""

    queue: str
    person_id: str


@dataclass(frozen=True, slots=True)
class Ended:
    """An interaction ended: "completed", "abandoned", "cancelled"."""

    outcome: str


@dataclass(frozen=True, slots=True)
class Belongs:
    """An identity belongs to this person from now on."""

    identity_id: str
    person_id: str


@dataclass(frozen=True, slots=True)
class PreferencesChanged:
    """The person of this home identity wants to be reached in this way from now on."""

    identity_id: str
    opt_outs: list[list[Any]]
    preferred_channel: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """This sender is blocked until a time, in ms; 0: not any more."""

    identity_id: str
    until_ms: int
    block: dict[str, str]


@dataclass(frozen=True, slots=True)
class Erased:
    """The personal data of a conversation and its identity are to be forgotten."""

    identity_id: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Routed:
    """The router decided. `state` and `agent_id` are None where the event does not change them."""

    epoch: int
    person_id: str
    channel: str
    queue: str
    state: str | None
    agent_id: str | None
    arrived_at_ms: int


@dataclass(frozen=True, slots=True)
class InvitationChanged:
    """An invitation was made, answered or expired: its current state."""

    invitation: Invitation


@dataclass(frozen=True, slots=True)
class Declined:
    """A response was refused; the interaction is the invitation's."""

    invitation_id: str


@dataclass(frozen=True, slots=True)
class Audited:
    """An audit record: one row for each of its targets."""

    rows: tuple["AuditRow", ...]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One target of an audit record."""

    tenant: str
    event_id: str
    target_kind: str
    target_id: str
    occurred_at_ms: int
    service: str
    method: str
    action: int
    subject: str
    agent_id: str
    outcome: int
    reason: str
    idempotency_key: str
    calls: int


Change = (
    Audited
    | Belongs
    | Opened
    | Written
    | FileChanged
    | Began
    | Ended
    | PreferencesChanged
    | Blocked
    | Erased
    | Routed
    | Delivery
    | InvitationChanged
    | Declined
    | None
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One record: its step in a story, and what it changes."""

    event: Event
    change: Change
    identity_id: str = ""
    invitation_id: str = ""
