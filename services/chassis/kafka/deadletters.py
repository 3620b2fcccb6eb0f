"""The value of a record on deadletters.v1."""

import msgspec

from services.chassis.kafka.records import InvalidRecord, Record


def encode(record: Record, verdict: InvalidRecord, lane: str, now_ms: int) -> bytes:
    """A `DeadLetterEncoder`."""
    return msgspec.msgpack.encode(
        {
            "origin_topic": record.topic,
            "origin_partition": record.partition,
            "origin_offset": record.offset,
            "key": record.key,
            "value": record.value,
            "headers": record.headers,
            "reason": verdict.reason,
            "detail": verdict.detail,
            "lane": lane,
            "occurred_at_ms": now_ms,
        }
    )
