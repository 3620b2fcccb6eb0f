"""What the edges need of others, in their own words."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chapar.ingest.v1 import ingest_pb2, records_pb2
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
        """The account, None when there is none."""

    def by_address(self, address: str) -> Account | None:
        """The e-mail account that receives for this address (lower case, without a plus-tag)."""


class AgentQueues(Protocol):
    """Which queues the agents of a tenant serve, as configured now."""

    def of(self, tenant: str) -> Mapping[str, frozenset[str]]:
        """Queues by agent id; agents whom the configuration does not name are absent."""


class Secrets(Protocol):
    """Turns references into secrets, at each use."""

    def get(self, account: Account, name: str) -> str | None:
        """The account's secret of this name; None when it has none. Raises FAILED_PRECONDITION when it can't be read."""


class Publisher(Protocol):
    """The log that makes a message durable."""

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        """Appends (identity, record) to inbound.v1 under the key tenant/identity; returns when the broker has acknowledged all.

        Raises UNAVAILABLE when it has not in time: some may be durable all the same, and a retry has the same ids.
        Raises TOO_LARGE for a record that the log can't take; then none was sent.
        """


class Questions(Protocol):
    """Requests that are answered when the lane has decided."""

    async def ask(self, identity_id: str, record: records_pb2.InboundRecord) -> None:
        """Returns when the request is carried out. Raises what the lane refuses it for, UNAVAILABLE NOT_DECIDED, and as `publish`."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of a conversation as web chat shows it."""

    conversation_id: str
    identity_id: str
    sequence: int
    occurred_at_ms: int
    message: records_pb2.ConversationMessage


class ChatHistory(Protocol):
    """What web chat reads when a visitor comes back."""

    async def owner(self, tenant: str, conversation_id: str) -> str | None:
        """The identity that the conversation is with; None when it is not known."""

    async def after(self, tenant: str, conversation_id: str, sequence: int, most: int) -> Sequence[ChatMessage]:
        """Its messages after a sequence number, oldest first, at most so many."""

    async def newest(self, tenant: str, identity_id: str, channel: str, most: int) -> Sequence[ChatMessage]:
        """The newest messages on a channel of all conversations with this identity, one conversation after the other, in order within each."""


class IdentityOf(Protocol):
    """Who a conversation is with."""

    async def __call__(self, tenant: str, conversation_id: str) -> str | None:
        """The identity; None when the conversation is not known to this tenant."""


class Deliveries(Protocol):
    """What became of what was sent."""

    async def delivery(self, tenant: str, delivery_id: str) -> records_pb2.DeliveryRecord | None:
        """The newest record of a delivery."""


class People(Protocol):
    """Who belongs together."""

    async def identities(self, tenant: str, person_id: str) -> Sequence[records_pb2.Identity]:
        """A person's identities; none when it is not known."""


class Traces(Protocol):
    """What is known of a person, past and present."""

    async def traces(
        self, tenant: str, person_id: str, identity_ids: Sequence[str]
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Identities of the person and those of the given ones that are known; and all their conversations."""


class History(Protocol):
    """What happened, as the contract answers it. What is out of the caller's reach is NOT_FOUND; a bad cursor is INVALID."""

    async def conversation(
        self, reach: Reach, request: ingest_pb2.GetConversationRequest
    ) -> ingest_pb2.GetConversationResponse:
        """A conversation and a page of its messages, oldest first."""

    def watch(
        self, reach: Callable[[], Reach], conversation_id: str, after_sequence: int
    ) -> AsyncIterator[ingest_pb2.MessageView]:
        """Messages after a sequence number, then new ones, while the conversation is within reach.

        `reach` returns the caller's reach now; it changes while the watch lasts.
        """

    async def search(
        self, reach: Reach, request: ingest_pb2.SearchConversationsRequest
    ) -> ingest_pb2.SearchConversationsResponse:
        """Conversations, newest first."""

    async def interaction(self, reach: Reach, interaction_id: str) -> ingest_pb2.GetInteractionResponse:
        """The whole story of an interaction."""

    async def interactions(
        self, reach: Reach, request: ingest_pb2.ListInteractionsRequest
    ) -> ingest_pb2.ListInteractionsResponse:
        """Interactions, newest first."""
