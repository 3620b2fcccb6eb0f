"""Converts the parts of a message's text."""

from collections.abc import Iterable

from chapar.ingest.v1 import records_pb2
from services.ingest.domain.messages import TextPart, TextPartKind


def text_parts(records: Iterable[records_pb2.TextPart]) -> tuple[TextPart, ...]:
    """Convert the parts of a record."""
    return tuple(TextPart(_kind(record.kind), record.length) for record in records)


def text_part_records(parts: Iterable[TextPart]) -> list[records_pb2.TextPart]:
    """Convert the parts to their records."""
    return [
        records_pb2.TextPart(kind=records_pb2.TextPartKind.ValueType(part.kind), length=part.length) for part in parts
    ]


def _kind(number: int) -> TextPartKind:
    try:
        return TextPartKind(number)
    except ValueError:
        # A newer version's kind is folded: refusing the message would cost more than a fold.
        return TextPartKind.UNSPECIFIED
