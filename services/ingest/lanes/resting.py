"""The states of closed work of one partition, packed: what must be remembered of a customer or a conversation without
open work, in about 150 bytes.

    open work (objects) ──`put` at the end of the batch──▶ packed ──`take` at the next record, or when it is due──▶ objects

A state consists of an encoded value (as in the changelog), the ids of handled messages (`SeenIds.packed`), and the key that
sealed its entry. Nothing here is written anywhere: the changelog has the same entries, whether work is open or closed.

Timers of packed states are rounded up to ten minutes, so that one entry of 16 bytes per state is enough. Nothing that
happens then is visible to a customer: states leave the memory.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from services.chassis.packed_table import DIGEST_BYTES, PackedTable, digest_of
from services.ingest.lanes.packer import Account, Packer

SLOT_MS: Final = 600_000
RESTORED_TOGETHER: Final = 20
"""A restore packs after this number of states, because the entries of a state are often close together in a changelog."""
_HEAD: Final = 1 + 3
_HAS_VALUE: Final = 1
_NO_ACCOUNT: Final = ("", "", "")


@dataclass(frozen=True, slots=True)
class State:
    """A state at rest. `value`: the encoded object, None when only ids are remembered. `key`: see `EntryKeys.put_away`.
    `due_ms`: when it must be looked at; None: not before another record."""

    value: bytes | None
    seen: bytes = b""
    key: bytes = b""
    due_ms: int | None = None


class RestingStates:
    """Packed states by name. In the table: flags (1), slot (3), key (up to 16), name and value packed, ids."""

    def __init__(self, sample: Callable[[Account], tuple[str, Iterable[bytes]]]) -> None:
        """`sample`: the name and the encoded value of states like those of an account."""
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[str]).decode
        self._packer = Packer(lambda account: self._samples(*sample(account)))
        self._table = PackedTable()
        self._slots: dict[int, bytearray] = {}
        """The digests of the states that are due, by slot, and of some that were."""
        self._heap: list[int] = []
        self._taken: dict[bytes, int] = {}
        """The slots in which the digests of states wait that were taken meanwhile."""
        self._not_before_ms = 0

    def __len__(self) -> int:
        return len(self._table)

    def put(self, name: str, account: Account | None, state: State) -> None:
        """Add a state. `account`: whose other states are similar; None: unknown."""
        slot = 0 if state.due_ms is None else -(-state.due_ms // SLOT_MS)
        flags = len(state.key) << 1 | (_HAS_VALUE if state.value is not None else 0)
        packed = self._packer.pack(account or _NO_ACCOUNT, self._plain(name, state.value or b""))
        digest = digest_of(name)
        self._table.put(digest, b"".join((bytes((flags,)), slot.to_bytes(3, "big"), state.key, packed, state.seen)))
        if slot and self._taken.pop(digest, 0) != slot:
            waiting = self._slots.get(slot)
            if waiting is None:
                waiting = self._slots[slot] = bytearray()
                heapq.heappush(self._heap, slot)
            waiting += digest

    def take(self, name: str) -> State | None:
        """Remove and return a state; None when there is none."""
        digest = digest_of(name)
        packed = self._table.pop(digest)
        if packed is None:
            return None
        slot = _slot_of(packed)
        if slot in self._slots:
            self._taken[digest] = slot
        return self._unpacked(packed)[1]

    def next(self) -> int | None:
        """Return when `pop_due` next returns something, ms."""
        return max(self._heap[0] * SLOT_MS, self._not_before_ms) if self._heap else None

    def pop_due(self, now_ms: int, most: int = 1_000) -> list[str]:
        """Return the names of at most `most` states that are due. The caller takes each of them."""
        found: list[str] = []
        while self._heap and self._heap[0] * SLOT_MS <= now_ms and len(found) < most:
            slot = self._heap[0]
            waiting = self._slots[slot]
            for digest in _last(waiting, most - len(found)):
                self._taken.pop(digest, None)
                packed = self._table.get(digest)
                # A state that was taken and put again is in another slot.
                if packed is not None and _slot_of(packed) == slot:
                    found.append(self._unpacked(packed)[0])
            if not waiting:
                heapq.heappop(self._heap)
                del self._slots[slot]
        self._not_before_ms = now_ms + 1  # the rest of a slot must not keep records waiting
        return found

    def _samples(self, name: str, values: Iterable[bytes]) -> bytes:
        return b"".join(self._plain(name, value) for value in values)

    def _plain(self, name: str, value: bytes) -> bytes:
        named = self._encode(name.split("/"))
        return len(named).to_bytes(2, "big") + named + value

    def _unpacked(self, packed: bytes) -> tuple[str, State]:
        key_end = _HEAD + (packed[0] >> 1)
        plain, seen = self._packer.unpack(packed[key_end:])
        end = 2 + int.from_bytes(plain[:2], "big")
        value = plain[end:] if packed[0] & _HAS_VALUE else None
        slot = _slot_of(packed)
        due_ms = slot * SLOT_MS if slot else None
        return "/".join(self._decode(plain[2:end])), State(value, seen, packed[_HEAD:key_end], due_ms)


def _slot_of(packed: bytes) -> int:
    return int.from_bytes(packed[1:_HEAD], "big")


def _last(waiting: bytearray, most: int) -> Iterable[bytes]:
    """Remove and return up to `most` digests from the end."""
    some = bytes(waiting[-most * DIGEST_BYTES :])
    del waiting[-most * DIGEST_BYTES :]
    return [some[at : at + DIGEST_BYTES] for at in range(0, len(some), DIGEST_BYTES)]
