"""The result of parsing one provider's call, before it becomes a record.

Parsers never raise. They return messages, authentic events that are not for us, and refusals that name the field. A
refused message does not affect the other messages of the call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from services.ingest.domain.automatic import NOT_AUTOMATIC, Automatic
from services.ingest.domain.delivery_facts import DeliveryState
from services.ingest.domain.files.policy import FileRefusal, FileState
from services.ingest.domain.messages import NO_WISHES, TextPart, Wishes
from services.ingest.domain.origin import UNPROVEN, Origin
from services.policy.model.groups import GroupPolicy

_EVERY_GROUP: Final = GroupPolicy()


class MessageKind(Enum):
    """The kind of a customer's message."""

    TEXT = "text"
    ATTACHMENT = "attachment"
    REACTION = "reaction"
    BUTTON = "button"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class IncomingAttachment:
    """A file: with its bytes in `content`, or with the provider's reference to them. `size` in bytes, 0 when unknown.

    A parser sets `state` TO_FETCH if its channel fetches the file later. The other fields are set when it is kept.
    """

    content_type: str = ""
    name: str = ""
    size: int = 0
    reference: str = ""
    content: bytes | None = None
    state: FileState = FileState.DESCRIBED
    file_id: str = ""
    owner_id: str = ""
    sha256: str = ""
    refusal: FileRefusal = FileRefusal.NONE


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """One customer message. Times are milliseconds since the epoch, 0 when the provider does not say."""

    native_id: str
    native_message_id: str
    text: str = ""
    revision: int = 0
    kind: MessageKind = MessageKind.TEXT
    display_name: str = ""
    verified: bool = True
    subject: str = ""
    language: str = ""
    sent_at_ms: int = 0
    in_reply_to: str = ""
    attachments: tuple[IncomingAttachment, ...] = ()
    reply_context: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    automatic: Automatic = NOT_AUTOMATIC
    no_auto_reply: bool = False
    """Whether the channel forbids an acknowledgement, although the message is not automatic."""
    raw: bytes = b""
    customer_left: bool = False
    wishes: Wishes = NO_WISHES
    text_parts: tuple[TextPart, ...] = ()
    """The parts of the text; empty when the whole text is new."""
    content: str = ""
    """The kind of content, in the channel's word, e.g. "voice" or "poll"; "" for a plain text."""
    placeholder: bool = False
    """Whether it has nothing that can be shown. Its text then says so and names `content`, in the customer's language."""
    also: str = ""
    """Another native id of the same sender, which the provider states in the same call; otherwise ""."""
    deletes: str = ""
    """Native id of the message that the customer deleted; otherwise ""."""
    place: str = ""
    """The group chat or the thread of the channel; "" for what the customer writes to us alone."""
    answer_to: str = ""
    """Native id of the identity at which an unproven mail asks to be answered; otherwise ""."""
    answer_to_name: str = ""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    """The addresses of a mail."""
    digest: str = ""
    """Of the content, on channels where two messages may have the same native id; otherwise ""."""
    original: IncomingAttachment | None = None
    """The message as it arrived, to be kept as a file; None when the channel keeps none."""
    origin: Origin = UNPROVEN
    """Set by the edge when it knows the origin; otherwise the origin is unproven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingReport:
    """What a provider reports about one part of a message of ours.

    `recipient`: the customer's native id. `delivery_id` and `conversation_id` are empty when the report does not repeat
    our reference; then `native_id` names the part. `at_ms`: the provider's time, in ms since the epoch.
    """

    recipient: str
    native_id: str
    state: DeliveryState
    at_ms: int
    conversation_id: str = ""
    delivery_id: str = ""
    part: int = 0
    parts: int = 0
    reason: str = ""
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is refused. `reason`: upper case, stable. `field`: a path such as `message.chat.id`, "" for the
    whole body."""

    reason: str
    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A call's content. `ignored`: the kinds of authentic events that are not used, one entry each."""

    messages: tuple[IncomingMessage, ...] = ()
    ignored: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    reports: tuple[IncomingReport, ...] = ()


@dataclass(slots=True)
class Collected:
    """Builds a `Parsed`."""

    messages: list[IncomingMessage] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    reports: list[IncomingReport] = field(default_factory=list)

    def add(self, outcome: "IncomingMessage | IncomingReport | Refusal | str") -> None:
        """Add one outcome: a message, a report, a refusal, or the name of an ignored kind."""
        if isinstance(outcome, IncomingMessage):
            self.messages.append(outcome)
        elif isinstance(outcome, IncomingReport):
            self.reports.append(outcome)
        elif isinstance(outcome, Refusal):
            self.refused.append(outcome)
        else:
            self.ignored.append(outcome)

    def done(self, groups: GroupPolicy = _EVERY_GROUP) -> Parsed:
        """Return the result. Messages of groups that `groups` does not take are ignored."""
        taken = tuple(message for message in self.messages if groups.takes(message.labels))
        untaken = ("group_message",) * (len(self.messages) - len(taken))
        return Parsed(taken, (*self.ignored, *untaken), tuple(self.refused), tuple(self.reports))
