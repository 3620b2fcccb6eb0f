"""Logs: one JSON object a line on standard output, without personal or secret data.

Never log bodies, tokens, secrets, addresses or native ids. `redact` is a safety net under that rule, not a permission: it
masks fields by name, at any depth, and bearer tokens and bot tokens inside texts. Ids of trace, tenant and interaction
come from the context (`bound`), so that every line of a request contains them.
"""

import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

MASK = "[redacted]"
_FORBIDDEN = frozenset(
    {
        "body", "text", "html", "payload", "raw", "token", "secret", "password", "authorization", "cookie", "signature",
        "address", "phone", "email", "native_id", "msisdn", "wa_id", "chat_id", "from_addr", "rcpt", "subject_line",
        "api_key", "private_key", "resume_token",
    }
)  # fmt: skip
_FORBIDDEN_SUFFIX = re.compile(r"_(body|text|token|secret|password|address|phone|email|native_id|api_key)$")
# A bot token in a URL path, a bearer token, a JWT anywhere, a query parameter with a secret.
_PATTERNS = (
    (re.compile(r"/bot\d+:[A-Za-z0-9_-]+"), "/bot" + MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 " + MASK),
    (re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), MASK),
    (
        re.compile(r"(?i)([?&](?:access_token|token|secret|sig|signature|key|hub\.verify_token)=)[^&\s\"']+"),
        r"\1" + MASK,
    ),
)
# One search shows that a text contains none of the four: most do not, and this runs for every field of every line.
_SUSPECT = re.compile(r"/bot\d|[Bb][Ee][Aa][Rr][Ee][Rr]\s|[Bb][Aa][Ss][Ii][Cc]\s|eyJ|[?&]")
_MAX_TEXT = 4096
_MAX_DEPTH = 6


def configure_logging(
    service: str, instance: str, level: str = "INFO", human: bool = False, stream: TextIO | None = None
) -> None:
    """Route structlog and the standard library's logging to `stream` (standard output). Called once, by `__main__`."""
    out = stream or sys.stdout
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _stamp(service, instance),
        _add_trace,
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer(colors=out.isatty()) if human else _JsonLine()
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # These two log every connection and every request at INFO.
    for noisy in ("aiokafka", "uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> FilteringBoundLogger:
    """Return a logger: `log.info("interaction opened", interaction_id=…)`. The event is constant, the rest are fields."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Add fields (tenant, interaction_id…) to every line logged inside, in this task and those it starts."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield


def bind(**fields: str) -> None:
    """Add fields for the rest of this task, which must be one that ends with its work (a call, not a server)."""
    structlog.contextvars.bind_contextvars(**fields)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask secrets and personal data: a structlog processor."""
    return {key: MASK if _is_forbidden(key) else _clean(value, 0) for key, value in event.items()}


def redact_text(text: str) -> str:
    """Mask one text, before an exception is shown to a person."""
    whole = len(text)
    text = text[: 2 * _MAX_TEXT]
    if _SUSPECT.search(text) is not None:
        for pattern, mask in _PATTERNS:
            text = pattern.sub(mask, text)
    return text if max(whole, len(text)) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({whole} characters)"


@lru_cache(maxsize=2048)
def _is_forbidden(key: str) -> bool:
    low = key.lower().replace("-", "_")
    return low in _FORBIDDEN or _FORBIDDEN_SUFFIX.search(low) is not None


def _clean(value: Any, depth: int) -> Any:
    if type(value) is str:
        return redact_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {str(k): MASK if _is_forbidden(str(k)) else _clean(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, depth + 1) for item in value]
    return redact_text(str(value))


def _stamp(service: str, instance: str) -> Processor:
    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["ts"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event["service"] = service
        event["instance"] = instance
        return event

    return stamp


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


class _JsonLine:
    """Renders fixed keys first, in the order in which people read them."""

    _FIRST = ("ts", "level", "service", "instance", "logger", "event", "trace_id", "tenant", "interaction_id")

    def __init__(self) -> None:
        self._render = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)

    def __call__(self, logger: WrappedLogger, name: str, event: MutableMapping[str, Any]) -> str | bytes:
        ordered = {key: event[key] for key in self._FIRST if key in event}
        ordered.update(event)
        line = self._render(logger, name, ordered)
        # A lone surrogate cannot be written to a UTF-8 stream; the line must still be logged.
        return line.encode("utf-8", "backslashreplace").decode() if isinstance(line, str) else line
