"""The value of a record on deadletters.v1: `chapar.common.v1.DeadLetter`."""

from chapar.common.v1.dead_letter_pb2 import DeadLetter, RecordHeader
from services.chassis.kafka.records import InvalidRecord, Record


def encode(record: Record, verdict: InvalidRecord, refused_by: str, now_ms: int) -> bytes:
    """A `contract.DeadLetterEncoder`. The origin is named by its logical topic, so that it can be replayed under another prefix."""
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
