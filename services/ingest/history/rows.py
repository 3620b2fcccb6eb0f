"""The rows of the projection and the facts that change them. Fields are named as the columns are."""

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
    """Where a customer's message says that it comes from; empty for ours."""

    def erase(self) -> None:
        """Forgets what is personal."""
        self.text = self.subject = self.folded = self.native_message_id = ""
        self.attachments = []
        self.origin = {}


@dataclass(slots=True)
class Identity:
    """An identity: whose it is, by the newest record that says so; and what is personal, by the newest that states it."""

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


@dataclass(slots=True)
class Interaction:
    """An interaction. The epochs say which routing event each group of columns is from; 0: none yet."""

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
    facts_epoch: int = 0
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


@dataclass(slots=True)
class Answer:
    """An invitation and what became of it: "invited", "expired", "answered"."""

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
    """A conversation began with this identity."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Written:
    """Somebody wrote. `identity_id` is whose account it came from or went to; `person_id` may be empty."""

    message: Message
    person_id: str


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
    """Whose an identity is from now on."""

    identity_id: str
    person_id: str


@dataclass(frozen=True, slots=True)
class Erased:
    """The personal data of a conversation and its identity are to be forgotten."""

    identity_id: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Routed:
    """The router decided. `state` and `agent_id` are None where the event leaves them as they are."""

    epoch: int
    person_id: str
    channel: str
    queue: str
    state: str | None
    agent_id: str | None
    arrived_at_ms: int


@dataclass(frozen=True, slots=True)
class Asked:
    """An invitation was made, answered or ran out: what is known of it now."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Declined:
    """An answer was refused; the interaction is the invitation's."""

    invitation_id: str


@dataclass(frozen=True, slots=True)
class Audited:
    """Who did what to what: one row for each target of an audit record."""

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


Change = Audited | Belongs | Opened | Written | Began | Ended | Erased | Routed | Delivery | Asked | Declined | None


@dataclass(frozen=True, slots=True)
class Fact:
    """One record: its step in a story, and what it changes."""

    event: Event
    change: Change
    identity_id: str = ""
    invitation_id: str = ""
