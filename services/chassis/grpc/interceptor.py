"""The steps of every incoming call, in this order. It is one interceptor, because each interceptor wraps every kind of handler again.

    headers:  count → authenticate → take a slot → wait for the tenant's turn
    request:  trace → certificate's name → deadline → decode → limits of its fields → audit → handler → errors to statuses → count

Until a caller has proven who it is and has a slot, no byte of its request is read. A call that is refused before
that does not wait for its request. The slot is returned when the call's task ends for any reason, and before a refusal is delayed.

A refusal sets a status; it does not raise an exception through the handler. gRPC keeps an exception of `abort` with its
traceback, whose frames refer to the request, and this cycle lives until the garbage collector runs. With it, refused requests
of 200 KB used hundreds of megabytes. For the same reason the error is dropped before a refusal is delayed.

A unary call must have a deadline: otherwise a caller that never stops waiting would keep its call running. Streams need no
deadline; agents' sessions last for hours. Handlers are coroutines or async generators, read requests by iteration, and raise
`ChaparError`; any other exception is a bug: it is logged with its stack, and the caller gets INTERNAL without
details.
"""

from __future__ import annotations  # grpcio's types are generic in its stubs only

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from grpc_status import rpc_status
from opentelemetry.trace import SpanKind

from services.chassis.audit_rules import audit_rule_of
from services.chassis.current_call import CURRENT, IDEMPOTENCY_KEY, MAX_KEY_CHARS, Call
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.admission import Admission, CallerKey, CallKind, HeldSlot
from services.chassis.grpc.audited import AuditedCalls
from services.chassis.grpc.auth import TENANT, Authorizer, CallerRefused
from services.chassis.grpc.field_limits import FieldLimits
from services.chassis.grpc.peers import typed_names
from services.chassis.grpc.refusal_hold import RefusalHold
from services.chassis.grpc.requests import HeldBytes, RequestReader, Requests
from services.chassis.grpc.status import CODES, to_status
from services.chassis.grpc.tenant_pace import TenantPace
from services.chassis.logs import bind, get_logger
from services.chassis.metrics import Metrics
from services.chassis.reasons import Reason
from services.chassis.tokens import Caller
from services.chassis.tracing import Tracing, extract_metadata

Context = grpc.aio.ServicerContext[Any, Any]
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_NO_SPAN: AbstractContextManager[None] = nullcontext()
_ALMOST_S = 0.05
"""A caller's timer may end a call this long before our view of its deadline."""
_STRANGERS = CallerKey("", "")  # callers of public methods share one caller's slots


@dataclass(frozen=True, slots=True)
class _Admitted:
    """The caller, tenant and slot of a call, found from its headers."""

    caller: Caller | None
    metadata: Mapping[str, str]
    held: HeldBytes
    slot: HeldSlot

    @property
    def tenant(self) -> str:
        """The tenant whose rate limit applies to the call."""
        return self.caller.tenant if self.caller is not None else ""


_ADMITTED: ContextVar[_Admitted] = ContextVar("chapar_admitted")


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The status of a refusal and its delay. Refers to nothing of the request."""

    code: grpc.StatusCode
    details: str
    trailing: tuple[tuple[str, Any], ...]
    delay_s: float


class ChassisInterceptor(grpc.aio.ServerInterceptor):
    """See the module."""

    def __init__(
        self,
        authorizer: Authorizer,
        admission: Admission,
        pace: TenantPace,
        hold: RefusalHold,
        metrics: Metrics,
        tracing: Tracing,
        audited: AuditedCalls,
    ) -> None:
        self._authorizer = authorizer
        self._admission = admission
        self._pace = pace
        self._hold = hold
        self._tracing = tracing
        self._audited = audited
        self._limits = FieldLimits()
        self._started = metrics.counter("chapar_grpc_started_total")
        self._handled = metrics.counter("chapar_grpc_handled_total")
        self._turned_away = metrics.counter("chapar_grpc_turned_away_total")
        self._seconds = metrics.histogram("chapar_grpc_handling_seconds")
        self._open = metrics.gauge("chapar_grpc_in_progress")
        self._slots = metrics.gauge("chapar_grpc_slots_taken")
        self._log = get_logger(__name__)
        self._wrapped: dict[str, tuple[Any, grpc.RpcMethodHandler[Any, Any]]] = {}
        self._changing: dict[str, bool] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Admit the call, or return a handler that refuses it; a method that is not served stays UNIMPLEMENTED."""
        handler: Any = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            self._started.labels("unknown").inc()
            self._handled.labels("unknown", grpc.StatusCode.UNIMPLEMENTED.name).inc()
            return None
        try:
            caller = await self._admit(method, handler, handler_call_details.invocation_metadata)
            tenant = caller.tenant if caller is not None else ""
            if handler.request_streaming:
                await self._pace.session(tenant)
            else:
                await self._pace.call(tenant, changes=self._changes(method, handler))
        except Exception as error:  # noqa: BLE001 - the border: gRPC would answer with the exception's own text
            return self._refusing(method, error)
        known = self._wrapped.get(method)
        if known is not None and known[0] is handler:
            return known[1]
        wrapped = self._wrap(method, handler)
        self._wrapped[method] = (handler, wrapped)
        return wrapped

    def _changes(self, method: str, handler: Any) -> bool:
        """Return whether a method that takes one request is unary and changes something, by its audit option."""
        known = self._changing.get(method)
        if known is None:
            rule = None if handler.response_streaming else audit_rule_of(method)
            known = self._changing[method] = rule is not None and rule.changes
        return known

    async def _admit(self, method: str, handler: Any, headers: Iterable[tuple[str, Any]] | None) -> Caller | None:
        """Authenticate the caller and take a slot until the call's task ends. Raises ChaparError."""
        metadata = {key: value for key, value in headers or () if isinstance(value, str)}
        authorization = metadata.get("authorization")
        await self._authorizer.prepare(authorization)
        caller = self._authorizer.authorize(method, authorization, metadata.get(TENANT))
        if len(metadata.get(IDEMPOTENCY_KEY, "")) > MAX_KEY_CHARS:
            raise ChaparError(
                ErrorKind.INVALID,
                Reason.IDEMPOTENCY_KEY_LONG,
                f"{IDEMPOTENCY_KEY} has more than {MAX_KEY_CHARS} characters",
            )
        kind = CallKind.of(request_streaming=handler.request_streaming, response_streaming=handler.response_streaming)
        who = _STRANGERS if caller is None else CallerKey(caller.tenant, caller.subject)
        task = asyncio.current_task()
        assert task is not None  # gRPC runs each call in a task of its own
        slot = HeldSlot(self._admission, kind, who, self._slots.labels(kind))
        held = HeldBytes(self._admission.bytes, who.tenant)

        def leave(_task: object) -> None:
            held.release()
            slot.release()

        task.add_done_callback(leave)
        _ADMITTED.set(_Admitted(caller, metadata, held, slot))
        return caller

    def _refusing(self, method: str, error: Exception) -> grpc.RpcMethodHandler[Any, Any]:
        """Return a handler that answers without reading a request; by its shape gRPC waits for none."""

        if isinstance(error, ChaparError):
            self._turned_away.labels(error.reason).inc()
        known = self._known(method, error)
        # The frames of the traceback hold this task, which holds the handler that is returned here: a cycle.
        known.__traceback__ = known.__context__ = known.__cause__ = None
        admitted = _ADMITTED.get(None)
        if admitted is not None:  # its turn was too far away: it has a slot
            admitted.slot.release()

        async def refuse(_requests: object, context: Context) -> None:
            self._begin(method)
            try:
                refusal = await self._refusal(method, known, context, 0)
                await self._refuse(context, refusal, 0)
            finally:
                self._end(method, context, None, False)

        return grpc.stream_stream_rpc_method_handler(refuse)

    def _wrap(self, method: str, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
        reader = RequestReader(handler.request_deserializer, self._limits)
        # Without a deserializer gRPC hands over bytes: they are decoded after the caller was let in.
        codec = {"request_deserializer": None, "response_serializer": handler.response_serializer}
        many = handler.request_streaming
        if handler.response_streaming:
            inner = handler.stream_stream if many else handler.unary_stream
            make = grpc.stream_stream_rpc_method_handler if many else grpc.unary_stream_rpc_method_handler
            return make(self._streaming(method, inner, reader, many=many), **codec)
        inner = handler.stream_unary if many else handler.unary_unary
        make_unary = grpc.stream_unary_rpc_method_handler if many else grpc.unary_unary_rpc_method_handler
        return make_unary(self._unary(method, inner, reader, many=many), **codec)

    def _unary(
        self, method: str, inner: Callable[[Any, Context], Awaitable[Any]], reader: RequestReader[Any], *, many: bool
    ) -> Any:
        async def answer(raw: Any, context: Context) -> Any:
            with self._span(method):
                call = self._open_call(method, context, needs_deadline=not many)
                if not many:
                    request = _request(reader, raw)
                    return await self._audited.unary(call, request, partial(inner, request, context))

                def handled(requests: Any) -> Awaitable[Any]:
                    return self._audited.unary(call, None, partial(inner, requests, context))

                return await self._authorizer.lifetimes.answer(call.caller, handled, self._requests(reader, raw))

        async def serve(raw: Any, context: Context) -> Any:
            begun, cancelled = time.monotonic(), False
            size = 0 if many else len(raw)
            self._begin(method)
            try:
                try:
                    return await answer(raw, context)
                except grpc.aio.AbortError:
                    raise  # the handler has chosen a status by itself
                except Exception as error:  # noqa: BLE001 - the border: every error becomes a status here
                    refusal = await self._refusal(method, self._known(method, error), context, size)
                await self._refuse(context, refusal, size)
            except asyncio.CancelledError:
                cancelled = True
                raise
            finally:
                self._end(method, context, begun, cancelled)

        return serve

    def _streaming(
        self, method: str, inner: Callable[[Any, Context], Any], reader: RequestReader[Any], *, many: bool
    ) -> Any:
        async def answers(raw: Any, context: Context) -> AsyncGenerator[Any, None]:
            with self._span(method):
                call = self._open_call(method, context, needs_deadline=False)
                request = self._requests(reader, raw) if many else _request(reader, raw)

                def handled(requests: Any) -> AsyncGenerator[Any, None]:
                    named = None if many else requests
                    return self._audited.stream(call, named, _answers(inner(requests, context)))

                messages = self._authorizer.lifetimes.serve(call.caller, handled, request, many=many)
                async with aclosing(messages):
                    async for message in messages:
                        yield message

        async def serve(raw: Any, context: Context) -> AsyncIterator[Any]:
            cancelled = False
            size = 0 if many else len(raw)
            self._begin(method)
            try:
                try:
                    async with aclosing(answers(raw, context)) as messages:
                        async for message in messages:
                            yield message
                    return
                except grpc.aio.AbortError:
                    raise  # the handler has chosen a status by itself
                except Exception as error:  # noqa: BLE001 - the border: every error becomes a status here
                    refusal = await self._refusal(method, self._known(method, error), context, size)
                await self._refuse(context, refusal, size)
            except (asyncio.CancelledError, GeneratorExit):
                cancelled = True
                raise
            finally:
                self._end(method, context, None, cancelled)

        return serve

    def _requests(self, reader: RequestReader[Any], raws: Any) -> Requests[Any]:
        admitted = _ADMITTED.get()
        return Requests(reader, raws, partial(self._pace.message, admitted.tenant), admitted.held)

    def _span(self, method: str) -> AbstractContextManager[None]:
        metadata = _ADMITTED.get().metadata
        if self._tracing.enabled or "traceparent" in metadata:
            return self._tracing.span(method, parent=extract_metadata(metadata.items()), kind=SpanKind.SERVER)
        return _NO_SPAN

    def _open_call(self, method: str, context: Context, *, needs_deadline: bool) -> Call:
        """Check what the headers did not show: the certificate's name and the deadline. gRPC gives each call its own context, so nothing is reset."""
        admitted = _ADMITTED.get()
        peer = typed_names(context.auth_context())
        self._authorizer.check_peer(method, peer, admitted.caller)
        left = _time_left(context)
        if needs_deadline and left is None:
            raise ChaparError(
                ErrorKind.INVALID,
                Reason.DEADLINE_MISSING,
                "set a deadline for this call (grpcurl: -max-time 5; Python: timeout=5)",
            )
        key, caller = admitted.metadata.get(IDEMPOTENCY_KEY, ""), admitted.caller
        call = Call(method, caller, peer, None if left is None else time.monotonic() + left, key)
        CURRENT.set(call)
        if caller is not None and caller.tenant:
            bind(tenant=caller.tenant)
        return call

    def _known(self, method: str, error: Exception) -> ChaparError:
        """Return the error as a `ChaparError`; any other exception is a bug and is logged with its stack."""
        if isinstance(error, asyncio.TimeoutError):
            return ChaparError(ErrorKind.DEADLINE, Reason.TIMED_OUT, "the call took longer than it may")
        if not isinstance(error, ChaparError):
            self._log.error("handler failed", method=method, error=type(error).__name__, exc_info=error)
            return ChaparError(ErrorKind.INTERNAL, Reason.INTERNAL, str(error) or type(error).__name__)
        if error.kind is ErrorKind.INTERNAL:
            self._log.error("handler failed", method=method, reason=error.reason, message=error.message)
        return error

    async def _refusal(self, method: str, error: ChaparError, context: Context, size: int) -> _Refusal:
        """Return the refusal for an error. `size`: bytes of the request, which gRPC keeps until the call has ended."""
        if isinstance(error, CallerRefused):
            await self._audited.turned_away(method, error)
        status = rpc_status.to_status(to_status(error))
        delay_s = self._hold.delay(error, _time_left(context), size)
        return _Refusal(CODES[error.kind], status.details, tuple(status.trailing_metadata), delay_s)

    async def _refuse(self, context: Context, refusal: _Refusal, size: int) -> None:
        """Wait for the delay of the refusal, without the call's slot, then set the status with which the call ends."""
        admitted = _ADMITTED.get(None)
        if admitted is not None:
            admitted.slot.release()
        await self._hold.wait(refusal.delay_s, size)
        context.set_code(refusal.code)
        context.set_details(refusal.details)
        context.set_trailing_metadata(refusal.trailing)

    def _begin(self, method: str) -> None:
        self._started.labels(method).inc()
        self._open.labels(method).inc()

    def _end(self, method: str, context: Context, begun: float | None, cancelled: bool) -> None:
        self._open.labels(method).dec()
        # gRPC's own code is 0 until a handler sets one; it never says that the caller has gone away.
        code = _name(context.code())
        if cancelled:
            left = _time_left(context)
            # An answer that did not come in time is an error of ours. A stream may live until its deadline.
            late = begun is not None and left is not None and left < _ALMOST_S
            code = "DEADLINE_EXCEEDED" if late else "CANCELLED"
        self._handled.labels(method, code).inc()
        if begun is not None:
            self._seconds.labels(method).observe(time.monotonic() - begun)


def _request(reader: RequestReader[Any], raw: bytes) -> Any:
    """Return the one request of a call. Raises EXHAUSTED when its tenant has too many bytes in progress."""
    _ADMITTED.get().held.take(len(raw))
    return reader.read(raw)


async def _answers(given: Any) -> AsyncGenerator[Any, None]:
    """Yield the messages of a handler; none if it writes to its context itself: then the call ends with the handler."""
    if not hasattr(given, "__aiter__"):
        await given
        return
    async with aclosing(given):
        async for message in given:
            yield message


def _name(code: Any) -> str:
    return code.name if isinstance(code, grpc.StatusCode) else _NAMES.get(code or 0, "UNKNOWN")


def _time_left(context: Any) -> float | None:
    left: float | None = context.time_remaining()  # None without a deadline, whatever the stubs say
    return left
