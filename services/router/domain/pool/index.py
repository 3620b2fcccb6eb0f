"""The index of a pool: which waiting interactions an agent could take, and which agents could take an interaction.

It has two sides, and requirement sets join them. On one side are waiting interactions: a *requirement set* is a queue with the requirements
that apply now, and a *line* holds the waiting interactions of one requirement set, channel, and agent for whom they are reserved. So the
answer to "which agents could take it" is the same for a whole line. On the other side are agents: those with the same skills, queues, team
and capacity profile are one *agent group*, and agents of one group with the same load are one *load bucket*, ordered by how long they have
been idle. All agents of a bucket can take the same interactions, and only their order differs; so choosing an agent looks at buckets, not at
agents. A requirement set and the agent groups that meet it list each other.

Lines and buckets hold ids and ranks, not interactions and agents: these know their own place. `WaitingLines` and `Roster` keep the two sides.

Within a line the order never changes: with priority growing by r a minute, P + r(now - arrived) orders as P - r * arrived does. Between lines
the heads are compared by their priority now. All numbers are whole, so rounding never decides.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final

from services.policy.model.eligibility import meets_all, score
from services.policy.model.routing import QueueConfig, Selector
from services.router.domain.pool.capacity import Capacity, Load

Rank = tuple[int, int, str]
"""Priority and age, what the queue orders by, and the interaction's id: the place in a line."""
RequirementSetKey = tuple[str, tuple[Selector, ...], tuple[str, ...]]
"""Queue, requirements, other queues whose agents may take the interaction too."""
LineKey = tuple[str, str, bool, int, bool]
"""Channel, agent for whom the line is reserved, whether it was transferred to them by name, number of open offers, asleep."""
AgentGroupKey = tuple[tuple[tuple[str, float], ...], tuple[str, ...], str, str]
"""Skills, queues, name of the capacity profile, team."""
IdleRank = tuple[int, str]
"""Since when the agent is idle, and the agent's id."""

MICRO: Final = 1_000_000
_MINUTE_MS: Final = 60_000
UNIT: Final = MICRO * _MINUTE_MS
"""One unit of priority in a rank: millionths, times the milliseconds of a minute."""


class LoadBucket:
    """Agents of one group with the same load, longest idle first. Only agents who may be offered something are in a bucket."""

    __slots__ = ("busy", "interruptible", "load", "members", "ratio", "room")

    def __init__(self, load: Load, capacity: Capacity) -> None:
        self.load = load
        self.ratio = capacity.ratio(load)
        self.busy = bool(load)
        self.room = capacity.has_room(load)
        self.interruptible = capacity.interruptible(load)
        self.members: list[IdleRank] = []


class AgentGroup:
    """Agents with the same skills, queues, team and capacity profile."""

    __slots__ = (
        "able",
        "agents",
        "at_work",
        "buckets",
        "capacity",
        "free",
        "homes",
        "interruptible",
        "key",
        "present",
        "queues",
        "requirement_sets",
        "signed_in",
        "skills",
    )

    def __init__(self, key: AgentGroupKey, capacity: Capacity) -> None:
        self.key = key
        self.skills = dict(key[0])
        if key[3]:
            self.skills[f"team={key[3]}"] = 1.0
        self.queues = frozenset(key[1])
        self.homes = tuple(sorted(self.queues)) or ("",)
        """Queues that they serve, or one empty name for all queues: the keys under which they are found."""
        self.capacity = capacity
        self.agents = 0
        """Number of agents of this group, at their desks or not."""
        self.at_work = 0
        """Number of agents of this group who are signed in and AVAILABLE, however busy."""
        self.signed_in: set[str] = set()
        """Agents of this group who have a session."""
        self.present: set[str] = set()
        """Agents of this group who are at their desks, with room or not."""
        self.buckets: dict[Load, LoadBucket] = {}
        self.free = 0
        """Number of load buckets with room."""
        self.interruptible = 0
        """Number of load buckets in which something may be parked."""
        self.able: tuple[str, ...] | None = None
        """Queues whose own requirements they meet; computed on first use."""
        self.requirement_sets: dict[RequirementSet, None] = {}
        """The requirement sets that these agents meet."""

    def serves_queue(self, queue: str, others: Iterable[str] = ()) -> bool:
        """Whether these agents serve a queue, or one of `others`."""
        return not self.queues or queue in self.queues or not self.queues.isdisjoint(others)

    def serves(self, queue: str, selectors: Iterable[Selector], others: Iterable[str] = ()) -> bool:
        """Whether these agents serve a queue and meet requirements."""
        return self.serves_queue(queue, others) and meets_all(selectors, self.skills)


AgentGroups = dict[AgentGroup, None]
"""A set of agent groups, in the order in which they were added."""


class RequirementSet:
    """A queue, the requirements that apply now, and the agents who meet them."""

    __slots__ = ("_by_score", "_scores", "groups", "key", "lines", "queue", "selectors", "team")

    def __init__(self, key: RequirementSetKey, queue: QueueConfig) -> None:
        self.key = key
        self.queue = queue
        self.selectors = key[1]
        last = self.selectors[-1] if self.selectors else None
        self.team = last.text if last is not None and last.attribute == "team" else ""
        """The preferred team: its requirement is the last one."""
        self.groups: list[AgentGroup] = []
        self.lines: dict[LineKey, Line] = {}
        self._scores: dict[AgentGroup, float] = {}
        self._by_score: list[tuple[float, AgentGroups]] | None = None

    def admit(self, group: AgentGroup) -> None:
        """Add an agent group that meets the requirements."""
        self.groups.append(group)
        group.requirement_sets[self] = None
        self._by_score = None

    def dismiss(self, group: AgentGroup) -> None:
        """Remove an agent group that has no agents any more."""
        self.groups.remove(group)
        self._scores.pop(group, None)
        self._by_score = None

    def score_of(self, group: AgentGroup) -> float:
        """Return how well agents of a group exceed the requirements, to nine places: totals of equal pairs are then equal."""
        found = self._scores.get(group)
        if found is None:
            found = self._scores[group] = round(score(self.selectors, group.skills), 9)
        return found

    def by_score(self) -> list[tuple[float, AgentGroups]]:
        """Return the agent groups by equal skill score, best score first."""
        if self._by_score is None:
            groups: dict[float, AgentGroups] = {}
            for group in self.groups:
                groups.setdefault(self.score_of(group), {})[group] = None
            self._by_score = sorted(groups.items(), key=lambda group: -group[0])
        return self._by_score


class Line:
    """Waiting interactions that the same agents can take, in the order of service.

    Interactions that have open offers and may have more are in lines of their own, behind all others. Interactions that are not due for an
    offer yet are in lines that are asleep, where only their place counts.
    """

    __slots__ = (
        "asleep",
        "base",
        "channel",
        "forced",
        "growth",
        "head",
        "key",
        "queue",
        "ranks",
        "requirement_set",
        "reserved_for",
        "round",
    )

    def __init__(self, key: LineKey, requirement_set: RequirementSet) -> None:
        self.key = key
        self.requirement_set = requirement_set
        self.queue = requirement_set.queue
        self.growth = round(requirement_set.queue.ageing_per_minute * MICRO)
        self.base = requirement_set.queue.priority * UNIT
        self.channel, self.reserved_for, self.forced, self.round, self.asleep = key
        self.ranks: list[Rank] = []
        self.head: LineHead | None = None
        """The line's entry in its queue heads."""

    def add(self, priority: int, arrived_at_ms: int, key: int, interaction_id: str) -> Rank:
        """Add an interaction at the place that its priority and the queue's order give, and return its rank."""
        rank = (self.growth * arrived_at_ms - priority * UNIT, key, interaction_id)
        insort(self.ranks, rank)
        return rank

    def remove(self, rank: Rank) -> None:
        """Remove an interaction from the line."""
        del self.ranks[bisect_left(self.ranks, rank)]

    def index(self, rank: Rank) -> int:
        """Return the place of a rank, from 0."""
        return bisect_left(self.ranks, rank)

    def at(self, index: int) -> str:
        """Return the id of the interaction at a place, from 0."""
        return self.ranks[index][2]

    def urgency(self, index: int, now: int) -> Rank:
        """Return the urgency of the interaction at a place. It is comparable between lines: the least is served first."""
        static, key, interaction_id = self.ranks[index]
        return (static - self.base - self.growth * now, key, interaction_id)


LineHead = tuple[int, int, int, str, Line]
"""The head of a line: number of open offers, rank, and the line. Among heads of one queue the least is served first."""
QueueHeads = list[LineHead]
"""Heads of the lines of one queue and channel in which something waits for any agent who meets the requirements, in order."""
