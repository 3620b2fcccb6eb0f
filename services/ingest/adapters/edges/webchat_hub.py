"""The live side of web chat: one reader of conversations.v1 for the process, and who listens to what.

What was read lately is remembered for a while (bounded), because the history projection is behind the log: a visitor who
comes back gets history and then what the projection has not written yet. A message's sequence number is its offset, so
both sources agree on order and on what is the same.
"""

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager

from google.protobuf.message import DecodeError

from chapar.ingest.v1 import records_pb2
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.privacy.lanes import AwaitedKeys, when_ready
from services.chassis.privacy.sealing import Unsealable, unseal
from services.ingest.ports import ChatMessage

CHANNEL = "webchat"
_KEPT_MESSAGES = 200
_KEPT_IDENTITIES = 20_000
_KEPT_OWNERS = 100_000

Listener = Callable[[ChatMessage], None]


class WebchatHub:
    """See the module. Everything runs in one event loop."""

    def __init__(self, keys: AwaitedKeys, poison: Poison) -> None:
        self._keys = keys
        self._poison = poison
        self._listeners: dict[str, set[Listener]] = {}
        self._recent: OrderedDict[str, deque[ChatMessage]] = OrderedDict()
        self._everybody: set[Listener] = set()
        self._owners: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def run(self, records: AsyncIterator[Record]) -> None:
        """Reads until cancelled."""
        async with aclosing(records) as stream:  # type: ignore[type-var]  # it is a generator; its type says iterator
            async for record in stream:
                await when_ready(self._keys, record)
                self._poison.guard(record, self.take)

    def take(self, record: Record) -> None:
        """One record of conversations.v1. Raises InvalidRecord."""
        try:
            decoded = records_pb2.ConversationRecord.FromString(record.value or b"")
            unseal(decoded, self._keys, record.topic, record.key or b"")
        except DecodeError as error:
            raise InvalidRecord("UNDECODABLE", "not a ConversationRecord") from error
        except Unsealable as error:
            raise InvalidRecord("UNSEALABLE", str(error)) from error
        self._note_owner(decoded)
        if decoded.WhichOneof("record") == "erased":
            self._forget(decoded.conversation_id)
            return
        if decoded.WhichOneof("record") != "message":
            return
        seen = ChatMessage(
            decoded.conversation_id, decoded.identity_id, record.offset, decoded.occurred_at_ms, decoded.message
        )
        for listener in tuple(self._everybody):
            listener(seen)
        if decoded.message.channel != CHANNEL:
            return
        # A linked identity writes in its person's conversation, whose own identity may be another one.
        identities = {decoded.identity_id}
        if decoded.message.author_kind == 1:
            identities.add(decoded.message.author_id)
        for identity_id in identities:
            self._remember(identity_id, seen)
            for listener in tuple(self._listeners.get(identity_id, ())):
                listener(seen)

    def owner(self, tenant: str, conversation_id: str) -> str | None:
        """The identity that a conversation was with when it was last seen; None when it has not been seen lately."""
        return self._owners.get((tenant, conversation_id))

    @contextmanager
    def listening(self, identity_id: str, listener: Listener) -> Iterator[None]:
        """Calls `listener` with each web chat message of this identity, as it is read. It must not block."""
        group = self._listeners.setdefault(identity_id, set())
        group.add(listener)
        try:
            yield
        finally:
            group.discard(listener)
            if not group and self._listeners.get(identity_id) is group:
                del self._listeners[identity_id]

    @contextmanager
    def watching(self, listener: Listener) -> Iterator[None]:
        """Calls `listener` with every message of every channel. It must not block."""
        self._everybody.add(listener)
        try:
            yield
        finally:
            self._everybody.discard(listener)

    def recent(self, identity_id: str) -> tuple[ChatMessage, ...]:
        """What was read lately of this identity, in the order of the log."""
        return tuple(self._recent.get(identity_id, ()))

    def _note_owner(self, record: records_pb2.ConversationRecord) -> None:
        if not record.identity_id:
            return
        key = (record.tenant, record.conversation_id)
        self._owners[key] = record.identity_id
        self._owners.move_to_end(key)
        if len(self._owners) > _KEPT_OWNERS:
            self._owners.popitem(last=False)

    def _remember(self, identity_id: str, message: ChatMessage) -> None:
        kept = self._recent.get(identity_id)
        if kept is None:
            if len(self._recent) >= _KEPT_IDENTITIES:
                self._recent.popitem(last=False)
            kept = self._recent[identity_id] = deque(maxlen=_KEPT_MESSAGES)
        else:
            self._recent.move_to_end(identity_id)
        kept.append(message)

    def _forget(self, conversation_id: str) -> None:
        for identity_id, kept in list(self._recent.items()):
            left = [message for message in kept if message.conversation_id != conversation_id]
            if len(left) != len(kept):
                self._recent[identity_id] = deque(left, maxlen=_KEPT_MESSAGES)
