"""Each log line is one JSON object, without personal or secret data."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.logs import MASK, bound, configure_logging, get_logger, redact
from services.chassis.tracing import Tracing


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """The stream of a configured process; the configuration is undone afterwards."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    configure_logging("router", "router-0", "INFO", stream=stream)
    yield stream
    root.handlers[:], _ = before
    root.setLevel(before[1])
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_has_service_time_and_event(out: io.StringIO) -> None:
    """RFC 3339 in UTC, and the ids of the context."""
    with bound(tenant="acme", interaction_id="i-1"):
        get_logger("x").info("interaction queued", queue="billing", waited_s=1.5)
    (line,) = lines(out)
    assert line["ts"].endswith("Z")
    assert line["ts"][10] == "T"
    assert {k: v for k, v in line.items() if k != "ts"} == {
        "level": "info",
        "service": "router",
        "instance": "router-0",
        "logger": "x",
        "event": "interaction queued",
        "tenant": "acme",
        "interaction_id": "i-1",
        "queue": "billing",
        "waited_s": 1.5,
    }


def test_log_lines_of_libraries_have_the_same_form(out: io.StringIO) -> None:
    """The standard library's logging is routed through structlog, and redacted too."""
    logging.getLogger("some.library").warning(
        "call to https://api/bot123:AbC-d/send with %s", "Bearer abcdefgh12345678"
    )
    (line,) = lines(out)
    assert line["logger"] == "some.library"
    assert line["service"] == "router"
    assert "AbC-d" not in line["event"]
    assert "abcdefgh" not in line["event"]


def test_levels_are_kept(out: io.StringIO) -> None:
    """aiokafka's INFO lines are dropped."""
    get_logger("x").debug("no")
    logging.getLogger("aiokafka.consumer").info("no")
    assert lines(out) == []


def test_an_exception_is_one_line(out: io.StringIO) -> None:
    """The line contains the stack trace."""
    try:
        raise RuntimeError("broken")
    except RuntimeError as error:
        get_logger("x").error("handler failed", exc_info=error)
    (line,) = lines(out)
    assert "RuntimeError: broken" in line["exception"]


def test_a_lone_surrogate_or_persian_text_is_logged(out: io.StringIO) -> None:
    """Persian stays readable."""
    get_logger("x").info("چاپار رسید", odd="\ud800")
    assert "چاپار رسید" in out.getvalue()
    assert b"\\ud800" in out.getvalue().encode("utf-8")
    assert lines(out)[0]["odd"] == "\ud800"


def test_a_trace_is_named(out: io.StringIO) -> None:
    """The ids lead from a line to its trace."""
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    tracing = Tracing.start("router", "router-0", exporter=InMemorySpanExporter())
    with tracing.span("decide"):
        get_logger("x").info("inside")
    get_logger("x").info("outside")
    inside, outside = lines(out)
    assert len(inside["trace_id"]) == 32
    assert "trace_id" not in outside
    tracing.close()


def test_logs_can_be_formatted_for_a_terminal(out: io.StringIO) -> None:
    """The format for a terminal has the same redaction."""
    stream = io.StringIO()
    configure_logging("router", "router-0", human=True, stream=stream)
    get_logger("x").info("started", token="t0p-secret")
    assert "started" in stream.getvalue()
    assert "t0p-secret" not in stream.getvalue()


FORBIDDEN = st.sampled_from(
    ["body", "text", "token", "Secret", "Authorization", "address", "phone", "email", "native_id", "bot_token",
     "customer_phone", "from-address", "api_key", "reply_text"]
)  # fmt: skip
SECRET = "s3cr3t-9f8e7d"


@given(FORBIDDEN, st.integers(0, 4))
def test_forbidden_fields_are_masked_at_any_depth(key: str, depth: int) -> None:
    """In dicts and in lists of dicts."""
    value: Any = {key: SECRET, "queue": "billing"}
    for level in range(depth):
        value = {"inner": value} if level % 2 else [value]
    cleaned = redact(None, "info", {"event": "x", "data": value})
    assert SECRET not in repr(cleaned)
    assert MASK in repr(cleaned)


@pytest.mark.parametrize(
    "text",
    [
        f"https://api.telegram.org/bot123456:{SECRET}/sendMessage",
        f"authorization: Bearer {SECRET}",
        f"GET /hook?hub.verify_token={SECRET}&x=1",
        f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
    ],
)
def test_secrets_inside_texts_are_masked(text: str) -> None:
    """Also under harmless field names, and in the texts of exceptions."""
    cleaned = redact(None, "info", {"event": text, "url": text, "error": ValueError(text)})
    assert SECRET not in repr(cleaned)


def test_bytes_and_long_texts_are_only_measured() -> None:
    """Raw bytes may be a customer's message."""
    cleaned = redact(None, "info", {"event": "x", "record": b"hello", "note": "y" * 10_000})
    assert cleaned["record"] == "[5 bytes]"
    assert len(cleaned["note"]) < 5000
