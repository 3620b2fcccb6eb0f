"""Divides every duration of the shipped monitoring files, so that alerts that need minutes need seconds here.

There is no second copy of the rules: the check reads the shipped files and writes them with shorter durations. Numbers
without a unit, such as `> 600` seconds of waiting, are thresholds of measured values and stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

FIELDS: Final = frozenset(
    {
        "for", "interval", "scrape_interval", "scrape_timeout", "evaluation_interval",
        "group_wait", "group_interval", "repeat_interval",
    }
)  # fmt: skip
"""Fields of the files whose value is a duration; `expr` contains durations."""
_UNITS: Final = {
    "ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000,
}  # fmt: skip
_PART: Final = re.compile(r"(\d+)(ms|[smhdwy])")
_TOKEN: Final = re.compile(r""""[^"]*"|'[^']*'|\b(?:\d+(?:ms|[smhdwy]))+\b""")


def milliseconds(duration: str) -> int:
    """Return a duration of Prometheus, such as `1h30m`, in milliseconds. Raises ValueError for other texts."""
    parts = _PART.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"not a duration: {duration!r}")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def shorter(duration: str, factor: int) -> str:
    """Return a duration divided by `factor`, at least one millisecond."""
    return f"{max(1, round(milliseconds(duration) / factor))}ms"


def shorter_expression(expression: str, factor: int) -> str:
    """Return a PromQL expression with every range, offset and step divided by `factor`; quoted texts stay."""
    return _TOKEN.sub(lambda found: found[0] if found[0][0] in "\"'" else shorter(found[0], factor), expression)


def shorter_file(content: Any, factor: int) -> Any:
    """Return the content of a file of Prometheus or Alertmanager with every duration divided by `factor`."""
    if isinstance(content, Mapping):
        return {name: _shorter_field(name, value, factor) for name, value in content.items()}
    if isinstance(content, Sequence) and not isinstance(content, str):
        return [shorter_file(each, factor) for each in content]
    return content


def _shorter_field(name: str, value: Any, factor: int) -> Any:
    if name in FIELDS:
        return shorter(value, factor)
    if name == "expr":
        return shorter_expression(value, factor)
    return shorter_file(value, factor)
