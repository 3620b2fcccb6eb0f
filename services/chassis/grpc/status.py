"""Converts `ChaparError` to a gRPC status and back. The only mapping between the two.

The details (google.rpc.Status) carry ErrorInfo (domain `chapar`, reason, metadata and our kind), BadRequest for
violations, and RetryInfo, so the caller's side gets the same typed error. An error of another server, which has no
details of ours, is mapped by its code.
"""

from collections.abc import Mapping
from types import MappingProxyType

import grpc
from google.protobuf.any_pb2 import Any as ProtoAny
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # googleapis ships no types

from services.chassis.errors import ChaparError, ErrorKind, FieldViolation

DOMAIN = "chapar"
DETAILS_KEY = "grpc-status-details-bin"
_KIND = "kind"
_MAX_TEXT = 1024  # the status travels in an HTTP/2 header, and clients refuse large ones
_MAX_VIOLATIONS = 20

CODES: Mapping[ErrorKind, grpc.StatusCode] = MappingProxyType(
    {
        ErrorKind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
        ErrorKind.TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,  # RESOURCE_EXHAUSTED would invite a retry
        ErrorKind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
        ErrorKind.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
        ErrorKind.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
        ErrorKind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
        ErrorKind.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
        ErrorKind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
        ErrorKind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
        ErrorKind.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
        ErrorKind.ABORTED: grpc.StatusCode.ABORTED,
        ErrorKind.INTERNAL: grpc.StatusCode.INTERNAL,
    }
)
_KINDS: Mapping[grpc.StatusCode, ErrorKind] = MappingProxyType(
    {
        **{code: kind for kind, code in reversed(list(CODES.items()))},
        grpc.StatusCode.OUT_OF_RANGE: ErrorKind.INVALID,
        grpc.StatusCode.UNIMPLEMENTED: ErrorKind.FAILED_PRECONDITION,
        # We cancelled the call, or its connection broke: it is unknown whether the server executed it.
        grpc.StatusCode.CANCELLED: ErrorKind.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN: ErrorKind.INTERNAL,
        grpc.StatusCode.DATA_LOSS: ErrorKind.INTERNAL,
    }
)


def to_status(error: ChaparError) -> status_pb2.Status:
    """Return the status with its details. The message of an INTERNAL error is not sent; it is in the log only."""
    internal = error.kind is ErrorKind.INTERNAL
    text = "an internal error occurred; it has been recorded" if internal else error.message[:_MAX_TEXT]
    status = status_pb2.Status(code=CODES[error.kind].value[0], message=text)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    info.metadata.update({key: value[:_MAX_TEXT] for key, value in error.metadata.items()})
    info.metadata[_KIND] = error.kind.value
    _add(status, info)
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations[:_MAX_VIOLATIONS]:
            bad.field_violations.add(field=violation.field[:200], description=violation.description[:200])
        _add(status, bad)
    if error.retry_after_s is not None:
        _add(status, error_details_pb2.RetryInfo(retry_delay=_duration(error.retry_after_s)))
    return status


def from_status(code: grpc.StatusCode, message: str, details: bytes | None) -> ChaparError:
    """Return the typed error of a status."""
    kind = _KINDS.get(code, ErrorKind.INTERNAL)
    reason, metadata = f"GRPC_{code.name}", dict[str, str]()
    violations: tuple[FieldViolation, ...] = ()
    retry_after_s: float | None = None
    try:
        status = status_pb2.Status.FromString(details or b"")
        for detail in status.details:
            info, bad, retry = (
                error_details_pb2.ErrorInfo(),
                error_details_pb2.BadRequest(),
                error_details_pb2.RetryInfo(),
            )
            if detail.Unpack(info) and info.domain == DOMAIN:
                metadata = dict(info.metadata)
                kind = ErrorKind(metadata.pop(_KIND, kind))
                reason = info.reason
            elif detail.Unpack(bad):
                violations = tuple(FieldViolation(v.field, v.description) for v in bad.field_violations)
            elif detail.Unpack(retry):
                retry_after_s = (retry.retry_delay.seconds * 1_000_000_000 + retry.retry_delay.nanos) / 1e9
        return ChaparError(kind, reason, message, violations=violations, metadata=metadata, retry_after_s=retry_after_s)
    except (DecodeError, ValueError):
        # The details are not ours or are malformed; the code still gives the kind of the error.
        return ChaparError(_KINDS.get(code, ErrorKind.INTERNAL), f"GRPC_{code.name}", message)


def from_rpc_error(error: grpc.aio.AioRpcError) -> ChaparError:
    """Convert the error that a call raised to our own."""
    details: bytes | None = None
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY:
            details = value if isinstance(value, bytes) else value.encode("latin-1", "replace")
    return from_status(error.code(), error.details() or error.code().name, details)


def _add(
    status: status_pb2.Status,
    detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> None:
    packed = ProtoAny()
    packed.Pack(detail)
    status.details.append(packed)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(max(0, round(seconds * 1000)))
    return duration
