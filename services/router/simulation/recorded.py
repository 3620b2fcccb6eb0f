"""Read arrivals from a file: CSV with a header, or JSON lines; `chapar simulate record` writes either from routing.events.v1.

Columns (all except `time` may be missing or empty): `time` (2025-03-01T08:00:00.250+03:30, or a time from the start such as 1h2m), `type`,
`queue`, `channel`, `language`, `priority`, `labels` (in CSV name=value;name=value), `requirements` (in CSV as JSON), `handling` and `patience`
(times with units), `patience_censored` (true: the customer was answered after this wait, so they would have waited at least as long).

The greatest wait of a censored customer is not known. It is drawn from Kaplan and Meier's estimate (1958) for their type, given that it is more
than what they did wait. Beyond the longest observed wait the estimate says nothing, and the customer waits for ever.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from services.policy.model.routing import Operator, Selector
from services.router.simulation import scenario as sc
from services.router.simulation.distributions import Vector, milliseconds
from services.router.simulation.reading import Problem, ScenarioError

LARGEST_FILE: Final = 1_000_000_000
LONGEST_LINE: Final = 100_000
MOST_LOOKS: Final = 10_000
COLUMNS: Final = (
    "time",
    "type",
    "queue",
    "channel",
    "language",
    "priority",
    "labels",
    "requirements",
    "handling",
    "patience",
    "patience_censored",
)
_SELECTORS: Final = TypeAdapter(list[sc.Selector])
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Looks:
    """What the engine sees of a recorded interaction; empty fields are taken from the type."""

    type: str
    queue: str
    channel: str
    language: str
    priority: int | None
    labels: tuple[tuple[str, str], ...]
    requirements: str
    """JSON, as in a scenario: it can be compared and sent to other processes, which the engine's own values may not allow."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Recorded arrivals in order. Times in ms from the scenario's start; NaN where nothing is recorded."""

    types: tuple[str, ...]
    looks: tuple[Looks, ...]
    times: Vector
    look: NDArray[np.int64]
    handling: Vector
    patience: Vector
    censored: NDArray[np.bool_]
    ignored: int
    """Number of arrivals outside the scenario's time."""


class _WrongError(ValueError):
    """An error in a line."""


def read(path: Path, *, start: str | None, duration: float) -> Recording:
    """Read a file. Raises ScenarioError with the line; OSError for a file that cannot be read. `start` None: the first arrival's time."""
    if path.stat().st_size > LARGEST_FILE:
        raise ScenarioError(Problem(str(path), 1, f"is larger than {LARGEST_FILE:,} bytes"))
    rows = _Rows(None if start is None else datetime.fromisoformat(start).timestamp() * 1_000)
    number = 1
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows_of = _json_rows if path.suffix == ".jsonl" else _csv_rows
            for number, row in rows_of(lines):  # noqa: B007  # the line of any error in it
                rows.add(row)
    except (_WrongError, UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError(Problem(str(path), number, str(error))) from None
    if not rows.times:
        raise ScenarioError(Problem(str(path), 1, "holds no arrivals"))
    return rows.recording(duration)


def _bounded(lines: Any) -> Iterator[str]:
    while line := lines.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise _WrongError(f"a line is longer than {LONGEST_LINE:,} characters")
        yield line


def _csv_rows(lines: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(_bounded(lines), strict=True)
    yield from ((reader.line_num, row) for row in reader)


def _json_rows(lines: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_bounded(lines), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, {"": f"line {number} is not JSON: {error}"}
            continue
        yield number, row if isinstance(row, dict) else {"": f"line {number} is not a JSON object"}


class _Rows:
    """Collects the lines of a file."""

    def __init__(self, start: float | None) -> None:
        self._start = start
        self.times: list[float] = []
        self._look: list[int] = []
        self._handling: list[float] = []
        self._patience: list[float] = []
        self._censored: list[bool] = []
        self._looks: dict[Looks, int] = {}
        self._absolute: bool | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one line. Raises _WrongError."""
        unknown = [str(key) for key in row if key not in COLUMNS]
        if unknown:
            raise _WrongError(
                str(row[""]) if "" in row else f"`{unknown[0][:80]}` is not a column; there are {', '.join(COLUMNS)}"
            )
        if len(self.times) >= sc.MOST_CUSTOMERS:
            raise _WrongError(f"more than {sc.MOST_CUSTOMERS:,} arrivals")
        self.times.append(self._time(row.get("time")))
        looks = _looks(row)
        found = self._looks.setdefault(looks, len(self._looks))
        if len(self._looks) > MOST_LOOKS:
            raise _WrongError(f"more than {MOST_LOOKS:,} different kinds of interaction; are labels unique to each?")
        self._look.append(found)
        self._handling.append(_duration(row, "handling"))
        self._patience.append(_duration(row, "patience"))
        self._censored.append(_flag(row.get("patience_censored")))

    def _time(self, given: Any) -> float:
        text = str(given or "")
        try:
            absolute = "T" in text
            time = datetime.fromisoformat(text).timestamp() * 1_000 if absolute else milliseconds(text)
            if absolute and datetime.fromisoformat(text).tzinfo is None:
                raise ValueError
        except ValueError:
            wanted = "2025-03-01T08:00:00+03:30 (with its zone) or a time from the start such as 1h2m"
            raise _WrongError(f"`time` must be like {wanted}, not {text[:80]!r}") from None
        if self._absolute is None:
            self._absolute = absolute
        if absolute is not self._absolute:
            raise _WrongError("`time` is a date in some lines and a time from the start in others")
        return time

    def recording(self, duration: float) -> Recording:
        """Return all lines as a recording, in order."""
        times = np.array(self.times)
        if self._absolute:
            times -= times.min() if self._start is None else self._start
        order = np.argsort(times, kind="stable")
        order = order[(times[order] >= 0) & (times[order] < duration)]
        looks = tuple(self._looks)
        return Recording(
            tuple(dict.fromkeys(look.type for look in looks)),
            looks,
            times[order],
            np.array(self._look)[order],
            np.array(self._handling)[order],
            np.array(self._patience)[order],
            np.array(self._censored)[order],
            len(times) - len(order),
        )


def _looks(row: Mapping[str, Any]) -> Looks:
    queue = _text(row, "queue")
    name = _text(row, "type") or queue
    if not name:
        raise _WrongError("needs a `type` or a `queue`")
    if "/" in name:
        raise _WrongError(f"`type` must not contain a /: {name!r}")
    priority = row.get("priority")
    try:
        urgency = None if priority in (None, "") else int(str(priority))
    except ValueError:
        raise _WrongError(f"`priority` must be a whole number, not {str(priority)[:80]!r}") from None
    if urgency is not None and abs(urgency) > 1_000_000:
        raise _WrongError("`priority` must be between -1,000,000 and 1,000,000")
    return Looks(name, queue, _text(row, "channel"), _text(row, "language"), urgency, _labels(row), _requirements(row))


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        raise _WrongError(f"`{column}` must be a text of at most {_LONGEST_NAME} characters")
    return value


def _labels(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    value = row.get("labels")
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(";") if part]
        value = {name: text for name, equals, text in pairs if equals}
        if len(value) < len(pairs):
            raise _WrongError("`labels` must be like tier=gold;lang=fa")
    if value is None:
        return ()
    if not isinstance(value, dict) or len(value) > 100:
        raise _WrongError("`labels` must be at most 100 names with a text each")
    return tuple(sorted((str(name), str(text)) for name, text in value.items()))


def _requirements(row: Mapping[str, Any]) -> str:
    value = row.get("requirements")
    if value in (None, "", []):
        return ""
    try:
        text = value if isinstance(value, str) else json.dumps(value)
        _SELECTORS.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise _WrongError(f"`requirements.{place}` {first['msg']}") from None
    return text


def to_selectors(requirements: str) -> tuple[Selector, ...]:
    """Return the requirements of a recorded interaction as the engine's selectors."""
    return tuple(to_selector(one) for one in _SELECTORS.validate_json(requirements)) if requirements else ()


def to_selector(written: sc.Selector) -> Selector:
    """Return a requirement as the engine's selector."""
    return Selector(
        written.attribute,
        Operator[written.operator.upper()],
        written.number,
        written.text,
        tuple(written.texts),
        round(written.expires_after),
        written.weight,
        tuple((round(step.after), step.number) for step in written.steps),
        tuple(to_selector(one) for one in written.any_of),
        tuple(to_selector(one) for one in written.all_of),
    )


def _duration(row: Mapping[str, Any], column: str) -> float:
    value = row.get(column)
    if value in (None, ""):
        return float("nan")
    try:
        return milliseconds(value)
    except ValueError as error:
        raise _WrongError(f"`{column}` {error}, not {str(value)[:80]!r}") from None


def _flag(value: Any) -> bool:
    if value in (None, "", False, "false"):
        return False
    if value in (True, "true"):
        return True
    raise _WrongError(f"`patience_censored` must be true or false, not {str(value)[:80]!r}")


@dataclass(frozen=True, slots=True)
class Survival:
    """Kaplan and Meier's estimate: `alive[i]` is the share that still waits just after `times[i]`."""

    times: Vector
    alive: Vector

    @classmethod
    def of(cls, waits: Vector, censored: NDArray[np.bool_]) -> Survival:
        """Estimate from waits; censored waits are lower bounds."""
        order = np.lexsort((censored, waits))  # at equal times customers who left come before those who stayed
        at_risk = len(waits) - np.arange(len(waits))
        left = ~censored[order]
        alive: Vector = np.cumprod(1 - left / at_risk, dtype=np.float64)
        return cls(waits[order][left], alive[left])

    def quantile(self, u: Vector, beyond: Vector) -> Vector:
        """Return patience at shares `u` (0 leaves first) of customers who still wait after `beyond`; inf where none was observed to leave."""
        known = np.searchsorted(self.times, beyond, side="right")
        start = np.concatenate(([1.0], self.alive))[known]
        wanted = start * (1 - u)
        place = np.maximum(known, np.searchsorted(-self.alive, -wanted, side="left"))
        return np.concatenate((self.times, [np.inf]))[place]
