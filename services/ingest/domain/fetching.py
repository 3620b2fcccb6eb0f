"""Decides about files that are still at their provider: which ones are fetched, what an answer means, when to try again.

A file is fetched until it is stored, until the provider says that it no longer has it, or until it is too old. An attempt
that did not succeed says nothing about the file: the provider may be away, or the account's token may be wrong until an
operator corrects it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

from services.ingest.domain import effects
from services.ingest.domain.effects import Effect
from services.ingest.domain.files.policy import FileRefusal, FileState
from services.ingest.domain.reasons import Reason
from services.ingest.domain.retry_after import milliseconds

TELEGRAM_MAX_BYTES: Final = 20 << 20
"""The Bot API gives no larger file to a bot."""
_TOO_BIG: Final = "file is too big"
_WHATSAPP_GONE: Final = frozenset({100, 131052})
"""Codes of the Graph API for a media id that does not exist (any more)."""
_WHATSAPP_ACCOUNT: Final = frozenset({0, 3, 10, 190, 200, 368})

Body = Mapping[str, Any]
"""A JSON object from outside: every value is checked before use."""


class FetchOutcome(Enum):
    """What became of an attempt."""

    AGAIN = "again"
    """Not now: the provider is away, or asks to wait."""
    HALTED = "halted"
    """Not with this account: its token or its address is wrong, whatever the file."""
    REFUSED = "refused"
    """Never: the file is gone, or is not taken."""


@dataclass(frozen=True, slots=True)
class NotFetched:
    """An attempt that did not succeed. `refusal`: only with REFUSED. Time in ms, 0: the provider did not say."""

    outcome: FetchOutcome
    reason: str
    refusal: FileRefusal = FileRefusal.NONE
    retry_after_ms: int = 0


GONE: Final = NotFetched(FetchOutcome.REFUSED, Reason.FILE_GONE, FileRefusal.GONE)
TOO_LARGE: Final = NotFetched(FetchOutcome.REFUSED, Reason.FILE_TOO_LARGE, FileRefusal.TOO_LARGE)
NOT_ALLOWED: Final = NotFetched(FetchOutcome.REFUSED, Reason.URL_REFUSED, FileRefusal.NOT_FETCHED)
REDIRECTED: Final = NotFetched(FetchOutcome.REFUSED, Reason.REDIRECTED, FileRefusal.NOT_FETCHED)
"""Redirects are not followed: the provider's own answers have none, and the token must not go elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How a file is tried again: a few times at once, then after a fixed delay. Times in ms."""

    tries: int = 3
    first_wait_ms: int = 1_000
    longest_wait_ms: int = 5_000
    """A provider that asks for a longer wait than this gets it between two rounds."""
    round_ms: int = 60_000
    """A round begins no try after this time: the records behind it wait for its end."""
    delay_ms: int = 30_000
    slow_rest_ms: int = 300_000
    """An account rests for this time after a download that did not end in time."""
    give_up_ms: int = 86_400_000


def fetches(written: Iterable[Effect]) -> tuple[Effect, ...]:
    """Return the effects, each recorded message followed by the requests to fetch its files."""
    found: list[Effect] = []
    for effect in written:
        found.append(effect)
        if isinstance(effect, effects.MessageRecorded):
            found.extend(
                effects.FetchAsked(effect.conversation_id, effect.message, effect.interaction_id, each)
                for each in effect.message.attachments
                if each.state is FileState.TO_FETCH and each.file_id
            )
    return tuple(found)


def wait_ms(limits: FetchLimits, tries: int, failed: NotFetched) -> int | None:
    """Return how long to wait before the next try of the same round; None when the round is over for this file."""
    if failed.outcome is not FetchOutcome.AGAIN or tries >= limits.tries or failed.reason == Reason.TIMEOUT:
        return None
    if failed.reason == Reason.LINK_EXPIRED:
        return 0
    wait = max(failed.retry_after_ms, limits.first_wait_ms * 2 ** (tries - 1))
    return wait if wait <= limits.longest_wait_ms else None


def rest_ms(limits: FetchLimits, failed: NotFetched, *, of_account: bool) -> int:
    """Return how long an account rests after a round that did not succeed. `of_account`: not because of this file."""
    if not of_account:
        return limits.slow_rest_ms if failed.reason == Reason.TIMEOUT else 0
    return max(limits.delay_ms // 2, failed.retry_after_ms)


def telegram(status: int, body: Body | None, retry_after: str = "") -> NotFetched | None:
    """Classify the answer of the Bot API to getFile, or to the download; None: it succeeded."""
    if status == 200:
        return None
    told = body if body is not None else {}
    if status == 429:
        parameters = told.get("parameters")
        wait = parameters.get("retry_after") if isinstance(parameters, Mapping) else None
        return _again(status, wait or retry_after)
    description = told.get("description")
    if status == 400:
        return TOO_LARGE if isinstance(description, str) and _TOO_BIG in description.lower() else GONE
    return _by_status(status, retry_after)


def telegram_download(status: int, retry_after: str = "") -> NotFetched | None:
    """Classify the answer to a download. A path lives for an hour: after that, getFile gives another one."""
    if status == 200:
        return None
    return NotFetched(FetchOutcome.AGAIN, Reason.LINK_EXPIRED) if status == 404 else _by_status(status, retry_after)


def telegram_path(body: Body | None) -> str:
    """Return the path of a file in an answer to getFile; empty when there is none that can be used."""
    result = body.get("result") if body is not None and body.get("ok") is True else None
    path = result.get("file_path") if isinstance(result, Mapping) else None
    if not isinstance(path, str) or not 0 < len(path) <= 1024 or not path.isascii() or not path.isprintable():
        return ""
    # The path becomes part of an address that contains the token.
    unsafe = path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/"))
    return "" if unsafe or any(c in path for c in "?#\\ %") else path


def whatsapp(status: int, body: Body | None, retry_after: str = "") -> NotFetched | None:
    """Classify the answer of the Graph API to a media id; None: it succeeded."""
    if status == 200:
        return None
    error = body.get("error") if body is not None else None
    code = error.get("code") if isinstance(error, Mapping) else None
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= status < 500 and status != 429:
        if code in _WHATSAPP_ACCOUNT:
            return NotFetched(FetchOutcome.HALTED, f"WHATSAPP_{code}")
        if code in _WHATSAPP_GONE:
            return GONE
        return NotFetched(FetchOutcome.AGAIN, f"WHATSAPP_{code}"[:60], retry_after_ms=milliseconds(retry_after))
    return GONE if status == 404 else _by_status(status, retry_after)


def whatsapp_download(status: int, retry_after: str = "") -> NotFetched | None:
    """Classify the answer to a download. The address lives for five minutes: after that, the media id gives another one."""
    if status == 200:
        return None
    if status == 404:
        return NotFetched(FetchOutcome.AGAIN, Reason.LINK_EXPIRED)
    return _by_status(status, retry_after)


def whatsapp_media(body: Body | None) -> tuple[str, int]:
    """Return the address of a media, and its size if it is known; an empty address when there is none."""
    told = body if body is not None else {}
    url, size = told.get("url"), told.get("file_size")
    if isinstance(size, str) and size.isascii() and size.isdecimal() and len(size) < 16:
        size = int(size)
    known = size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else 0
    return (url if isinstance(url, str) and len(url) <= 4096 else ""), known


def allowed(url: str, base_url: str, hosts: Iterable[str]) -> bool:
    """Return whether the account's token may go to this address: by TLS to one of the hosts, or to the provider's own
    address, to which the token goes anyway."""
    try:
        there, base = urlsplit(url), urlsplit(base_url)
        if there.username is not None or there.password is not None or there.hostname is None:
            return False
        if (there.scheme, there.hostname, there.port) == (base.scheme, base.hostname, base.port):
            return True
        return there.scheme == "https" and there.port in (None, 443) and there.hostname in set(hosts)
    except ValueError:
        return False


def _again(status: int, retry_after: object) -> NotFetched:
    return NotFetched(FetchOutcome.AGAIN, f"HTTP_{status}", retry_after_ms=milliseconds(retry_after))


def _by_status(status: int, retry_after: str) -> NotFetched:
    if 300 <= status < 400:
        return REDIRECTED
    if status in (401, 403, 404):
        return NotFetched(FetchOutcome.HALTED, f"HTTP_{status}")
    if status == 410:
        return GONE
    return _again(status, retry_after)
