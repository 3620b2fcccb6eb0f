"""Histograms of invitations, responses, amendments and first contacts, exact although each record may come more than
once.

Histograms are kept per dimension and per partition of the input. Dimensions are not crossed with each other: a response
counts once under its queue and once under its channel, never under the pair. A partition's `ScoreTable` remembers the
offset after the last record that it has counted. Records of one partition come in order, so every record below that
offset is counted already, and a repetition changes nothing. A dimension's total is the sum over partitions.

An amendment removes its response from every histogram that it was in and adds the new one. Windows are those of the
time of the invitation, so a window's response rate has numerator and denominator of the same invitations, and an
amendment changes the window that its response is in.

Windows expire by the time of the newest record of the partition, which only the log decides: the same records expire
the same windows.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from services.feedback.domain import windows
from services.policy.model.surveys import SurveyKind, primary

_EMPTY: Mapping[int, int] = MappingProxyType({})
GROUPS: Final = ("all", "channel", "queue", "agent", "skill", "tier", "language", "category")
MOST_VALUES: Final = 20_000
"""Most values of one name in a tenant and partition; later values count as OTHER. Tiers and languages are texts from
outside."""
OTHER: Final = "(other)"
_VALUE_CHARS: Final = 120


@dataclass(frozen=True, slots=True)
class Dimension:
    """What scores are grouped by. `kind` None: first contacts. `day` is the window's name (`domain.windows`), empty
    for all time."""

    tenant: str
    kind: SurveyKind | None
    name: str
    value: str = ""
    day: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """One more (`by` 1) or one less (`by` -1) of a score; without a score, of an invitation. `kind` None: of a first
    contact.

    `first`: the survey begins with this question, so it counts for the response rate.
    """

    kind: SurveyKind | None
    score: int | None = None
    by: int = 1
    first: bool = True
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """The content of one record. `groups`: names and values that it counts under (`groups_of`). `asked_at_ms`: the
    time that its windows hold, 0 if it is unknown; `day`: that day in the tenant's zone."""

    tenant: str
    groups: tuple[tuple[str, str], ...]
    day: str
    asked_at_ms: int
    tallies: tuple[Tally, ...]

    def windows(self) -> list[str]:
        """Return the names of its windows: all time, its day, its hour and its minute, as far as they are known."""
        found = [windows.ALL_TIME]
        if self.day:
            found.append(self.day)
        if self.asked_at_ms > 0:
            found += [windows.hour(self.asked_at_ms), windows.minute(self.asked_at_ms)]
        return found

    def changes(self, names: list[str]) -> Iterator[tuple[Dimension, list[Tally]]]:
        """Yield every dimension that changes in these windows, with the tallies to add."""
        by_kind: dict[SurveyKind | None, list[Tally]] = {}
        for tally in self.tallies:
            by_kind.setdefault(tally.kind, []).append(tally)
        for kind, tallies in by_kind.items():
            for name, value in self.groups:
                for window in names:
                    yield Dimension(self.tenant, kind, name, value, window), tallies
            by_category: dict[str, list[Tally]] = {}
            for tally in tallies:
                for category in tally.categories:
                    by_category.setdefault(category, []).append(tally)
            for category, some in by_category.items():
                for window in names:
                    yield Dimension(self.tenant, kind, "category", category[:_VALUE_CHARS], window), some


def groups_of(
    channel: str, queue: str, agents: Iterable[str], skills: Iterable[str], tier: str, language: str
) -> tuple[tuple[str, str], ...]:
    """Return the names and values that a contact counts under: once under every agent who held it and every skill it
    required."""
    spoken = primary(language)
    found = [("all", ""), ("channel", channel), ("queue", queue)]
    found += [("agent", agent) for agent in dict.fromkeys(agents)]
    found += [("skill", skill) for skill in dict.fromkeys(skills)]
    found += [("tier", tier), ("language", "" if spoken == "und" else spoken)]
    # Channel and queue are always included, others only if they are known.
    return tuple((name, value[:_VALUE_CHARS]) for name, value in found if value or name in ("all", "channel", "queue"))


@dataclass(frozen=True, slots=True)
class ScoreCounts:
    """The histograms of one partition and one dimension. `next_offset`: everything below is counted. `responded`:
    responses that the response rate counts."""

    histogram: Mapping[int, int] = field(default_factory=lambda: _EMPTY)
    invited: int = 0
    next_offset: int = 0
    responded: int = 0

    def take(self, tallies: Iterable[Tally], offset: int) -> "ScoreCounts":
        """Return the histograms with this record added, or unchanged if it was added before."""
        if offset < self.next_offset:
            return self
        histogram, invited, responded = dict(self.histogram), self.invited, self.responded
        for tally in tallies:
            if tally.score is None:
                invited += tally.by
                continue
            # A removed score was counted before, unless an earlier version did not know the dimension.
            left = histogram.get(tally.score, 0) + tally.by
            if left > 0:
                histogram[tally.score] = left
            else:
                histogram.pop(tally.score, None)
            if tally.first:
                responded = max(0, responded + tally.by)
        return replace(self, histogram=histogram, invited=invited, responded=responded, next_offset=offset + 1)

    @property
    def answered(self) -> int:
        """Number of responses counted."""
        return sum(self.histogram.values())


class ScoreTable:
    """All histograms of one partition, and how far it has read."""

    def __init__(self, most_values: int = MOST_VALUES) -> None:
        """`most_values`: values of one name that are counted apart; the others count under `OTHER`."""
        self._most_values = most_values
        self.next_offset = 0
        self.newest_ms = 0
        self._counts: dict[Dimension, ScoreCounts] = {}
        self._leaving: list[tuple[int, int, Dimension]] = []
        self._kept = 0
        self._changed: dict[Dimension, ScoreCounts | None] = {}
        self._values: dict[tuple[str, str], set[str]] = {}

    def restore(self, dimension: Dimension, counts: ScoreCounts) -> None:
        """Restore an entry from the changelog."""
        self._keep(dimension, counts)

    def restore_progress(self, next_offset: int, newest_ms: int) -> None:
        """Restore how far the partition had been read."""
        self.next_offset, self.newest_ms = next_offset, newest_ms

    def take(self, seen: Observation | None, offset: int, written_at_ms: int) -> None:
        """Count the record at an offset; None for a record that adds nothing to the scores."""
        if offset < self.next_offset:
            return
        self.next_offset = offset + 1
        self.newest_ms = max(self.newest_ms, written_at_ms)
        self._forget()
        if seen is None:
            return
        kept = [name for name in seen.windows() if (windows.leaves_ms(name) or self.newest_ms + 1) > self.newest_ms]
        for named, tallies in seen.changes(kept):
            dimension = self._bounded(named)
            known = self._counts.get(dimension, _NOTHING)
            taken = known.take(tallies, offset)
            if taken is not known:
                self._keep(dimension, taken)
                self._changed[dimension] = taken

    def changes(self) -> dict[Dimension, ScoreCounts | None]:
        """Return what has changed since the last call; None means that the entry has expired."""
        changed, self._changed = self._changed, {}
        return changed

    @property
    def counts(self) -> Mapping[Dimension, ScoreCounts]:
        """Return all kept histograms."""
        return self._counts

    def _keep(self, dimension: Dimension, counts: ScoreCounts) -> None:
        if dimension not in self._counts:
            leaves = windows.leaves_ms(dimension.day)
            if leaves is not None:
                self._kept += 1  # breaks ties: dimensions have no order
                heapq.heappush(self._leaving, (leaves, self._kept, dimension))
            self._values.setdefault((dimension.tenant, dimension.name), set()).add(dimension.value)
        self._counts[dimension] = counts

    def _bounded(self, dimension: Dimension) -> Dimension:
        values = self._values.get((dimension.tenant, dimension.name), set())
        if len(values) < self._most_values or dimension.value in values:
            return dimension
        return replace(dimension, value=OTHER)

    def _forget(self) -> None:
        while self._leaving and self._leaving[0][0] <= self.newest_ms:
            *_, dimension = heapq.heappop(self._leaving)
            if self._counts.pop(dimension, None) is not None:
                self._changed[dimension] = None


def total(parts: Iterable[ScoreCounts]) -> ScoreCounts:
    """Return the sum over partitions; its `next_offset` has no meaning."""
    histogram: dict[int, int] = {}
    invited = responded = 0
    for counts in parts:
        invited += counts.invited
        responded += counts.responded
        for score, count in counts.histogram.items():
            histogram[score] = histogram.get(score, 0) + count
    return ScoreCounts(histogram, invited, 0, responded)


_NOTHING: Final = ScoreCounts()
