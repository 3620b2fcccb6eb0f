"""A small domain for the lane's contract suite: it counts per key, keeps timers, and fails on demand.

Values of its input: `add`, `del` (forget the key), `poison` (refuses at once), `half` (acts, then refuses), `huge` (acts, then an oversized output),
`swallow` (the same, but swallows the exception), `bug`, `break` (the batch cannot end), `timer:<ms>`, `now` (sends the batch's clock),
`look` (writes nothing).
"""

from collections.abc import Callable
from contextlib import suppress

from services.chassis.kafka.contract import LaneContext, Outbox
from services.chassis.kafka.records import InvalidRecord, Record

OUT = "ledger.out.v1"
LIMIT = 20_000


class Ledger:
    """Implements `contract.Processor`."""

    def __init__(self, context: LaneContext, reply: Callable[[str], None]) -> None:
        self.context = context
        self.counts: dict[bytes, int] = {}
        self.timers: dict[bytes, int] = {}
        self.restored: list[bytes] = []
        self.started_at: int | None = None
        self.nows: list[int] = []
        self._reply = reply
        self.broken = False
        self.looked = 0
        self._now_ms = 0

    def restore(self, key: bytes, value: bytes) -> None:
        self.restored.append(key)
        if key.startswith(b"timer/"):
            self.timers[key] = int(value)
        elif key.startswith(b"count/"):
            self.counts[key.removeprefix(b"count/")] = int(value)

    def start(self, now_ms: int, outbox: Outbox) -> None:
        self.started_at = now_ms
        outbox.send(OUT, b"start", b"started %d" % self.context.epoch)

    def begin(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self.nows.append(now_ms)

    def handle(self, record: Record, outbox: Outbox) -> None:
        key, command = record.key or b"", record.value or b""
        match command.split(b":"):
            case [b"add"]:
                self._add(key, outbox)
            case [b"del"]:
                self.counts.pop(key, None)
                outbox.delete(b"count/" + key)
            case [b"poison"]:
                raise InvalidRecord("UNDECODABLE", "not a command")
            case [b"half"]:
                self._add(key, outbox)
                raise InvalidRecord("SECOND_THOUGHTS")
            case [b"huge"]:
                self._add(key, outbox)
                outbox.send(OUT, key, b"x" * LIMIT)
            case [b"swallow"]:
                self.counts[key] = self.counts.get(key, 0) + 1
                with suppress(InvalidRecord):
                    outbox.send(OUT, key, b"x" * LIMIT)
            case [b"bug"]:
                raise RuntimeError("a bug")
            case [b"timer", ms]:
                due = self._now_ms + int(ms)
                self.timers[b"timer/" + key] = due
                outbox.put(b"timer/" + key, b"%d" % due)
            case [b"break"]:
                self.broken = True
            case [b"look"]:
                self.looked += 1
            case [b"now"]:
                outbox.send(OUT, key, b"now %d" % self._now_ms)
            case [b"traced", value]:
                outbox.send(OUT, key, b"own", (("traceparent", value),))
            case _:
                raise InvalidRecord("UNKNOWN_COMMAND")

    def _add(self, key: bytes, outbox: Outbox) -> None:
        count = self.counts[key] = self.counts.get(key, 0) + 1
        outbox.put(b"count/" + key, b"%d" % count)
        outbox.send(OUT, key, b"count %d" % count)
        outbox.after_commit(lambda: self._reply(f"{key.decode()}={count}"))

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        for key, due in sorted(self.timers.items()):
            if due <= now_ms:
                del self.timers[key]
                outbox.delete(key)
                outbox.send(OUT, key.removeprefix(b"timer/"), b"fired")

    def end(self, outbox: Outbox) -> None:
        if self.broken:
            raise RuntimeError("a bug that no record caused")

    def next_wakeup(self) -> int | None:
        return min(self.timers.values(), default=None)
