"""What belongs to the call that is being served: who calls, until when, and the key that makes it repeatable.

Set by the server's interceptor for the time of one call, read by handlers and by clients of other services; a context
variable because gRPC gives handlers no other way, and the only one.
"""

import time
from contextvars import ContextVar
from dataclasses import dataclass

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.reasons import Reason
from services.chassis.tokens import Caller

IDEMPOTENCY_KEY = "idempotency-key"
MAX_KEY_CHARS = 256


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `deadline` is in seconds of `time.monotonic`; None on streams without one."""

    method: str
    caller: Caller | None
    peer: tuple[str, ...]
    deadline: float | None
    idempotency_key: str

    def time_left(self) -> float | None:
        """Seconds until the caller gives up; None when it waits for ever."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


CURRENT: ContextVar[Call | None] = ContextVar("chapar_call", default=None)


def current_call() -> Call:
    """The call being served. Raises INTERNAL outside of one."""
    call = CURRENT.get()
    if call is None:
        raise ChaparError(ErrorKind.INTERNAL, Reason.NO_CALL, "there is no gRPC call in progress here")
    return call


def current_caller() -> Caller:
    """Who calls, from the verified token. Raises INTERNAL in a public method."""
    caller = current_call().caller
    if caller is None:
        raise ChaparError(ErrorKind.INTERNAL, Reason.NO_CALLER, "a public method has no caller")
    return caller


def current_tenant() -> str:
    """The caller's tenant; it is never taken from a request. Raises PERMISSION_DENIED for a token without one."""
    tenant = current_caller().tenant
    if not tenant:
        raise ChaparError(ErrorKind.PERMISSION_DENIED, Reason.NO_TENANT, "the token names no tenant")
    return tenant


def require_idempotency_key() -> str:
    """The key of a mutation. Raises INVALID when the caller sent none."""
    key = current_call().idempotency_key
    if not key:
        raise ChaparError(
            ErrorKind.INVALID,
            Reason.IDEMPOTENCY_KEY_MISSING,
            f"this method changes something: send metadata {IDEMPOTENCY_KEY}, the same again when you repeat the call",
        )
    return key
