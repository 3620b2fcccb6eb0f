"""The live side of web chat: one reader of conversations.v1 for the process, and the listeners of each identity.

Recent messages are kept in memory for a time (bounded), because the history projection is behind the log: a returning
visitor gets history and then the messages that the projection has not written yet. A message's sequence number is its
offset, so both sources agree on the order and on which messages are equal.
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
from services.ingest.domain.reasons import Reason
from services.ingest.ports import ChatMessage

CHANNEL = "webchat"
_KEPT_MESSAGES = 200
_KEPT_IDENTITIES = 20_000
_KEPT_OWNERS = 100_000

Listener = Callable[[ChatMessage], None]
_Key = tuple[str, str]
"""Tenant and id: ids are unique within a tenant only."""


class WebchatHub:
    """Distributes live messages; see the module's docstring. Everything runs in one event loop."""

    def __init__(
        self,
        keys: AwaitedKeys,
        poison: Poison,
        *,
        kept_messages: int = _KEPT_MESSAGES,
        kept_identities: int = _KEPT_IDENTITIES,
    ) -> None:
        """`kept_messages`: recent messages of one identity that are remembered; `kept_identities`: identities with
        remembered messages."""
        self._kept_messages = kept_messages
        self._kept_identities = kept_identities
        self._keys = keys
        self._poison = poison
        self._listeners: dict[_Key, set[Listener]] = {}
        self._recent: OrderedDict[_Key, deque[ChatMessage]] = OrderedDict()
        """Recent messages by identity."""
        self._remembered_of: dict[_Key, dict[_Key, int]] = {}
        """Messages in `_recent` by conversation, counted by identity, so that an erasure visits only the messages that
        it erases."""
        self._owners: OrderedDict[_Key, str] = OrderedDict()

    async def run(self, records: AsyncIterator[Record]) -> None:
        """Read until cancelled."""
        async with aclosing(records) as stream:  # type: ignore[type-var]  # it is a generator; its type says iterator
            async for record in stream:
                await when_ready(self._keys, record)
                self._poison.guard(record, self.take)

    def take(self, record: Record) -> None:
        """Handle one record of conversations.v1. Raises InvalidRecord."""
        try:
            decoded = records_pb2.ConversationRecord.FromString(record.value or b"")
            unseal(decoded, self._keys, record.topic, record.key or b"")
        except DecodeError as error:
            raise InvalidRecord(Reason.UNDECODABLE, "not a ConversationRecord") from error
        except Unsealable as error:
            raise InvalidRecord(Reason.UNSEALABLE, str(error)) from error
        self._note_owner(decoded)
        if decoded.WhichOneof("record") == "erased":
            self._forget((decoded.tenant, decoded.conversation_id))
            return
        if decoded.WhichOneof("record") != "message":
            return
        seen = ChatMessage(
            decoded.conversation_id, decoded.identity_id, record.offset, decoded.occurred_at_ms, decoded.message
        )
        if decoded.message.channel != CHANNEL:
            return
        # A linked identity writes in its person's conversation, whose own identity may be another one.
        identities = {decoded.identity_id}
        if decoded.message.author_kind == 1:
            identities.add(decoded.message.author_id)
        for identity_id in identities:
            self._remember(decoded.tenant, identity_id, seen)
            for listener in tuple(self._listeners.get((decoded.tenant, identity_id), ())):
                listener(seen)

    def owner(self, tenant: str, conversation_id: str) -> str | None:
        """Return the identity that a conversation was with when it was last seen; None when it has not been seen recently."""
        return self._owners.get((tenant, conversation_id))

    @contextmanager
    def listening(self, tenant: str, identity_id: str, listener: Listener) -> Iterator[None]:
        """Call `listener` with each web chat message of this identity, as it is read. It must not block."""
        key = (tenant, identity_id)
        group = self._listeners.setdefault(key, set())
        group.add(listener)
        try:
            yield
        finally:
            group.discard(listener)
            if not group and self._listeners.get(key) is group:
                del self._listeners[key]

    def recent(self, tenant: str, identity_id: str) -> tuple[ChatMessage, ...]:
        """Return the recent messages of this identity, in the order of the log."""
        return tuple(self._recent.get((tenant, identity_id), ()))

    def _note_owner(self, record: records_pb2.ConversationRecord) -> None:
        if not record.identity_id:
            return
        key = (record.tenant, record.conversation_id)
        self._owners[key] = record.identity_id
        self._owners.move_to_end(key)
        if len(self._owners) > _KEPT_OWNERS:
            self._owners.popitem(last=False)

    def _remember(self, tenant: str, identity_id: str, message: ChatMessage) -> None:
        key = (tenant, identity_id)
        kept = self._recent.get(key)
        if kept is None:
            if len(self._recent) >= self._kept_identities:
                (longest_ago, dropped) = self._recent.popitem(last=False)
                for each in dropped:
                    self._uncount(longest_ago, each)
            kept = self._recent[key] = deque()
        else:
            self._recent.move_to_end(key)
            if len(kept) >= self._kept_messages:
                self._uncount(key, kept.popleft())
        kept.append(message)
        counts = self._remembered_of.setdefault((tenant, message.conversation_id), {})
        counts[key] = counts.get(key, 0) + 1

    def _uncount(self, key: _Key, message: ChatMessage) -> None:
        conversation = (key[0], message.conversation_id)
        counts = self._remembered_of[conversation]
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
        if not counts:
            del self._remembered_of[conversation]

    def _forget(self, conversation: _Key) -> None:
        for key in self._remembered_of.pop(conversation, ()):
            left = [message for message in self._recent[key] if message.conversation_id != conversation[1]]
            if left:
                self._recent[key] = deque(left)
            else:
                del self._recent[key]
