"""Records as they are read from the log, and the error for records that a lane refuses."""

from typing import Final, NamedTuple

Headers = tuple[tuple[str, bytes], ...]

EPOCH_HEADER: Final = "lane-epoch"
"""On every record that a lane writes: the number of the ownership that wrote it, in decimal digits."""

TRACE_HEADERS: Final = ("traceparent", "tracestate")
"""Copied from the record being handled to the outputs that it causes, unless the processor sets them itself."""


class Record(NamedTuple):  # a tuple and not a dataclass: it is made in a quarter of the time, once per record read
    """One record of the log. `topic` is the logical name, without the installation's prefix; times are ms since the epoch, UTC."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class InvalidRecord(Exception):  # noqa: N818 - it is a verdict about the input, not an error of the program
    """Raised by `Processor.handle` for a record that can never be processed; it becomes a dead letter and the others continue.

    `reason` is a SHORT_UPPER_CODE (it becomes a metric label); `detail` is for people and contains no bodies, native ids or secrets.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason
