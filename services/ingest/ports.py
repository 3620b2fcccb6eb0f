"""The interfaces that the edges need from other parts."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.ingest.domain.files.places import FilePlace
from services.ingest.domain.files.policy import FilePolicy, FileRefusal
from services.ingest.domain.reach import Reach


@dataclass(frozen=True, slots=True)
class Account:
    """A configured account of a channel. `secrets` holds references (`env:…`, `file:…`), never secrets."""

    tenant: str
    channel: str
    account: str
    secrets: Mapping[str, str]
    settings: Mapping[str, str]
    default_language: str


class Accounts(Protocol):
    """The accounts of all tenants, as configured now."""

    def find(self, tenant: str, channel: str, account: str) -> Account | None:
        """Return the account, or None when there is none."""

    def by_address(self, address: str) -> Account | None:
        """Return the e-mail account that receives for this address (lower case, without a plus-tag)."""


class AgentQueues(Protocol):
    """The queues that a tenant's agents serve, as configured now."""

    def of(self, tenant: str) -> Mapping[str, frozenset[str]]:
        """Return queues by agent id. Agents whom the configuration does not name are absent."""


class Secrets(Protocol):
    """Resolves references to secrets, at each use."""

    def get(self, account: Account, name: str) -> str | None:
        """Return the account's secret of this name; None when it has none. Raises FAILED_PRECONDITION when it can't be
        read."""


class Publisher(Protocol):
    """The log that makes a message durable."""

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        """Append (identity, record) to inbound.v1 under the key tenant/identity; returns when the broker has
        acknowledged all.

        Raises UNAVAILABLE when the broker has not acknowledged in time: some records may be durable anyway, and a
        retry has the same ids. Raises TOO_LARGE for a record that the log can't accept; then none was sent.
        """


class Questions(Protocol):
    """Requests that are answered when the lane has decided."""

    async def ask(self, identity_id: str, record: records_pb2.InboundRecord) -> None:
        """Return when the request is carried out. Raises the lane's refusal, UNAVAILABLE NOT_DECIDED, and the errors of
        `publish`."""


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """Bytes of the store: their number, and the bytes in pieces of bounded size."""

    size: int
    pieces: AsyncIterator[bytes]


class FileStore(Protocol):
    """Bytes under keys (`domain.files.places`). They are sealed already; the store knows nothing of their meaning.

    Every method raises UNAVAILABLE FILES_AWAY when the store can't be used now.
    """

    async def put(self, key: str, content: bytes | AsyncIterator[bytes]) -> None:
        """Store the bytes durably under the key, in the place of earlier ones. When `content` raises, nothing is stored and
        its error is raised."""

    async def get(self, key: str) -> StoredBytes:
        """Return the bytes. Raises NOT_FOUND FILE_GONE."""

    async def delete(self, key: str) -> None:
        """Delete the bytes under the key, if there are any."""

    async def delete_under(self, prefix: str) -> int:
        """Delete everything whose key begins with the prefix, which ends with a slash; return how many there were."""

    def older(self, prefix: str, before_ms: int) -> AsyncIterator[str]:
        """Yield the keys below the prefix that were written before a time."""


class Scanner(Protocol):
    """Looks for malicious content."""

    async def is_clean(self, content: AsyncIterator[bytes]) -> bool:
        """Return whether nothing was found. Raises UNAVAILABLE SCANNER_AWAY: the file is then neither clean nor infected."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a file. Without a refusal it is stored. Size in bytes."""

    place: FilePlace
    name: str
    content_type: str
    size: int
    sha256: str = ""
    refusal: FileRefusal = FileRefusal.NONE


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A stored file. The size in bytes is of all pieces."""

    name: str
    content_type: str
    size: int
    pieces: AsyncIterator[bytes]


class Files(Protocol):
    """The files of customers: sealed with their owner's key, within the limits of the policy.

    Every method raises UNAVAILABLE: FILES_AWAY, or while the keys of persons can't be read.
    """

    @property
    def policy(self) -> FilePolicy:
        """Return the limits."""

    async def keep(
        self, place: FilePlace, name: str, content: bytes | AsyncIterator[bytes], *, original: str = ""
    ) -> Kept:
        """Store a file. It is refused when it is too large, or its type, found from its bytes, is not allowed; then nothing
        of it is stored. With a scanner, an infected file is refused too, and its bytes are moved to quarantine. An error of
        `content` is raised as it is. `original`: the type of a message as it arrived, which is
        kept whatever it is; its edge has limited it."""

    async def open(self, place: FilePlace) -> OpenedFile:
        """Return a stored file. Raises NOT_FOUND FILE_GONE, also when the owner was erased."""

    async def forget(self, tenant: str, owner_id: str) -> int:
        """Delete all files of an owner; return how many there were."""


class Thumbnails(Protocol):
    """The small images of stored images."""

    async def exists(self, image: FilePlace) -> bool:
        """Return whether the image has a thumbnail (`FilePlace.thumbnail`), after making it if that was not tried yet.
        Raises NOT_FOUND FILE_GONE when the image is gone; UNAVAILABLE."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that a message names. `place` is None when there are no bytes to download."""

    attachment: records_pb2.Attachment
    place: FilePlace | None


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of a conversation as web chat shows it."""

    conversation_id: str
    identity_id: str
    sequence: int
    occurred_at_ms: int
    message: records_pb2.ConversationMessage


class ChatHistory(Protocol):
    """The history that web chat reads when a visitor comes back."""

    async def owner(self, tenant: str, conversation_id: str) -> str | None:
        """Return the identity that the conversation is with; None when it is not known."""

    async def after(self, tenant: str, conversation_id: str, sequence: int, most: int) -> Sequence[ChatMessage]:
        """Return its messages after a sequence number, oldest first, at most `most`."""

    async def newest(self, tenant: str, identity_id: str, channel: str, most: int) -> Sequence[ChatMessage]:
        """Return the newest messages on a channel of all conversations with this identity: one conversation after the
        other, in order within each."""


class IdentityOf(Protocol):
    """Looks up the identity that a conversation is with."""

    async def __call__(self, tenant: str, conversation_id: str) -> str | None:
        """Return the identity; None when the conversation is not known to this tenant."""


@dataclass(frozen=True, slots=True)
class Resendable:
    """A delivery with what is needed to send it again. `text` is empty when it is not known, or the person was erased."""

    delivery: records_pb2.DeliveryRecord
    identity_id: str
    text: str
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    """The recipients of a mail."""
    attachments: Sequence[records_pb2.Attachment] = ()
    template: types_pb2.TemplateChoice | None = None
    """The approved template that was to be sent; `text` has its words."""


class Deliveries(Protocol):
    """The states of deliveries."""

    async def delivery(self, tenant: str, delivery_id: str) -> records_pb2.DeliveryRecord | None:
        """Return the newest record of a delivery."""

    async def resendable(self, reach: Reach, delivery_id: str) -> Resendable | None:
        """Return a delivery of a conversation within reach; None when it is not known."""


@dataclass(frozen=True, slots=True)
class SameAddress:
    """An identity of another person that has the same proven address as `same_as`."""

    identity: records_pb2.Identity
    person_id: str
    same_as: str


@dataclass(frozen=True, slots=True)
class HeldPreferences:
    """How a person wants to be reached."""

    opt_outs: Sequence[records_pb2.HeldOptOut]
    preferred_channel: str


class People(Protocol):
    """The identities of persons."""

    async def identities(self, tenant: str, person_id: str) -> Sequence[records_pb2.Identity]:
        """Return a person's identities; none when the person is not known."""

    async def preferences(self, tenant: str, person_id: str) -> HeldPreferences:
        """Return how a person wants to be reached."""

    async def same_addresses(self, tenant: str, person_id: str, most: int) -> Sequence[SameAddress]:
        """Return identities of other persons with the same proven address as one of this person's."""


class Blocks(Protocol):
    """The senders that are blocked."""

    async def list(
        self, tenant: str, request: ingest_pb2.ListBlockedRequest, now_ms: int
    ) -> ingest_pb2.ListBlockedResponse:
        """Return a page of the senders that are blocked at this time, the last end first. Raises INVALID."""

    async def of_person(self, tenant: str, person_id: str, now_ms: int) -> Sequence[ingest_pb2.BlockedSender]:
        """Return the blocks of a person's identities that hold at this time."""


class Traces(Protocol):
    """Everything known of a person, past and present."""

    async def traces(
        self, tenant: str, person_id: str, identity_ids: Sequence[str]
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Return the person's identities with those of the given ones that are known; and all their conversations."""


class History(Protocol):
    """History, in the contract's types. Data out of the caller's reach is NOT_FOUND; a bad cursor is INVALID."""

    async def conversation(
        self, reach: Reach, request: ingest_pb2.GetConversationRequest
    ) -> ingest_pb2.GetConversationResponse:
        """Return a conversation and a page of its messages, oldest first."""

    def watch(
        self, reach: Callable[[], Reach], conversation_id: str, after_sequence: int, *, changes: bool = False
    ) -> AsyncIterator[ingest_pb2.MessageView]:
        """Yield messages after a sequence number, then new ones, while the conversation is within reach. `changes`: also a
        message whose delivery has changed, again.

        `reach` returns the caller's current reach, which may change during the watch.
        """

    async def search(
        self, reach: Reach, request: ingest_pb2.SearchConversationsRequest
    ) -> ingest_pb2.SearchConversationsResponse:
        """Return conversations, newest first."""

    async def interaction(self, reach: Reach, interaction_id: str) -> ingest_pb2.GetInteractionResponse:
        """Return the whole story of an interaction."""

    async def file(self, reach: Reach, conversation_id: str, message_id: str, file_id: str) -> FoundFile:
        """Return a file of a message: an attachment, its thumbnail, or the message as it arrived."""

    async def interactions(
        self, reach: Reach, request: ingest_pb2.ListInteractionsRequest
    ) -> ingest_pb2.ListInteractionsResponse:
        """Return interactions, newest first."""
