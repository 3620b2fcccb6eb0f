"""One error type, with a kind, and the mappings from kinds to the errors of other protocols.

Expected outcomes of a decision are return values. `ChaparError` is for wrong requests and for I/O that failed. Its message
is for people: what, where, how to fix it. Its `reason` is for programs: upper case, stable, the same word in the log
field, the metric label and the test's assertion. Neither may contain bodies, native ids or tokens.

gRPC statuses are in `services.chassis.grpc.status`, so that this module needs no gRPC.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,62}")  # ErrorInfo.reason: at most 63 characters of this form
_NO_METADATA: Mapping[str, str] = MappingProxyType({})


class ErrorKind(StrEnum):
    """What went wrong, from the point of view of the one who must react."""

    INVALID = "INVALID"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    EXHAUSTED = "EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE = "DEADLINE"
    ABORTED = "ABORTED"
    INTERNAL = "INTERNAL"
    TOO_LARGE = "TOO_LARGE"


class Disposition(StrEnum):
    """How a record is treated when its handling raised an error of a given kind."""

    RETRY = "RETRY"
    DEAD_LETTER = "DEAD_LETTER"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that is wrong. `field` is a path such as `message.attachments[2].size`."""

    field: str
    description: str


class ChaparError(Exception):
    """An error that crosses process borders intact.

    `retry_after_s`: seconds after which the same call may succeed; None when unknown or never.
    """

    def __init__(
        self,
        kind: ErrorKind,
        reason: str,
        message: str,
        *,
        violations: tuple[FieldViolation, ...] = (),
        metadata: Mapping[str, str] = _NO_METADATA,
        retry_after_s: float | None = None,
    ) -> None:
        if not _REASON.fullmatch(reason):
            raise ValueError(f"a reason is at most 63 upper-case letters, digits and underscores, not {reason!r}")
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message
        self.violations = violations
        self.metadata: Mapping[str, str] = MappingProxyType(dict(metadata))
        self.retry_after_s = retry_after_s

    def __repr__(self) -> str:
        return f"ChaparError({self.kind}, {self.reason}, {self.message!r})"

    @property
    def disposition(self) -> Disposition:
        """Whether a record that met this error is tried again or becomes a dead letter."""
        return DISPOSITION[self.kind]


DISPOSITION: Mapping[ErrorKind, Disposition] = MappingProxyType(
    {
        ErrorKind.INVALID: Disposition.DEAD_LETTER,
        ErrorKind.NOT_FOUND: Disposition.DEAD_LETTER,
        ErrorKind.ALREADY_EXISTS: Disposition.DEAD_LETTER,
        ErrorKind.FAILED_PRECONDITION: Disposition.DEAD_LETTER,
        ErrorKind.UNAUTHENTICATED: Disposition.DEAD_LETTER,
        ErrorKind.PERMISSION_DENIED: Disposition.DEAD_LETTER,
        ErrorKind.TOO_LARGE: Disposition.DEAD_LETTER,
        # A bug occurs at every attempt: the record waits among the dead letters until a version with a fix runs.
        ErrorKind.INTERNAL: Disposition.DEAD_LETTER,
        ErrorKind.EXHAUSTED: Disposition.RETRY,
        ErrorKind.UNAVAILABLE: Disposition.RETRY,
        ErrorKind.DEADLINE: Disposition.RETRY,
        ErrorKind.ABORTED: Disposition.RETRY,
    }
)

HTTP_STATUS: Mapping[ErrorKind, int] = MappingProxyType(
    {
        ErrorKind.INVALID: 400,
        ErrorKind.UNAUTHENTICATED: 401,
        ErrorKind.PERMISSION_DENIED: 403,
        ErrorKind.NOT_FOUND: 404,
        ErrorKind.ALREADY_EXISTS: 409,
        ErrorKind.FAILED_PRECONDITION: 409,
        ErrorKind.ABORTED: 409,
        ErrorKind.TOO_LARGE: 413,
        ErrorKind.EXHAUSTED: 429,
        ErrorKind.INTERNAL: 500,
        ErrorKind.UNAVAILABLE: 503,
        ErrorKind.DEADLINE: 504,
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """An HTTP response: RFC 9457 problem details, media type `application/problem+json`."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]


def problem(error: ChaparError) -> Problem:
    """Return the HTTP response for this error. An INTERNAL error's message stays in the log."""
    detail = "An internal error occurred; it has been recorded." if error.kind is ErrorKind.INTERNAL else error.message
    body: dict[str, Any] = {
        "type": f"urn:chapar:error:{error.reason.lower()}",
        "title": error.kind.value.replace("_", " ").capitalize(),
        "status": HTTP_STATUS[error.kind],
        "detail": detail,
        "reason": error.reason,
    }
    if error.violations:
        body["violations"] = [{"field": v.field, "description": v.description} for v in error.violations]
    headers = {"content-type": "application/problem+json", "cache-control": "no-store"}
    if error.retry_after_s is not None:
        # The header holds whole seconds only; rounding down would lead to a call that is refused again.
        headers["retry-after"] = str(max(1, -int(-error.retry_after_s // 1)))
        body["retry_after_s"] = error.retry_after_s
    return Problem(HTTP_STATUS[error.kind], MappingProxyType(headers), body)


def invalid(field: str, description: str, *, reason: str = "INVALID_FIELD") -> ChaparError:
    """Return the most common error: one field is wrong."""
    return ChaparError(
        ErrorKind.INVALID, reason, f"{field}: {description}", violations=(FieldViolation(field, description),)
    )
