"""The value of a record on deadletters.v1: `chapar.common.v1.DeadLetter`."""

from typing import Final

from chapar.common.v1.dead_letter_pb2 import DeadLetter, RecordHeader
from services.chassis.kafka.headers import TENANT, record_headers
from services.chassis.kafka.records import Headers, InvalidRecord, Record

DEAD_LETTERS: Final = "deadletters.v1"


def dead_letter_headers(record: Record) -> Headers:
    """Return the headers of a record's dead letter: the id is the record's place, the tenant the one that the record names."""
    tenant = next((value for name, value in record.headers if name == TENANT), b"")
    place = f"{record.topic}/{record.partition}/{record.offset}"
    return record_headers(DEAD_LETTERS, place, tenant.decode("utf-8", "replace"))


def encode(record: Record, verdict: InvalidRecord, refused_by: str, now_ms: int) -> bytes:
    """Encode a dead letter (a `contract.DeadLetterEncoder`). It names the origin by its logical topic, so that a replay can use another prefix."""
    return DeadLetter(
        origin_topic=record.topic,
        origin_partition=record.partition,
        origin_offset=record.offset,
        origin_timestamp_ms=record.timestamp_ms,
        key=record.key,
        value=record.value,
        headers=[RecordHeader(key=name, value=content) for name, content in record.headers],
        reason=verdict.reason,
        detail=verdict.detail,
        refused_by=refused_by,
        occurred_at_ms=now_ms,
    ).SerializeToString(deterministic=True)


def shortened(record: Record, verdict: InvalidRecord, room: int) -> tuple[Record, InvalidRecord]:
    """Return a record and verdict that fit: `room` bytes of key and value each. The original can still be read at its origin."""
    key, value = record.key or b"", record.value or b""
    note = f"truncated here: key of {len(key)} bytes, value of {len(value)} bytes, {len(record.headers)} headers"
    detail = f"{verdict.detail}; {note}" if verdict.detail else note
    return record._replace(key=key[:room], value=value[:room], headers=()), InvalidRecord(verdict.reason, detail)
