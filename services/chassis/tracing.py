"""Traces across Kafka and gRPC: W3C trace context in headers, implemented with OpenTelemetry, off by default.

Without an endpoint nothing is recorded and every call here returns at once; a received trace context is still passed
on, so a service that does not record does not interrupt a trace. Spans contain ids, never bodies.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

Headers = tuple[tuple[str, bytes], ...]
_FIELDS = ("traceparent", "tracestate")
_PROPAGATOR = TraceContextTextMapPropagator()
_NO_CONTEXT = Context()


def inject(headers: Headers = (), context: Context | None = None) -> Headers:
    """Return Kafka headers with the current trace context in place of any that was there."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context)
    if not carrier:
        return headers
    kept = tuple(header for header in headers if header[0] not in _FIELDS)
    return (*kept, *((name, value.encode()) for name, value in carrier.items()))


def extract(headers: Iterable[tuple[str, bytes]]) -> Context:
    """Return the trace context in Kafka headers; an empty one when there is none, or a malformed one."""
    carrier = {name: value.decode("ascii", "replace") for name, value in headers if name in _FIELDS and value}
    return _PROPAGATOR.extract(carrier, _NO_CONTEXT) if carrier else _NO_CONTEXT


def inject_metadata(context: Context | None = None) -> tuple[tuple[str, str], ...]:
    """Return gRPC metadata for the current trace context."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context)
    return tuple(carrier.items())


def extract_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> Context:
    """Return the trace context in gRPC metadata."""
    carrier = {name: value for name, value in metadata if name in _FIELDS and isinstance(value, str)}
    return _PROPAGATOR.extract(carrier, _NO_CONTEXT) if carrier else _NO_CONTEXT


class Tracing:
    """The tracer of one process."""

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("chapar") if provider is not None else None

    @classmethod
    def start(
        cls,
        service: str,
        instance: str,
        endpoint: str = "",
        ratio: float = 1.0,
        exporter: "SpanExporter | None" = None,
    ) -> "Tracing":
        """Start recording to `endpoint` by OTLP/gRPC (or to a given exporter); without either, off."""
        if not endpoint and exporter is None:
            return cls()
        # The SDK and the exporter take 0.3 s to import: do it only if tracing is on.
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        provider = TracerProvider(
            resource=Resource.create({"service.name": f"chapar-{service}", "service.instance.id": instance}),
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            shutdown_on_exit=False,
        )
        if exporter is not None:
            provider.add_span_processor(SimpleSpanProcessor(exporter))
        else:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

            # A collector that is away delays the end of the process by this time at most.
            plain = endpoint.startswith("http://")
            provider.add_span_processor(
                BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=plain, timeout=2))
            )
        return cls(provider)

    @property
    def enabled(self) -> bool:
        """Whether spans are recorded."""
        return self._tracer is not None

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int | float | bool] | None = None,
    ) -> Iterator[None]:
        """Run the block in a span (when recording), under `parent` or under the current span.

        When not recording, `parent` still becomes current, so that messages sent inside contain it.
        """
        if self._tracer is None:
            if not parent:
                yield
                return
            token = otel_context.attach(parent)
            try:
                yield
            finally:
                otel_context.detach(token)
            return
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=kind,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                # The type only: an exception's text may quote the data that caused it.
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def annotate(self, **attributes: str | int | float | bool) -> None:
        """Add ids to the current span."""
        if self._tracer is not None:
            trace.get_current_span().set_attributes(attributes)

    def close(self) -> None:
        """Send the buffered spans. May block for seconds: call it off the event loop."""
        if self._provider is not None:
            self._provider.shutdown()
