"""The domain of the chaos campaign: per key a count and a chain of hashes, so that the state shows any loss, duplicate or reordering."""

import hashlib
from collections.abc import Callable

from services.chassis.kafka.contract import LaneContext, LaneSpec, Outbox
from services.chassis.kafka.records import Record

SPEC = LaneSpec("fold", "fold.in.v1", "fold.state.v1", "fold")
OUT = "fold.out.v1"

State = tuple[int, str]


def follow(state: State, number: bytes) -> State:
    """Return the state after one more record."""
    count, chain = state
    return count + 1, hashlib.sha256(chain.encode() + number).hexdigest()[:16]


def encode(state: State) -> bytes:
    return f"{state[0]}:{state[1]}".encode()


def decode(value: bytes) -> State:
    count, chain = value.decode().split(":")
    return int(count), chain


class Fold:
    """Implements `contract.Processor`."""

    def __init__(self, context: LaneContext, reply: Callable[[bytes], None]) -> None:
        self._partition = context.partition
        self._reply = reply
        self._states: dict[bytes, State] = {}

    def restore(self, key: bytes, value: bytes) -> None:
        self._states[key] = decode(value)

    def start(self, now_ms: int, outbox: Outbox) -> None: ...

    def begin(self, now_ms: int) -> None: ...

    def handle(self, record: Record, outbox: Outbox) -> None:
        key, number = record.key or b"", record.value or b""
        state = self._states[key] = follow(self._states.get(key, (0, "")), number)
        outbox.put(key, encode(state))
        outbox.send(OUT, key, b"%d:%b" % (self._partition, number))
        outbox.after_commit(lambda: self._reply(number))

    def advance(self, now_ms: int, outbox: Outbox) -> None: ...

    def end(self, outbox: Outbox) -> None: ...

    def next_wakeup(self) -> int | None:
        return None
