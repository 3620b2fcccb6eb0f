"""What each channel allows when something is sent, as data. An account's settings can override values that a provider
may change.

Sources: the providers' documentation as collected in the channel contracts. Limits per second are the provider's
limits for one account.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.ingest.domain.graphemes import cut_before, is_boundary
from services.policy.model.intake import DAY_MS, HOUR_MS, AccountPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRules:
    """The rules of one channel. Times in ms, lengths in characters of text."""

    immediate: bool = False
    """The message is delivered when it is written into the conversation; the customer's client reads it there."""
    reports: bool = False
    """Whether facts about a message arrive after the provider has taken it: status reports, bounces."""
    part_chars: int = 0
    """Longer texts are sent in parts. 0: texts are never split."""
    reply_window_ms: int = 0
    """A message can be sent only within this time after the customer's last message. 0: no such rule."""
    per_second: float = 10.0
    burst: float = 10.0
    chat_per_second: float = 0.0
    """The limit for one recipient. 0: no limit."""
    chat_burst: float = 1.0
    group_per_second: float = 0.0
    """The limit for one group chat. 0: no limit."""
    max_attempts: int = 8
    max_age_ms: int = DAY_MS
    """Retries end when the request is this old. Time in which the account was halted does not count."""
    first_retry_ms: int = 1_000
    last_retry_ms: int = 300_000


_TELEGRAM: Final = ChannelRules(
    part_chars=4096, per_second=30.0, burst=30.0, chat_per_second=1.0, chat_burst=3.0, group_per_second=20 / 60
)
_RULES: Final[Mapping[str, ChannelRules]] = MappingProxyType(
    {
        "webchat": ChannelRules(immediate=True),
        "grpc": ChannelRules(immediate=True),
        "telegram": _TELEGRAM,
        "bale": _TELEGRAM,
        "whatsapp": ChannelRules(
            reports=True,
            part_chars=4096,
            reply_window_ms=DAY_MS,
            per_second=80.0,
            burst=80.0,
            chat_per_second=1 / 6,
            chat_burst=45.0,
        ),
        "email": ChannelRules(
            reports=True, per_second=10.0, max_attempts=12, max_age_ms=48 * HOUR_MS, first_retry_ms=15_000
        ),
        "webhook": ChannelRules(per_second=50.0, burst=50.0),
    }
)


def channel_rules(channel: str) -> ChannelRules | None:
    """Return the rules of a channel, or None when nothing can be sent by it."""
    return _RULES.get(channel)


def account_rate(rules: ChannelRules, account: AccountPolicy) -> tuple[float, float]:
    """Return (sends per second, burst) of an account: the operator's value if set, otherwise the channel's."""
    if account.sends_per_second > 0:
        return account.sends_per_second, max(1.0, account.sends_per_second)
    return rules.per_second, rules.burst


def parts_of(text: str, part_chars: int) -> tuple[str, ...]:
    """Split a text into parts of at most `part_chars` UTF-16 units (the unit in which the providers count).

    A part ends at a line break or a space if the second half of the part has one, and else between two grapheme
    clusters: a family of emoji or a letter with its marks remains whole.
    """
    if part_chars <= 0:
        return (text,)
    parts: list[str] = []
    at = 0
    while at < len(text):
        end = _fitting(text, at, part_chars)
        if end == len(text):
            parts.append(text[at:])
            break
        middle = at + (end - at) // 2
        cut = text.rfind("\n", middle, end)
        if cut < 0:
            cut = text.rfind(" ", middle, end)
        if cut > at and is_boundary(text, cut + 1, at):
            parts.append(text[at:cut])
            at = cut + 1
            continue
        end = cut_before(text, at, end)
        parts.append(text[at:end])
        at = end
    return tuple(part for part in parts if part.strip()) if len(parts) > 1 else (text,)


def _fitting(text: str, start: int, units: int) -> int:
    """Return the end of the text that fits into this number of UTF-16 units; at least one character."""
    window = text[start : start + units]
    if not window or max(window) <= "\uffff":
        return start + len(window)
    # A search over prefixes counts in C. A loop over the characters of a long message would block the event loop.
    fits = bisect_right(range(1, len(window) + 1), units, key=lambda chars: _units(window[:chars]))
    return start + max(1, fits)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
