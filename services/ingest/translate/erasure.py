"""Messages of an erasure to other stores: a command to feedback, and the result of each store for the report."""

from collections.abc import Mapping

from chapar.common.v1.privacy_pb2 import ErasureOutcome
from chapar.feedback.v1 import feedback_pb2
from services.ingest.domain import effects
from services.ingest.domain.messages import Derive


def erase_command(
    effect: effects.PersonForgotten, tenant: str, now_ms: int, derive: Derive
) -> feedback_pb2.FeedbackCommand:
    """Return the command by which feedback forgets everything under the person's id."""
    return feedback_pb2.FeedbackCommand(
        command_id=derive("erase", effect.request_id, effect.person_id),
        tenant=tenant,
        person_id=effect.person_id,
        issued_at_ms=now_ms,
        erase=feedback_pb2.ErasePersonalData(request_id=effect.request_id),
    )


def outcome_record(
    request_id: str, tenant: str, store: str, part: str, counts: Mapping[str, int], now_ms: int
) -> ErasureOutcome:
    """Return what one store did for one part of an erasure."""
    return ErasureOutcome(
        request_id=request_id, tenant=tenant, store=store, part=part, counts=counts, occurred_at_ms=now_ms
    )
