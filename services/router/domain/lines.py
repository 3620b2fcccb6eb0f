"""What waits, in lines. All in one line need the same (queue, requirements that still count, channel, agent it is kept for), so one answer
to "who could take it" holds for the whole line.

Within a line the order never changes: with priority growing by r a minute, P + r(now - arrived) orders as P - r * arrived does. Between lines
the heads are compared by their priority now.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

from services.router.domain.model import QueueConfig, Selector
from services.router.domain.roster import Kind
from services.router.domain.state import Work

Rank = tuple[float, int, str]
LineKey = tuple[str, tuple[Selector, ...], str, str, bool]
_MINUTE = 60_000


class Line:
    """Waiting work that the same agents can take, in order of service."""

    __slots__ = ("channel", "forced", "key", "kinds", "queue", "ranks", "reserved_for", "selectors", "works")

    def __init__(self, key: LineKey, queue: QueueConfig) -> None:
        self.key = key
        self.queue = queue
        _, self.selectors, self.channel, self.reserved_for, self.forced = key
        self.kinds: list[Kind] = []
        self.ranks: list[Rank] = []
        self.works: dict[str, Work] = {}

    def add(self, work: Work) -> None:
        """Enter the line at the place that priority and age give."""
        facts = work.facts
        minutes = facts.arrived_at_ms / _MINUTE
        work.rank = (self.queue.ageing_per_minute * minutes - facts.priority, facts.arrived_at_ms, facts.interaction_id)
        insort(self.ranks, work.rank)
        self.works[facts.interaction_id] = work
        work.line = self

    def remove(self, work: Work) -> None:
        """Leave the line."""
        del self.ranks[bisect_left(self.ranks, work.rank)]
        del self.works[work.facts.interaction_id]
        work.line = None

    def at(self, index: int) -> Work:
        """The work at a place, from 0."""
        return self.works[self.ranks[index][2]]

    def urgency(self, work: Work, now: int) -> Rank:
        """Comparable between lines: least is served first."""
        facts = work.facts
        gained = self.queue.ageing_per_minute * max(0, now - facts.arrived_at_ms) / _MINUTE
        return (-(self.queue.priority + facts.priority + gained), facts.arrived_at_ms, facts.interaction_id)


class Lines:
    """All lines of a pool."""

    __slots__ = ("_by_queue", "_lines", "_prune_at", "reserved")

    _KEPT = 2048

    def __init__(self) -> None:
        self._lines: dict[LineKey, Line] = {}
        self._prune_at = self._KEPT
        self._by_queue: dict[str, dict[LineKey, Line]] = {}
        self.reserved: dict[str, dict[LineKey, Line]] = {}
        """Lines kept for one agent, by agent."""

    def get(self, key: LineKey) -> Line | None:
        """The line of that key."""
        return self._lines.get(key)

    def open(self, key: LineKey, queue: QueueConfig) -> Line:
        """A new line."""
        if len(self._lines) >= self._prune_at:
            for old in [line for line in self._lines.values() if not line.ranks]:
                self._drop(old)
            self._prune_at = max(self._KEPT, 2 * len(self._lines))
        line = self._lines[key] = Line(key, queue)
        self._by_queue.setdefault(key[0], {})[key] = line
        if line.reserved_for:
            self.reserved.setdefault(line.reserved_for, {})[key] = line
        return line

    def remove(self, work: Work) -> None:
        """Take work out of its line; a line kept for one agent goes when it is empty."""
        line: Line = work.line
        line.remove(work)
        if line.reserved_for and not line.ranks:
            self._drop(line)

    def _drop(self, line: Line) -> None:
        if self._lines.pop(line.key, None) is None:
            return
        for kind in line.kinds:
            kind.lines.pop(line.key, None)
        del self._by_queue[line.key[0]][line.key]
        if line.reserved_for:
            kept = self.reserved[line.reserved_for]
            del kept[line.key]
            if not kept:
                del self.reserved[line.reserved_for]

    def clear(self) -> None:
        """Forget everything: the configuration has changed."""
        self._lines.clear()
        self._by_queue.clear()
        self.reserved.clear()

    def all(self) -> Iterator[Line]:
        """Every line, empty ones too."""
        return iter(self._lines.values())

    def of_queue(self, queue: str) -> Iterator[Line]:
        """The lines of a queue."""
        return iter(self._by_queue.get(queue, {}).values())

    def ahead(self, queue: str, rank: Rank) -> int:
        """How many of the queue are served before this rank."""
        return sum(bisect_left(line.ranks, rank) for line in self.of_queue(queue) if line.ranks)

    def waiting(self, queue: str) -> int:
        """How many wait in a queue."""
        return sum(len(line.ranks) for line in self.of_queue(queue))
