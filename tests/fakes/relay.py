"""A relay without Kafka: converts records as the real one does, and hands them to the test.

relay = FakeRelay(convert, "routing.events.v1")
sent = relay.handle(b"value", key=b"k")        # the record that it writes, in a list, or none
again = relay.handle_again()                   # the newest record once more, as after a failed commit of its offset
relay.dead_letters                             # (record, error) pairs
"""

from services.chassis.kafka.outbox import Send
from services.chassis.kafka.records import Headers, InvalidRecord, Record
from services.chassis.kafka.relay import Convert
from services.chassis.kafka.relayed import relayed_from


class FakeRelay:
    """See the module's docstring."""

    def __init__(
        self, convert: Convert, input_topic: str, *, partition: int = 0, now_ms: int = 1_700_000_000_000
    ) -> None:
        self.now_ms = now_ms
        self.sent: list[Send] = []
        self.dead_letters: list[tuple[Record, InvalidRecord]] = []
        self._convert = convert
        self._topic = input_topic
        self._partition = partition
        self._input: list[Record] = []

    def handle(self, value: bytes | None, *, key: bytes | None = b"key", headers: Headers = ()) -> list[Send]:
        """Relay the next record of the input."""
        record = Record(self._topic, self._partition, len(self._input), self.now_ms, key, value, headers)
        self._input.append(record)
        return self._relay(record)

    def handle_again(self) -> list[Send]:
        """Relay the newest record once more."""
        return self._relay(self._input[-1])

    def advance(self, ms: int) -> None:
        """Move the clock."""
        self.now_ms += ms

    def _relay(self, record: Record) -> list[Send]:
        try:
            send = self._convert(record)
        except InvalidRecord as verdict:
            self.dead_letters.append((record, verdict))
            return []
        if send is None:
            return []
        written = [send._replace(headers=(*send.headers, relayed_from(record)))]
        self.sent += written
        return written
