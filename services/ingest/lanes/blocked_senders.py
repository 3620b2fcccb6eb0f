"""The block list of one partition of the intake lane: its entries in the changelog (`b/…`), and what it changes.

An entry has an id and a time, so it is not sealed, and outlives the erasure of its person. A block ends at its time without a
record: history knows the time.
"""

from dataclasses import replace

from chapar.ingest.v1 import records_pb2
from services.chassis.kafka.lane import InvalidRecord, Outbox
from services.chassis.keys import tenant_key
from services.chassis.privacy.sealing import DataKey, bare, seal
from services.ingest.domain.blocking import Block, BlockList
from services.ingest.domain.intake import Event
from services.ingest.domain.messages import SendRequest
from services.ingest.domain.reasons import Reason
from services.ingest.lanes.inbound_records import event_of
from services.ingest.lanes.timers import Timers
from services.ingest.translate import headers
from services.ingest.translate.headers import CONVERSATIONS
from services.ingest.translate.intake_state import IntakeState
from services.ingest.translate.persons import block_for_history


class BlockedSenders:
    """Holds the list. Keys are tenant/identity."""

    def __init__(self, state: IntakeState, most: int) -> None:
        self._state = state
        self._list = BlockList(most)
        self._ends = Timers()

    def restore(self, entry: bytes, value: bytes) -> None:
        """Restore an entry of the changelog."""
        self._put(self._state.block_owner(entry), self._state.block(value).until_ms)

    def holds(self, key: str, now_ms: int) -> bool:
        """Return whether this sender is blocked at this time."""
        return self._list.holds(key, now_ms)

    def event_of(self, key: str, inbound: records_pb2.InboundRecord, now_ms: int) -> Event:
        """Return the event of a record, marked if its sender is blocked. Raises InvalidRecord.

        The mark of a message stays in the record when another identity's lane decides about it.
        """
        if not self._list.holds(key, now_ms):
            return event_of(inbound)
        identity_id = key.partition("/")[2]
        if inbound.HasField("message") and inbound.message.identity.identity_id == identity_id:
            inbound.message.blocked = True
        event = event_of(inbound)
        return replace(event, blocked_identity=identity_id) if isinstance(event, SendRequest) else event

    def change(
        self, key: str, asked: records_pb2.SenderBlock, own: DataKey | None, outbox: Outbox, now_ms: int
    ) -> None:
        """Block the sender, or end the block. `own` seals the note. Raises InvalidRecord when the list is full."""
        tenant, _, identity_id = key.partition("/")
        blocks = now_ms < asked.until_ms
        if not blocks and not self._list.holds(key, now_ms):
            return
        if blocks and not self._list.has_room(key):
            raise InvalidRecord(
                Reason.TOO_MANY_BLOCKED, "the tenant's block list is full: end blocks, or wait for ends"
            )
        told = block_for_history(asked, tenant, identity_id, now_ms)
        at = tenant_key(tenant, identity_id)
        value = seal(told, own, CONVERSATIONS, at) if own is not None else bare(told)
        outbox.send(CONVERSATIONS, at, value, headers.of_conversation(told))
        if blocks:
            outbox.put(self._state.block_key(key), self._state.encode(Block(asked.until_ms)))
            self._put(key, asked.until_ms)
        else:
            self._remove(key, outbox)

    def next_end(self) -> int | None:
        """Return when the next block ends, in ms."""
        return self._ends.next()

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """Remove the blocks whose time is over."""
        for key in self._ends.pop_due(now_ms):
            self._remove(key, outbox)

    def _put(self, key: str, until_ms: int) -> None:
        self._list.put(key, until_ms)
        self._ends.set(key, until_ms)

    def _remove(self, key: str, outbox: Outbox) -> None:
        outbox.delete(self._state.block_key(key))
        self._list.remove(key)
        self._ends.set(key, None)
