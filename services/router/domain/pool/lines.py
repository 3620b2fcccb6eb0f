"""Waiting interactions, kept in lines.

A *need* (a requirement set) is a queue with the requirements that apply now, and the kinds of agents who meet them. A *line* holds the waiting
interactions of one need, channel, and agent for whom they are kept; so the answer to "which agents could take it" is the same for a whole
line. Interactions that have open offers and may have more are in lines of their own, behind all others. Interactions that are not due for an
offer yet are in lines that sleep, where only their place counts.

Within a line the order never changes: with priority growing by r a minute, P + r(now - arrived) orders as P - r * arrived does. Between lines
the heads are compared by their priority now. All numbers are whole, so rounding never decides.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from math import inf
from typing import Final

from services.router.domain.model import QueueConfig, Selector
from services.router.domain.pool.eligibility import change_times, meets_all, needed, score, served_too, sorted_out
from services.router.domain.pool.roster import AgentGroup, Roster
from services.router.domain.pool.state import Interaction

Rank = tuple[int, int, str]
RequirementSetKey = tuple[str, tuple[Selector, ...], tuple[str, ...]]
"""Queue, requirements, other queues whose agents may take it too."""
LineKey = tuple[str, str, bool, int, bool]
"""Channel, agent for whom it is kept, whether it was transferred to them by name, number of open offers, asleep."""

MICRO: Final = 1_000_000
_MINUTE_MS: Final = 60_000
UNIT: Final = MICRO * _MINUTE_MS
"""One unit of priority in a rank: millionths, times the milliseconds of a minute."""


class RequirementSet:
    """A queue, the requirements that apply now, and the agents who meet them."""

    __slots__ = ("_groups", "_scores", "key", "kinds", "lines", "queue", "selectors", "team")

    def __init__(self, key: RequirementSetKey, queue: QueueConfig) -> None:
        self.key = key
        self.queue = queue
        self.selectors = key[1]
        last = self.selectors[-1] if self.selectors else None
        self.team = last.text if last is not None and last.attribute == "team" else ""
        """The preferred team: its requirement is the last one."""
        self.kinds: list[AgentGroup] = []
        self.lines: dict[LineKey, Line] = {}
        self._scores: dict[AgentGroup, float] = {}
        self._groups: list[tuple[float, dict[AgentGroup, None]]] | None = None

    def admit(self, kind: AgentGroup) -> None:
        """Add a kind of agents who meet the requirements."""
        self.kinds.append(kind)
        kind.needs[self] = None
        self._groups = None

    def dismiss(self, kind: AgentGroup) -> None:
        """Remove a kind that has no agents any more."""
        self.kinds.remove(kind)
        self._scores.pop(kind, None)
        self._groups = None

    def score_of(self, kind: AgentGroup) -> float:
        """Return how well agents of a kind exceed the requirements, to nine places: totals of equal pairs are then equal."""
        found = self._scores.get(kind)
        if found is None:
            found = self._scores[kind] = round(score(self.selectors, kind.skills), 9)
        return found

    def by_score(self) -> list[tuple[float, dict[AgentGroup, None]]]:
        """Return the kinds grouped by equal skill score, best score first."""
        if self._groups is None:
            groups: dict[float, dict[AgentGroup, None]] = {}
            for kind in self.kinds:
                groups.setdefault(self.score_of(kind), {})[kind] = None
            self._groups = sorted(groups.items(), key=lambda group: -group[0])
        return self._groups


class Line:
    """Waiting interactions that the same agents can take, in the order of service."""

    __slots__ = (
        "asleep",
        "base",
        "channel",
        "first",
        "forced",
        "growth",
        "interactions",
        "key",
        "need",
        "queue",
        "ranks",
        "reserved_for",
        "round",
    )

    def __init__(self, key: LineKey, need: RequirementSet) -> None:
        self.key = key
        self.need = need
        self.queue = need.queue
        self.growth = round(need.queue.ageing_per_minute * MICRO)
        self.base = need.queue.priority * UNIT
        self.channel, self.reserved_for, self.forced, self.round, self.asleep = key
        self.ranks: list[Rank] = []
        self.first: LineHead | None = None
        """The line's entry in its front."""
        self.interactions: dict[str, Interaction] = {}

    def add(self, interaction: Interaction) -> None:
        """Add an interaction at the place that its priority and the queue's order give."""
        facts = interaction.facts
        interaction.rank = (
            self.growth * facts.arrived_at_ms - facts.priority * UNIT,
            interaction.key,
            facts.interaction_id,
        )
        insort(self.ranks, interaction.rank)
        self.interactions[facts.interaction_id] = interaction
        interaction.line = self

    def remove(self, interaction: Interaction) -> None:
        """Remove an interaction from the line."""
        del self.ranks[bisect_left(self.ranks, interaction.rank)]
        del self.interactions[interaction.facts.interaction_id]
        interaction.line = None

    def index(self, interaction: Interaction) -> int:
        """Return the place of an interaction, from 0."""
        return bisect_left(self.ranks, interaction.rank)

    def at(self, index: int) -> Interaction:
        """Return the interaction at a place, from 0."""
        return self.interactions[self.ranks[index][2]]

    def urgency(self, index: int, now: int) -> Rank:
        """Return the urgency of the interaction at a place. It is comparable between lines: the least is served first."""
        static, key, interaction_id = self.ranks[index]
        return (static - self.base - self.growth * now, key, interaction_id)


LineHead = tuple[int, int, int, str, Line]
"""The head of a line: number of open offers, rank, and the line. Among heads of one queue the least is served first."""
QueueHeads = list[LineHead]
"""Heads of the lines of one queue and channel in which something waits for any agent who meets the need, in order."""


class RelaxationSchedule:
    """The needs, from one relaxation to the next, of interactions in one queue with certain requirements of their own."""

    __slots__ = ("_needs", "_own", "_queue", "_times")

    def __init__(self, queue: QueueConfig, own: tuple[Selector, ...]) -> None:
        self._queue = queue
        self._own = queue.requirements + own
        self._times = change_times(self._own, queue.rings)
        self._needs: list[RequirementSet | None] = [None] * (len(self._times) + 1)

    def at(self, age_ms: int, lines: "WaitingLines", roster: Roster) -> tuple[RequirementSet, int]:
        """Return the need at an age in the queue, and the age at which it changes next; 0 when it will not change."""
        phase = bisect_right(self._times, age_ms)
        need = self._needs[phase]
        if need is None:
            rings = self._queue.rings
            key = (self._queue.name, needed(self._own, rings, age_ms), served_too(rings, age_ms))
            need = self._needs[phase] = lines.need(key, self._queue, roster)
        return need, self._times[phase] if phase < len(self._times) else 0


class WaitingLines:
    """All needs and lines of a pool."""

    __slots__ = (
        "_lent",
        "_needs",
        "_open",
        "_prune_at",
        "_queue_heads",
        "_queues",
        "_relaxation_schedules",
        "_widened",
        "filled",
        "reserved",
    )

    _KEPT = 8192

    def __init__(self) -> None:
        self._needs: dict[RequirementSetKey, RequirementSet] = {}
        self._queues: dict[str, dict[RequirementSetKey, RequirementSet]] = {}
        self._widened: set[str] = set()
        """Queues with a need that admits agents of other queues."""
        self._queue_heads: dict[str, dict[str, QueueHeads]] = {}
        """Queue heads by queue and channel."""
        self._lent: dict[str, dict[str, None]] = {}
        """For each queue, the other queues whose interactions its agents may take."""
        self._prune_at = self._KEPT
        self._relaxation_schedules: dict[tuple[str, tuple[Selector, ...]], RelaxationSchedule] = {}
        self._open: dict[str, dict[Line, None]] = {}
        """Lines in which something waits without an offer, by queue."""
        self.filled: dict[Line, None] = {}
        """Lines in which something waits."""
        self.reserved: dict[str, dict[Line, None]] = {}
        """Lines that are not empty and are kept for one agent, by agent."""

    def relaxation_schedule(self, queue: QueueConfig, own: tuple[Selector, ...]) -> RelaxationSchedule:
        """Return the needs over time of interactions of a queue with these requirements of their own."""
        key = (queue.name, own)
        found = self._relaxation_schedules.get(key)
        if found is None:
            found = self._relaxation_schedules[key] = RelaxationSchedule(queue, own)
        return found

    def need(self, key: RequirementSetKey, queue: QueueConfig, roster: Roster) -> RequirementSet:
        """Return the need of a key, with the kinds that meet it."""
        found = self._needs.get(key)
        if found is None:
            if len(self._needs) >= self._prune_at:
                self._prune()
            found = self._needs[key] = RequirementSet(key, queue)
            self._queues.setdefault(key[0], {})[key] = found
            name, selectors, others = key
            if others:
                self._widened.add(name)
                for other in others:
                    self._lent.setdefault(other, {})[name] = None
            least, rest = sorted_out(selectors)
            for kind in roster.working_for(name, others):
                skills = kind.skills
                for skill, number in least:
                    if skills.get(skill, -inf) < number:
                        break
                else:
                    if not rest or meets_all(rest, skills):
                        found.admit(kind)
        return found

    def admit(self, kind: AgentGroup) -> None:
        """Add a new kind of agents to every need that it meets."""
        for name, needs in self._queues.items():
            if kind.queues and name not in kind.queues and name not in self._widened:
                continue
            for need in needs.values():
                _, selectors, others = need.key
                if kind.serves(name, selectors, others):
                    need.admit(kind)

    def add(self, interaction: Interaction, need: RequirementSet, key: LineKey) -> Line:
        """Add an interaction to the line of a need and a key."""
        line = need.lines.get(key)
        if line is None:
            line = need.lines[key] = Line(key, need)
        if not line.ranks:
            self.filled[line] = None
            if not line.round:
                self._open.setdefault(need.key[0], {})[line] = None
            if line.reserved_for:
                self.reserved.setdefault(line.reserved_for, {})[line] = None
        line.add(interaction)
        if line.ranks[0] == interaction.rank:
            self._to_front(line)
        return line

    def remove(self, interaction: Interaction) -> None:
        """Remove an interaction from its line. An empty line that was kept for one agent is deleted."""
        line: Line = interaction.line
        first = line.ranks[0] == interaction.rank
        line.remove(interaction)
        if first:
            self._to_front(line)
        if line.ranks:
            return
        del self.filled[line]
        if not line.round:
            del self._open[line.need.key[0]][line]
        if line.reserved_for:
            del line.need.lines[line.key]
            kept = self.reserved[line.reserved_for]
            del kept[line]
            if not kept:
                del self.reserved[line.reserved_for]

    def _to_front(self, line: Line) -> None:
        """Update the line's entry in its front: its head has changed, or it is empty."""
        if line.asleep or line.reserved_for:
            return
        channels = self._queue_heads.setdefault(line.need.key[0], {})
        front = channels.get(line.channel)
        if front is None:
            front = channels[line.channel] = []
        if line.first is not None:
            del front[bisect_left(front, line.first)]
            line.first = None
        if line.ranks:
            line.first = (line.round, *line.ranks[0], line)
            insort(front, line.first)

    def queue_heads(self, kind: AgentGroup) -> list[tuple[str, QueueHeads]]:
        """Return the fronts, with their channels, that contain everything agents of a kind may take.

        The fronts also contain lines whose needs these agents do not meet.
        """
        if not kind.queues:
            return [front for channels in self._queue_heads.values() for front in channels.items()]
        queues: Iterable[str] = kind.homes
        if self._lent:
            queues = dict.fromkeys([*kind.homes, *(name for home in kind.homes for name in self._lent.get(home, ()))])
        return [front for name in queues if name in self._queue_heads for front in self._queue_heads[name].items()]

    def _prune(self) -> None:
        for key, need in list(self._needs.items()):
            if any(line.ranks for line in need.lines.values()):
                continue
            del self._needs[key]
            del self._queues[key[0]][key]
            for kind in need.kinds:
                del kind.needs[need]
        self._relaxation_schedules.clear()
        self._prune_at = max(self._KEPT, 2 * len(self._needs))

    def clear(self) -> None:
        """Remove everything, because the configuration has changed."""
        self._needs.clear()
        self._queues.clear()
        self._widened.clear()
        self._relaxation_schedules.clear()
        self._open.clear()
        self._queue_heads.clear()
        self._lent.clear()
        self.filled.clear()
        self.reserved.clear()

    def all(self) -> Iterator[Line]:
        """Return every line in which something waits without an offer."""
        return (line for line in self.filled if not line.round)

    def of_queue(self, queue: str) -> Iterable[Line]:
        """Return the lines of one queue in which something waits without an offer."""
        return self._open.get(queue, {})

    def ahead(self, queue: str, rank: Rank) -> int:
        """Return how many interactions of the queue are served before this rank."""
        count = 0
        for line in self.of_queue(queue):
            count += bisect_left(line.ranks, rank)
        return count

    def waiting(self, queue: str) -> int:
        """Return how many interactions wait in a queue without an offer."""
        return sum(len(line.ranks) for line in self.of_queue(queue))

    def anything_waits(self, queue: str) -> bool:
        """Whether any interaction waits in a queue without an offer."""
        return bool(self._open.get(queue))
