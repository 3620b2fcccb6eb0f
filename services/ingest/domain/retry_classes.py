"""Maps a provider's answer to an outcome: one function per provider, from status and body.

RETRY: not accepted, may be accepted later. REJECTED: this message will never be accepted. UNREACHABLE: this customer
can't be reached. HALTED: the account is refused, whatever the message. UNKNOWN: the result cannot be known; such a
message is never sent again automatically. Codes that a provider may change are listed here, so that a new code needs
one line. A code that is not listed is judged by its HTTP status.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.reasons import Reason
from services.ingest.domain.retry_after import milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """The result for one part of a message. `retry_after_ms` 0: the provider did not say."""

    outcome: Outcome
    reason: str = ""
    native_id: str = ""
    retry_after_ms: int = 0
    migrated_to: str = ""


Body = Mapping[str, Any]
"""A JSON object from outside: every value is checked before use."""


def telegram(status: int, body: Body | None, retry_after: str = "") -> PartResult:
    """Classify an answer of Telegram's Bot API, or of Bale's, which has the same format."""
    if status == 200:
        result = body.get("result") if body is not None and body.get("ok") is True else None
        if not isinstance(result, Mapping):
            return PartResult(outcome=Outcome.UNKNOWN, reason=Reason.UNREADABLE_ANSWER)
        chat = result.get("chat")
        chat_id = chat.get("id") if isinstance(chat, Mapping) else ""
        return PartResult(outcome=Outcome.ACCEPTED, native_id=f"{chat_id}:{result.get('message_id', '')}")
    told = body if body is not None else {}
    parameters = told.get("parameters")
    parameters = parameters if isinstance(parameters, Mapping) else told
    moved = parameters.get("migrate_to_chat_id")
    if isinstance(moved, int) and not isinstance(moved, bool):
        return PartResult(outcome=Outcome.RETRY, reason=Reason.CHAT_MIGRATED, migrated_to=str(moved))
    if status == 429:
        return PartResult(
            outcome=Outcome.RETRY,
            reason=Reason.HTTP_429,
            retry_after_ms=milliseconds(parameters.get("retry_after") or retry_after),
        )
    if status == 403:
        return PartResult(outcome=Outcome.UNREACHABLE, reason=Reason.BLOCKED_BY_USER)
    if status in (401, 404):
        return PartResult(outcome=Outcome.HALTED, reason=f"HTTP_{status}")
    return _by_status(status, retry_after)


_WHATSAPP_RETRY: Final = frozenset({4, 80007, 130429, 131000, 131016, 131056, 131057, 133016})
_WHATSAPP_REJECTED: Final = frozenset({131008, 131009, 131021, 131050, 131051})
_WHATSAPP_UNREACHABLE: Final = frozenset({131026, 131030})
_WHATSAPP_HALTED: Final = frozenset({0, 3, 10, 190, 368, 131031, 131042, *range(200, 300)})
_WHATSAPP_OUTSIDE_WINDOW: Final = 131047


def whatsapp(status: int, body: Body | None, retry_after: str = "") -> PartResult:
    """Classify an answer of the WhatsApp Cloud API."""
    if 200 <= status < 300:
        messages = body.get("messages") if body is not None else None
        first = messages[0] if isinstance(messages, list) and messages else None
        if not isinstance(first, Mapping) or not isinstance(first.get("id"), str):
            return PartResult(outcome=Outcome.UNKNOWN, reason=Reason.UNREADABLE_ANSWER)
        return PartResult(outcome=Outcome.ACCEPTED, native_id=first["id"])
    error = body.get("error") if body is not None else None
    code = error.get("code") if isinstance(error, Mapping) else None
    if not isinstance(code, int) or isinstance(code, bool):
        if status == 401:
            return PartResult(outcome=Outcome.HALTED, reason=Reason.HTTP_401)
        return _by_status(status, retry_after)
    reason = f"WHATSAPP_{code}"
    if code == _WHATSAPP_OUTSIDE_WINDOW:
        return PartResult(outcome=Outcome.REJECTED, reason=Reason.OUTSIDE_WINDOW)
    if code in _WHATSAPP_RETRY:
        return PartResult(outcome=Outcome.RETRY, reason=reason, retry_after_ms=milliseconds(retry_after))
    if code in _WHATSAPP_UNREACHABLE:
        return PartResult(outcome=Outcome.UNREACHABLE, reason=reason)
    if code in _WHATSAPP_HALTED:
        return PartResult(outcome=Outcome.HALTED, reason=reason)
    if code in _WHATSAPP_REJECTED or 132_000 <= code < 133_000:
        return PartResult(outcome=Outcome.REJECTED, reason=reason)
    known = _by_status(status, retry_after)
    return PartResult(outcome=known.outcome, reason=reason, retry_after_ms=known.retry_after_ms)


def whatsapp_failure(code: int) -> tuple[str, bool]:
    """Return the reason of a status report `failed` with this code, and whether the same message may be accepted later."""
    if code == _WHATSAPP_OUTSIDE_WINDOW:
        return Reason.OUTSIDE_WINDOW, False
    return f"WHATSAPP_{code}", code in _WHATSAPP_RETRY


def webhook(status: int, retry_after: str = "") -> PartResult:
    """Classify the answer of another system's reply URL."""
    if 200 <= status < 300:
        return PartResult(outcome=Outcome.ACCEPTED)
    if status in (401, 403, 404, 410):
        return PartResult(outcome=Outcome.HALTED, reason=f"HTTP_{status}")
    return _by_status(status, retry_after)


_SMTP_AUTHENTICATION: Final = frozenset({530, 534, 535, 538})


def smtp(code: int, phase: str) -> PartResult:
    """Classify a mail server's answer. `phase`: connect, login, sender, recipient, data."""
    reason = f"SMTP_{code}"
    if 200 <= code < 300:
        return PartResult(outcome=Outcome.ACCEPTED)
    if 400 <= code < 500:
        return PartResult(outcome=Outcome.RETRY, reason=reason)
    if phase in ("connect", "login", "sender") or code in _SMTP_AUTHENTICATION:
        return PartResult(outcome=Outcome.HALTED, reason=reason)
    if phase == "recipient":
        return PartResult(outcome=Outcome.UNREACHABLE, reason=reason)
    return PartResult(outcome=Outcome.REJECTED, reason=reason)


def _by_status(status: int, retry_after: str) -> PartResult:
    reason = f"HTTP_{status}"
    if status >= 500 or status in (408, 425, 429):
        return PartResult(outcome=Outcome.RETRY, reason=reason, retry_after_ms=milliseconds(retry_after))
    if 300 <= status < 400:
        # We never follow redirects: the base URL is wrong, whatever the message.
        return PartResult(outcome=Outcome.HALTED, reason=reason)
    if 200 <= status < 300:
        return PartResult(outcome=Outcome.UNKNOWN, reason=Reason.UNREADABLE_ANSWER)
    return PartResult(outcome=Outcome.REJECTED, reason=reason)
