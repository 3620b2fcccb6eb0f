"""Checks that the gRPC edges share. All violations of a request are reported at once, as BadRequest."""

from collections.abc import Iterable

from services.chassis.errors import ChaparError, ErrorKind, FieldViolation
from services.ingest.domain.normalise.message import Refusal
from services.ingest.domain.normalise.text import forbidden
from services.ingest.domain.reasons import Reason

MAX_KEY_BYTES = 200
MAX_ID = 200


def required(field: str, value: str, most: int = MAX_ID) -> Refusal | None:
    """Check a field that must be present, storable and at most `most` bytes long."""
    if not value.strip():
        return Refusal(Reason.INVALID_FIELD, field, "must not be empty")
    return optional(field, value, most)


def optional(field: str, value: str, most: int = MAX_ID) -> Refusal | None:
    """Check a field that may be empty."""
    if len(value.encode("utf-8", "surrogatepass")) > most:
        return Refusal(Reason.INVALID_FIELD, field, f"must not be longer than {most} bytes")
    return forbidden(value, field)


def raise_for(refusals: Iterable[Refusal | None]) -> None:
    """Raise INVALID with a violation for each refusal, if there are any."""
    violations = tuple(FieldViolation(each.field, each.description) for each in refusals if each is not None)
    if violations:
        text = "; ".join(f"{each.field} {each.description}" for each in violations[:5])
        raise ChaparError(ErrorKind.INVALID, Reason.INVALID_FIELD, text, violations=violations)
