"""Converts the intake lane's state to the entries of its changelog and back.

State is MessagePack of the core's own values: additive changes (fields with defaults) restore old entries.
"""

from typing import Any, Final

from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.ingest.domain.blocking import Block
from services.ingest.domain.conversations import Customer
from services.ingest.domain.seen import Chunk

CUSTOMER_STATE: Final = b"c/"
SEEN_STATE: Final = b"s/"
BLOCK_STATE: Final = b"b/"


class IntakeState:
    """Encodes the intake lane's changelog entries."""

    def __init__(self) -> None:
        self._entries = ChangelogCodec[Customer | Chunk | Block](Any)
        self._customers = ChangelogCodec[Customer](Customer)
        self._chunks = ChangelogCodec[Chunk](Chunk)
        self._blocks = ChangelogCodec[Block](Block)

    def customer_key(self, key: str) -> bytes:
        """Return the entry of a customer; keys are tenant/identity."""
        return CUSTOMER_STATE + key.encode()

    def seen_key(self, key: str, number: int) -> bytes:
        """Return the entry of a chunk of ids."""
        return SEEN_STATE + key.encode() + b"/%d" % number

    def customer_owner(self, entry: bytes) -> str:
        """Return the customer's key of an entry."""
        return entry[len(CUSTOMER_STATE) :].decode()

    def seen_owner(self, entry: bytes) -> str:
        """Return the key of the identity of a chunk."""
        return entry[len(SEEN_STATE) :].rpartition(b"/")[0].decode()

    def block_key(self, key: str) -> bytes:
        """Return the entry of a blocked sender; keys are tenant/identity."""
        return BLOCK_STATE + key.encode()

    def block_owner(self, entry: bytes) -> str:
        """Return the sender's key of an entry."""
        return entry[len(BLOCK_STATE) :].decode()

    def encode(self, value: Customer | Chunk | Block) -> bytes:
        """Encode an entry's value."""
        return self._entries.encode(value)

    def customer(self, value: bytes) -> Customer:
        """Decode a customer. Raises UnknownVersion, and msgspec.MsgspecError for invalid bytes."""
        return self._customers.decode(value)

    def chunk(self, value: bytes) -> Chunk:
        """Decode a chunk. Raises UnknownVersion, and msgspec.MsgspecError for invalid bytes."""
        return self._chunks.decode(value)

    def block(self, value: bytes) -> Block:
        """Decode a block. Raises UnknownVersion, and msgspec.MsgspecError for invalid bytes."""
        return self._blocks.decode(value)
