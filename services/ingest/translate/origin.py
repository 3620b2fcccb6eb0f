"""Converts the origin of a message between the log and the core."""

from chapar.ingest.v1 import records_pb2
from services.ingest.domain.origin import Origin, OriginProof


def origin(record: records_pb2.Origin) -> Origin:
    """Convert an origin. Raises ValueError for a proof that this version does not know."""
    return Origin(
        OriginProof(record.proof),
        record.evidence,
        record.conversation_id,
        record.author,
        record.reply_to,
        record.owner_identity_id,
    )


def origin_record(value: Origin) -> records_pb2.Origin:
    """Convert an origin to its record."""
    return records_pb2.Origin(
        proof=records_pb2.OriginProof.ValueType(value.proof),
        evidence=value.evidence,
        conversation_id=value.conversation_id,
        author=value.author,
        reply_to=value.reply_to,
        owner_identity_id=value.owner,
    )
