"""Scores in memory, from feedback.scores.v1: a projection that can be thrown away and read again.

Rows are found by grouping and window in the order of their values, then of time, a page at a time: the cost of a page
does not grow with the number of dimensions. Weeks are summed from their days on request.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from services.chassis.cursors import decode_cursor, encode_cursor
from services.chassis.metrics import Metrics
from services.feedback.domain import windows
from services.feedback.domain.estimates import measures, response_rate
from services.feedback.domain.scores import Dimension, ScoreCounts, total
from services.feedback.domain.windows import Window
from services.policy.model.surveys import SurveyKind


@dataclass(frozen=True, slots=True)
class ScoresQuery:
    """Which rows to return. `kinds`: None among them is first contacts. `from_ms` and `to_ms` 0: open. An empty
    `value`: every value."""

    tenant: str
    kinds: tuple[SurveyKind | None, ...]
    name: str
    value: str
    window: Window
    zone: tzinfo
    week_begins: int
    day: str = ""
    from_ms: int = 0
    to_ms: int = 0


class _Values:
    """The values of one grouping and window length, in order, and the windows of each, in order."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.days: dict[str, list[str]] = {}

    def add(self, value: str, day: str) -> None:
        days = self.days.get(value)
        if days is None:
            insort(self.order, value)
            days = self.days[value] = []
        insort(days, day)

    def remove(self, value: str, day: str) -> None:
        days = self.days.get(value, [])
        place = bisect_left(days, day)
        if place < len(days) and days[place] == day:
            del days[place]
        if value in self.days and not days:
            del self.days[value]
            del self.order[bisect_left(self.order, value)]


class ScoresView:
    """Totals by dimension."""

    def __init__(self) -> None:
        self._counts: dict[Dimension, dict[int, ScoreCounts]] = {}
        self._values: dict[tuple[str, SurveyKind | None, str, Window], _Values] = {}

    def take(self, dimension: Dimension, partition: int, counts: ScoreCounts) -> None:
        """Take one entry. An entry older than the known one comes from a previous owner and is ignored."""
        by_partition = self._counts.get(dimension)
        if by_partition is None:
            try:
                window = windows.kind_of(dimension.day)
            except ValueError:
                return  # of a newer version
            by_partition = self._counts[dimension] = {}
            group = (dimension.tenant, dimension.kind, dimension.name, window)
            self._values.setdefault(group, _Values()).add(dimension.value, dimension.day)
        known = by_partition.get(partition)
        if known is None or counts.next_offset >= known.next_offset:
            by_partition[partition] = counts

    def drop(self, dimension: Dimension, partition: int) -> None:
        """Drop an entry that has left retention."""
        by_partition = self._counts.get(dimension)
        if by_partition is None or by_partition.pop(partition, None) is None or by_partition:
            return
        del self._counts[dimension]
        group = (dimension.tenant, dimension.kind, dimension.name, windows.kind_of(dimension.day))
        self._values[group].remove(dimension.value, dimension.day)

    def __len__(self) -> int:
        """Return the number of dimensions."""
        return len(self._counts)

    def page(self, query: ScoresQuery, size: int, cursor: str) -> tuple[list[tuple[Dimension, ScoreCounts]], str]:
        """Return rows and the cursor of the next page, "" if there is none. Raises INVALID for a cursor that this
        service did not make."""
        found: list[tuple[Dimension, ScoreCounts]] = []
        for place, dimension, counts in self._rows(query, _read_cursor(cursor)):
            if len(found) == size:
                return found, _cursor(place)
            found.append((dimension, counts))
        return found, ""

    def counts(self, query: ScoresQuery, kind: SurveyKind | None, value: str, name: str) -> ScoreCounts | None:
        """Return the total of one window of one value; None if nothing was counted."""
        names = list(windows.days_of(name)) if query.window is Window.WEEK else [name]
        parts = [self._counts.get(Dimension(query.tenant, kind, query.name, value, each)) for each in names]
        there = [part for part in parts if part]
        return total(counts for part in there for counts in part.values()) if there else None

    def values(self, query: ScoresQuery, kind: SurveyKind | None) -> Sequence[str]:
        """Return every value that was ever counted in this grouping."""
        group = self._values.get((query.tenant, kind, query.name, Window.ALL))
        return group.order if group is not None else ()

    def _rows(
        self, query: ScoresQuery, after: tuple[int, str, str]
    ) -> Iterator[tuple[tuple[int, str, str], Dimension, ScoreCounts]]:
        """Yield rows after a position. A position is the index of the kind, the value, the window."""
        sort = Window.DAY if query.window is Window.WEEK else query.window
        for index in range(after[0], len(query.kinds)):
            kind = query.kinds[index]
            group = self._values.get((query.tenant, kind, query.name, sort))
            if group is None:
                continue
            first = after if index == after[0] else (index, "", "")
            wanted = [query.value] if query.value else group.order[bisect_left(group.order, first[1]) :]
            for value in wanted:
                if value < first[1] or value not in group.days:
                    continue
                begin = first[2] if value == first[1] else ""
                for name in self._names(query, group.days[value]):
                    counts = self.counts(query, kind, value, name) if name >= begin else None
                    if counts is not None:
                        yield (index, value, name), Dimension(query.tenant, kind, query.name, value, name), counts

    def _names(self, query: ScoresQuery, days: list[str]) -> Iterator[str]:
        """Yield the requested windows of one value, in order."""
        if query.window is Window.ALL:
            yield windows.ALL_TIME
            return
        if query.day:
            known = bisect_left(days, query.day)
            if known < len(days) and days[known] == query.day:
                yield query.day
            return
        sort = Window.DAY if query.window is Window.WEEK else query.window
        low = windows.named(sort, query.from_ms, query.zone, 0) if query.from_ms else ""
        high = windows.named(sort, query.to_ms - 1, query.zone, 0) if query.to_ms else "~"
        last = ""
        for day in days[bisect_left(days, low) :]:
            if day > high:
                return
            name = windows.week(day, query.week_begins) if query.window is Window.WEEK else day
            if name != last:
                last = name
                begins_ms = windows.bounds_ms(name, query.zone)[0] if query.from_ms else 0
                if begins_ms >= query.from_ms:
                    yield name


class FeedbackGauges:
    """Satisfaction and response rate of each tenant's newest day by queue, for alerts."""

    def __init__(self, metrics: Metrics) -> None:
        self._ratio = metrics.combined("chapar_feedback_csat_ratio")
        self._responses = metrics.combined("chapar_feedback_csat_responses")
        self._rate = metrics.combined("chapar_feedback_response_ratio")
        self._invited = metrics.combined("chapar_feedback_response_invitations")
        self._newest: dict[str, str] = {}
        """By tenant: the days of two tenants begin at different times."""

    def show(self, view: ScoresView, dimension: Dimension) -> None:
        """Update the gauges after a change of this dimension."""
        if (
            dimension.name != "queue"
            or dimension.kind is not SurveyKind.CSAT
            or len(dimension.day) != len("2026-03-21")
        ):
            return
        if dimension.day < self._newest.get(dimension.tenant, ""):
            return
        self._newest[dimension.tenant] = dimension.day
        place = (dimension.tenant, dimension.value)
        counts = total(view._counts.get(dimension, {}).values())
        found = measures(SurveyKind.CSAT, counts.histogram).get("csat")
        if found is not None:
            self._ratio.set(*place, to=found.value, weight=found.n)
            self._responses.set(*place, to=found.n)
        rate = response_rate(counts.responded, counts.invited)
        if rate is not None:
            self._rate.set(*place, to=rate.value, weight=rate.n)
            self._invited.set(*place, to=rate.n)


def _cursor(place: tuple[int, str, str]) -> str:
    return encode_cursor("scores", place)


def _read_cursor(cursor: str) -> tuple[int, str, str]:
    return decode_cursor("scores", cursor, tuple[int, str, str]) if cursor else (0, "", "")
