"""Traces across Kafka and gRPC: off by default, and then passed on unchanged."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.chassis.tracing import Tracing, extract, extract_metadata, inject, inject_metadata

PARENT = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("schema", b"x"))


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> Iterator[Tracing]:
    recording = Tracing.start("router", "router-0", exporter=spans)
    yield recording
    recording.close()


def test_off_by_default() -> None:
    """No endpoint, no spans, no headers."""
    tracing = Tracing.start("router", "router-0")
    assert not tracing.enabled
    with tracing.span("decide"):
        assert inject((("schema", b"x"),)) == (("schema", b"x"),)


def test_a_service_that_does_not_record_passes_the_trace_on() -> None:
    """A service that does not record does not interrupt a caller's trace."""
    with Tracing().span("decide", parent=extract(PARENT)):
        assert inject() == (PARENT[0],)
    assert inject() == ()


def test_a_span_continues_the_trace_of_a_record(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    """Producer and consumer are one trace; the stale header is replaced."""
    with tracing.span("handle", parent=extract(PARENT), attributes={"interaction_id": "i-1"}):
        headers = dict(inject(PARENT))
        assert headers["schema"] == b"x"
        assert headers["traceparent"].split(b"-")[1] == b"0af7651916cd43dd8448eb211c80319c"
        assert headers["traceparent"] != PARENT[0][1]
        metadata = inject_metadata()
    (span,) = spans.get_finished_spans()
    assert span.attributes == {"interaction_id": "i-1"}
    assert span.parent is not None
    onward = trace.get_current_span(extract_metadata(metadata)).get_span_context()
    assert span.context is not None
    assert onward.span_id == span.context.span_id


def test_a_failure_is_marked_by_its_type_only(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    """An exception's text may quote a customer."""
    with pytest.raises(ValueError, match="diary"), tracing.span("handle"):
        raise ValueError("my secret diary")
    (span,) = spans.get_finished_spans()
    assert span.status.description == "ValueError"
    assert "diary" not in span.to_json()


@given(st.lists(st.tuples(st.sampled_from(["traceparent", "tracestate", "x"]), st.binary(max_size=60)), max_size=4))
def test_no_header_breaks_the_extraction(headers: list[tuple[str, bytes]]) -> None:
    """Records can have any headers; random bytes are not a trace context."""
    assert not trace.get_current_span(extract(headers)).get_span_context().is_valid
