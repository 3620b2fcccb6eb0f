"""What every call that comes in passes, in this order; one interceptor, because each wraps every kind of handler anew.

    count → trace → idempotency key, deadline → authorize → handler → errors to rich statuses → count

A unary call must have a deadline: whoever waits for ever keeps work alive that nobody wants. Streams need none; agents'
sessions last for hours. Handlers are coroutines or async generators and raise `ChaparError`; anything else that they
raise is a bug, is logged with its stack and answered with INTERNAL without a word of it.
"""

from __future__ import annotations  # grpcio's types are generic in its stubs only

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import grpc
from grpc_status import rpc_status
from opentelemetry.trace import SpanKind

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.auth import Authorizer
from services.chassis.grpc.context import CURRENT, IDEMPOTENCY_KEY, MAX_KEY_CHARS, Call
from services.chassis.grpc.status import CODES, to_status
from services.chassis.logs import bind, get_logger
from services.chassis.metrics import Metrics
from services.chassis.tracing import Tracing, extract_metadata

Context = grpc.aio.ServicerContext[Any, Any]
_HEALTH = "/grpc.health.v1.Health/"
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_NO_SPAN: AbstractContextManager[None] = nullcontext()


class ChassisInterceptor(grpc.aio.ServerInterceptor):
    """See the module."""

    def __init__(self, authorizer: Authorizer, metrics: Metrics, tracing: Tracing) -> None:
        self._authorizer = authorizer
        self._tracing = tracing
        self._started = metrics.counter("chapar_grpc_started_total")
        self._handled = metrics.counter("chapar_grpc_handled_total")
        self._seconds = metrics.histogram("chapar_grpc_handling_seconds")
        self._open = metrics.gauge("chapar_grpc_in_progress")
        self._log = get_logger(__name__)
        self._wrapped: dict[str, tuple[Any, grpc.RpcMethodHandler[Any, Any]]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wraps the method's handler; a method that is not served stays UNIMPLEMENTED."""
        handler: Any = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            self._started.labels("unknown").inc()
            self._handled.labels("unknown", grpc.StatusCode.UNIMPLEMENTED.name).inc()
            return None
        known = self._wrapped.get(method)
        if known is not None and known[0] is handler:
            return known[1]
        wrapped = self._wrap(method, handler)
        self._wrapped[method] = (handler, wrapped)
        return wrapped

    def _wrap(self, method: str, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
        codec = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return make(self._streaming(method, inner), **codec)
        inner = handler.stream_unary if handler.request_streaming else handler.unary_unary
        make_unary = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make_unary(self._unary(method, inner, needs_deadline=not handler.request_streaming), **codec)

    def _unary(self, method: str, inner: Callable[[Any, Context], Awaitable[Any]], *, needs_deadline: bool) -> Any:
        async def serve(request: Any, context: Context) -> Any:
            begun, cancelled = time.monotonic(), False
            self._begin(method)
            try:
                metadata = _metadata(context)
                with self._span(method, metadata):
                    self._admit(method, context, metadata, needs_deadline)
                    return await inner(request, context)
            except Exception as error:  # noqa: BLE001 - the border: every error becomes a status here
                await self._refuse(method, context, error)
            except asyncio.CancelledError:
                cancelled = True
                raise
            finally:
                self._end(method, context, begun, cancelled)

        return serve

    def _streaming(self, method: str, inner: Callable[[Any, Context], Any]) -> Any:
        async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
            cancelled = False
            self._begin(method)
            try:
                metadata = _metadata(context)
                with self._span(method, metadata):
                    self._admit(method, context, metadata, needs_deadline=False)
                    answer = inner(request, context)
                    if hasattr(answer, "__aiter__"):
                        async for message in answer:
                            yield message
                    else:
                        await answer  # a handler that writes to the context itself
            except Exception as error:  # noqa: BLE001 - the border: every error becomes a status here
                await self._refuse(method, context, error)
            except (asyncio.CancelledError, GeneratorExit):
                cancelled = True
                raise
            finally:
                self._end(method, context, None, cancelled)

        return serve

    def _span(self, method: str, metadata: Mapping[str, str]) -> AbstractContextManager[None]:
        if self._tracing.enabled or "traceparent" in metadata:
            return self._tracing.span(method, parent=extract_metadata(metadata.items()), kind=SpanKind.SERVER)
        return _NO_SPAN

    def _admit(self, method: str, context: Context, metadata: Mapping[str, str], needs_deadline: bool) -> None:
        """Lets the call in, or raises. gRPC gives each call a context of its own, so nothing is reset afterwards."""
        peer = _peer_names(context)
        caller = self._authorizer.authorize(method, metadata.get("authorization"), peer)
        left = _time_left(context)
        if needs_deadline and left is None and not method.startswith(_HEALTH):
            raise ChaparError(
                ErrorKind.INVALID,
                "DEADLINE_MISSING",
                "set a deadline for this call (grpcurl: -max-time 5; Python: timeout=5)",
            )
        key = metadata.get(IDEMPOTENCY_KEY, "")
        if len(key) > MAX_KEY_CHARS:
            raise ChaparError(
                ErrorKind.INVALID, "IDEMPOTENCY_KEY_LONG", f"{IDEMPOTENCY_KEY} has more than {MAX_KEY_CHARS} characters"
            )
        CURRENT.set(Call(method, caller, peer, None if left is None else time.monotonic() + left, key))
        if caller is not None and caller.tenant:
            bind(tenant=caller.tenant)

    async def _refuse(self, method: str, context: Context, error: Exception) -> None:
        """Ends the call with a status. Always raises."""
        if isinstance(error, grpc.aio.AbortError):
            raise error  # the handler has chosen a status by itself
        if isinstance(error, asyncio.TimeoutError):
            error = ChaparError(ErrorKind.DEADLINE, "TIMED_OUT", "the call took longer than it may")
        if not isinstance(error, ChaparError):
            self._log.error("handler failed", method=method, error=type(error).__name__, exc_info=error)
            error = ChaparError(ErrorKind.INTERNAL, "INTERNAL", str(error) or type(error).__name__)
        elif error.kind is ErrorKind.INTERNAL:
            self._log.error("handler failed", method=method, reason=error.reason, message=error.message)
        status = rpc_status.to_status(to_status(error))
        context.set_code(CODES[error.kind])
        await context.abort_with_status(status)

    def _begin(self, method: str) -> None:
        self._started.labels(method).inc()
        self._open.labels(method).inc()

    def _end(self, method: str, context: Context, begun: float | None, cancelled: bool) -> None:
        self._open.labels(method).dec()
        # gRPC's own code is 0 until somebody sets one; it never says that the caller has gone away.
        code = "CANCELLED" if cancelled else _name(context.code())
        self._handled.labels(method, code).inc()
        if begun is not None:
            self._seconds.labels(method).observe(time.monotonic() - begun)


def _peer_names(context: Any) -> tuple[str, ...]:
    auth = context.auth_context()
    names = (*auth.get("x509_subject_alternative_name", ()), *auth.get("x509_common_name", ()))
    return tuple(name.decode("utf-8", "replace") for name in names)


def _name(code: Any) -> str:
    return code.name if isinstance(code, grpc.StatusCode) else _NAMES.get(code or 0, "UNKNOWN")


def _time_left(context: Any) -> float | None:
    left: float | None = context.time_remaining()  # None without a deadline, whatever the stubs say
    return left


def _metadata(context: Context) -> dict[str, str]:
    return {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
