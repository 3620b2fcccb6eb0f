"""Waiting interactions in lines: one side of the index of a pool, described in `index`."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from math import inf

from services.policy.model.eligibility import change_times, meets_all, requirements_at, served_too, sorted_out
from services.policy.model.routing import QueueConfig, Selector
from services.router.domain.pool.index import (
    AgentGroup,
    Line,
    LineKey,
    QueueHeads,
    Rank,
    RequirementSet,
    RequirementSetKey,
)
from services.router.domain.pool.limits import DEFAULT
from services.router.domain.pool.roster import Roster
from services.router.domain.pool.state import Interaction


class RelaxationSchedule:
    """The requirement sets, from one relaxation to the next, of interactions in one queue with certain requirements of their own."""

    __slots__ = ("_own", "_queue", "_requirement_sets", "_times")

    def __init__(self, queue: QueueConfig, own: tuple[Selector, ...]) -> None:
        self._queue = queue
        self._own = queue.requirements + own
        self._times = change_times(self._own, queue.rings)
        self._requirement_sets: list[RequirementSet | None] = [None] * (len(self._times) + 1)

    def at(self, age_ms: int, lines: "WaitingLines", roster: Roster) -> tuple[RequirementSet, int]:
        """Return the requirement set at an age in the queue, and the age at which it changes next; 0 when it will not change."""
        phase = bisect_right(self._times, age_ms)
        requirement_set = self._requirement_sets[phase]
        if requirement_set is None:
            rings = self._queue.rings
            key = (self._queue.name, requirements_at(self._own, rings, age_ms), served_too(rings, age_ms))
            requirement_set = self._requirement_sets[phase] = lines.requirement_set(key, self._queue, roster)
        return requirement_set, self._times[phase] if phase < len(self._times) else 0


class WaitingLines:
    """All requirement sets and waiting lines of a pool."""

    __slots__ = (
        "_extra_queues",
        "_kept",
        "_open",
        "_prune_at",
        "_queue_heads",
        "_queues",
        "_relaxation_schedules",
        "_requirement_sets",
        "_widened",
        "filled",
        "reserved",
    )

    def __init__(self, kept: int = DEFAULT.requirement_sets_kept) -> None:
        """`kept`: requirement sets above which those are removed for which nothing waits."""
        self._kept = kept
        self._requirement_sets: dict[RequirementSetKey, RequirementSet] = {}
        self._queues: dict[str, dict[RequirementSetKey, RequirementSet]] = {}
        self._widened: set[str] = set()
        """Queues with a requirement set that admits agents of other queues."""
        self._queue_heads: dict[str, dict[str, QueueHeads]] = {}
        """Queue heads by queue and channel."""
        self._extra_queues: dict[str, dict[str, None]] = {}
        """For each queue, the other queues whose interactions its agents may take."""
        self._prune_at = kept
        self._relaxation_schedules: dict[tuple[str, tuple[Selector, ...]], RelaxationSchedule] = {}
        self._open: dict[str, dict[Line, None]] = {}
        """Lines in which something waits without an offer, by queue."""
        self.filled: dict[Line, None] = {}
        """Lines in which something waits."""
        self.reserved: dict[str, dict[Line, None]] = {}
        """Lines that are not empty and are reserved for one agent, by agent."""

    def relaxation_schedule(self, queue: QueueConfig, own: tuple[Selector, ...]) -> RelaxationSchedule:
        """Return the requirement sets over time of interactions of a queue with these requirements of their own."""
        key = (queue.name, own)
        found = self._relaxation_schedules.get(key)
        if found is None:
            found = self._relaxation_schedules[key] = RelaxationSchedule(queue, own)
        return found

    def requirement_set(self, key: RequirementSetKey, queue: QueueConfig, roster: Roster) -> RequirementSet:
        """Return the requirement set of a key, with the agent groups that meet it."""
        found = self._requirement_sets.get(key)
        if found is None:
            if len(self._requirement_sets) >= self._prune_at:
                self._prune()
            found = self._requirement_sets[key] = RequirementSet(key, queue)
            self._queues.setdefault(key[0], {})[key] = found
            name, selectors, others = key
            if others:
                self._widened.add(name)
                for other in others:
                    self._extra_queues.setdefault(other, {})[name] = None
            least, rest = sorted_out(selectors)
            for group in roster.serving(name, others):
                skills = group.skills
                for skill, number in least:
                    if skills.get(skill, -inf) < number:
                        break
                else:
                    if not rest or meets_all(rest, skills):
                        found.admit(group)
        return found

    def admit(self, group: AgentGroup) -> None:
        """Add a new agent group to every requirement set that it meets."""
        for name, requirement_sets in self._queues.items():
            if group.queues and name not in group.queues and name not in self._widened:
                continue
            for requirement_set in requirement_sets.values():
                _, selectors, others = requirement_set.key
                if group.serves(name, selectors, others):
                    requirement_set.admit(group)

    def add(self, interaction: Interaction, requirement_set: RequirementSet, key: LineKey) -> Line:
        """Add an interaction to the line of a requirement set and a key."""
        line = requirement_set.lines.get(key)
        if line is None:
            line = requirement_set.lines[key] = Line(key, requirement_set)
        if not line.ranks:
            self.filled[line] = None
            if not line.round:
                self._open.setdefault(requirement_set.key[0], {})[line] = None
            if line.reserved_for:
                self.reserved.setdefault(line.reserved_for, {})[line] = None
        attributes = interaction.attributes
        rank = line.add(attributes.priority, attributes.arrived_at_ms, interaction.key, attributes.interaction_id)
        interaction.line, interaction.rank = line, rank
        if line.ranks[0] == rank:
            self._update_head(line)
        return line

    def remove(self, interaction: Interaction) -> None:
        """Remove an interaction from its line. An empty line that was reserved for one agent is deleted."""
        line = interaction.line
        assert line is not None
        was_head = line.ranks[0] == interaction.rank
        line.remove(interaction.rank)
        interaction.line = None
        if was_head:
            self._update_head(line)
        if line.ranks:
            return
        del self.filled[line]
        if not line.round:
            del self._open[line.requirement_set.key[0]][line]
        if line.reserved_for:
            del line.requirement_set.lines[line.key]
            kept = self.reserved[line.reserved_for]
            del kept[line]
            if not kept:
                del self.reserved[line.reserved_for]

    def _update_head(self, line: Line) -> None:
        """Update the line's entry in its queue heads: its first interaction has changed, or it is empty."""
        if line.asleep or line.reserved_for:
            return
        channels = self._queue_heads.setdefault(line.requirement_set.key[0], {})
        heads = channels.get(line.channel)
        if heads is None:
            heads = channels[line.channel] = []
        if line.head is not None:
            del heads[bisect_left(heads, line.head)]
            line.head = None
        if line.ranks:
            line.head = (line.round, *line.ranks[0], line)
            insort(heads, line.head)

    def queue_heads(self, group: AgentGroup) -> list[tuple[str, QueueHeads]]:
        """Return the queue heads, with their channels, that contain everything agents of a group may take.

        They also contain lines whose requirements these agents do not meet.
        """
        if not group.queues:
            return [heads for channels in self._queue_heads.values() for heads in channels.items()]
        queues: Iterable[str] = group.homes
        if self._extra_queues:
            queues = dict.fromkeys(
                [*group.homes, *(name for home in group.homes for name in self._extra_queues.get(home, ()))]
            )
        return [heads for name in queues if name in self._queue_heads for heads in self._queue_heads[name].items()]

    def _prune(self) -> None:
        for key, requirement_set in list(self._requirement_sets.items()):
            if any(line.ranks for line in requirement_set.lines.values()):
                continue
            del self._requirement_sets[key]
            del self._queues[key[0]][key]
            for group in requirement_set.groups:
                del group.requirement_sets[requirement_set]
        self._relaxation_schedules.clear()
        self._prune_at = max(self._kept, 2 * len(self._requirement_sets))

    def clear(self) -> None:
        """Remove everything, because the configuration has changed."""
        self._requirement_sets.clear()
        self._queues.clear()
        self._widened.clear()
        self._relaxation_schedules.clear()
        self._open.clear()
        self._queue_heads.clear()
        self._extra_queues.clear()
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
