"""Converts what is known of an automatic message to the contract and back."""

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2
from services.ingest.domain.automatic import Automatic, BounceReport
from services.policy.model.automatic import automatic_kind


def automatic(record: records_pb2.Automatic) -> Automatic:
    """Convert from the contract."""
    bounce = record.bounce
    return Automatic(
        automatic_kind(record.kind),
        tuple(record.evidence),
        BounceReport(
            recipient=bounce.recipient,
            status=bounce.status,
            reason=bounce.reason,
            failed=bounce.failed,
            message_id=bounce.native_message_id,
            conversation_id=bounce.conversation_id,
            delivery=bounce.delivery_prefix,
        )
        if record.HasField("bounce")
        else None,
    )


def automatic_record(value: Automatic) -> records_pb2.Automatic:
    """Convert to the contract."""
    made = records_pb2.Automatic(kind=types_pb2.AutomaticKind.ValueType(value.kind), evidence=value.evidence)
    if value.bounce is not None:
        made.bounce.recipient = value.bounce.recipient
        made.bounce.status = value.bounce.status
        made.bounce.reason = value.bounce.reason
        made.bounce.failed = value.bounce.failed
        made.bounce.native_message_id = value.bounce.message_id
        made.bounce.conversation_id = value.bounce.conversation_id
        made.bounce.delivery_prefix = value.bounce.delivery
    return made
