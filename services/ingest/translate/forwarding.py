"""Changes records that a lane forwards to the key of another identity."""

from typing import assert_never

from chapar.ingest.v1 import records_pb2
from services.ingest.domain.effects import Passing
from services.ingest.domain.messages import Derive


def pass_message(record: records_pb2.CustomerMessage, passing: Passing, derive: Derive) -> None:
    """Change a message that is forwarded into what it is for the lane that gets it."""
    match passing:
        case Passing.PARTICIPANT:
            record.participant = True
        case Passing.RETURNED:
            record.participant = False
            record.origin.conversation_id = record.origin.owner_identity_id = ""
            record.origin.proof = records_pb2.ORIGIN_PROOF_UNSPECIFIED
        case Passing.ANSWERED:
            record.message_id = derive(record.answer_to.identity_id, record.message_id)
            record.identity.CopyFrom(record.answer_to)
            record.ClearField("answer_to")
        case Passing.UNCHANGED:
            pass
        case _:
            assert_never(passing)


def mark_checked(record: records_pb2.InboundRecord) -> None:
    """Mark that the ids named by the request belong to the identity that forwards it."""
    match record.WhichOneof("record"):
        case "outbound":
            record.outbound.checked = True
        case "follow_up":
            record.follow_up.checked = True
        case "check":
            record.check.checked = True
