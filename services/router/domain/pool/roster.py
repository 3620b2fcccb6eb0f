"""The roster: finds the agents who could take an interaction without looking at every agent.

Agents with the same skills, queues, team and capacity profile are one *kind* (an agent group). Agents of one kind with the same load are one
*cell* (a load bucket), ordered by how long they have been idle. All agents of a cell fit the same interactions, and only their order differs; so
choosing an agent looks at cells, not at agents. Only agents who may be offered something are in a cell. Agents with room are also in the
pool-wide orders. When very many agents are free, walking these orders from the front is shorter than looking at all kinds.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from heapq import merge
from typing import TYPE_CHECKING

from sortedcontainers import SortedList

from services.router.domain.model import CapacityProfile, Selector
from services.router.domain.pool.capacity import Capacity, Load
from services.router.domain.pool.eligibility import meets_all
from services.router.domain.pool.state import Agent

if TYPE_CHECKING:
    from services.router.domain.pool.lines import RequirementSet

AgentGroupKey = tuple[tuple[tuple[str, float], ...], tuple[str, ...], str, str]
IdleRank = tuple[int, str]
"""Since when the agent is idle, and the agent's id."""
RankedAgent = tuple[int, str, Agent]
"""Since when the agent is idle (or their turn), the agent's id, and the agent: ids differ, so agents are never compared."""


class LoadBucket:
    """Agents of one kind with the same load, longest idle first."""

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
        "buckets",
        "capacity",
        "free",
        "homes",
        "interruptible",
        "key",
        "needs",
        "queues",
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
        """Number of agents of this kind, at their desks or not."""
        self.buckets: dict[Load, LoadBucket] = {}
        self.free = 0
        """Number of cells with room."""
        self.interruptible = 0
        """Number of cells in which something may be parked."""
        self.able: tuple[str, ...] | None = None
        """Queues whose own requirements they meet; computed on first use."""
        self.needs: dict[RequirementSet, None] = {}
        """The requirement sets that these agents meet."""

    def works_for(self, queue: str, others: Iterable[str] = ()) -> bool:
        """Whether these agents serve a queue, or one of `others`."""
        return not self.queues or queue in self.queues or not self.queues.isdisjoint(others)

    def serves(self, queue: str, selectors: Iterable[Selector], others: Iterable[str] = ()) -> bool:
        """Whether these agents serve a queue and meet requirements."""
        return self.works_for(queue, others) and meets_all(selectors, self.skills)


Group = dict[AgentGroup, None]
"""A set of kinds."""


class Roster:
    """All kinds of agents, and the place of each agent."""

    __slots__ = (
        "_anywhere",
        "_by_queue",
        "_by_ratio",
        "_capacities",
        "_free",
        "_interruptible",
        "_turns",
        "kinds",
        "rotates",
    )

    def __init__(self) -> None:
        self.kinds: dict[AgentGroupKey, AgentGroup] = {}
        self._by_queue: dict[str, list[AgentGroup]] = {}
        self._anywhere: list[AgentGroup] = []
        self._capacities: dict[CapacityProfile, Capacity] = {}
        self._by_ratio: dict[tuple[float, bool], SortedList[RankedAgent]] = {}
        self._turns: SortedList[RankedAgent] = SortedList()
        self._free: dict[str, dict[AgentGroup, None]] = {}
        """Kinds with at least one agent who has room, by home."""
        self._interruptible: dict[str, dict[AgentGroup, None]] = {}
        """Kinds with at least one agent who holds something that may be parked, by home."""
        self.rotates = False
        """Whether any queue chooses by round robin, in which case the order of turns is kept."""

    def clear(self, *, rotates: bool) -> None:
        """Remove everything, because capacity profiles have changed."""
        self.kinds.clear()
        self._by_queue.clear()
        self._anywhere.clear()
        self._capacities.clear()
        self._by_ratio.clear()
        self._turns.clear()
        self._free.clear()
        self._interruptible.clear()
        self.rotates = rotates

    def kind_for(self, agent: Agent, profile: CapacityProfile) -> tuple[AgentGroup, bool]:
        """Return the agent's kind, and whether it is new."""
        key = (agent.profile.skills, agent.profile.queues, profile.name, agent.profile.team)
        kind = self.kinds.get(key)
        if kind is not None:
            return kind, False
        capacity = self._capacities.get(profile)
        if capacity is None:
            capacity = self._capacities[profile] = Capacity(profile)
        kind = self.kinds[key] = AgentGroup(key, capacity)
        for queue in kind.queues:
            self._by_queue.setdefault(queue, []).append(kind)
        if not kind.queues:
            self._anywhere.append(kind)
        return kind, True

    def forget(self, kind: AgentGroup) -> None:
        """Remove a kind without agents: profiles that change again and again must not leave their kinds behind."""
        del self.kinds[kind.key]
        for queue in kind.queues:
            listed = self._by_queue[queue]
            listed.remove(kind)
            if not listed:
                del self._by_queue[queue]
        if not kind.queues:
            self._anywhere.remove(kind)

    def working_for(self, queue: str, others: Sequence[str]) -> Iterable[AgentGroup]:
        """Return the kinds that serve a queue or one of `others`, each once."""
        listed: Iterable[AgentGroup] = self._by_queue.get(queue, ())
        if others:
            listed = dict.fromkeys(kind for name in (queue, *others) for kind in self._by_queue.get(name, ()))
        return (*listed, *self._anywhere)

    def leave(self, agent: Agent) -> None:
        """Take the agent out of their cell."""
        cell: LoadBucket | None = agent.cell
        if cell is None:
            return
        kind: AgentGroup = agent.kind
        del cell.members[bisect_left(cell.members, agent.place)]
        if cell.room:
            self._by_ratio[cell.ratio, cell.busy].remove((*agent.place, agent))
            if self.rotates:
                self._turns.remove((agent.stood_at, agent.place[1], agent))
        if not cell.members:
            del kind.buckets[cell.load]
            if cell.room:
                kind.free -= 1
                if not kind.free:
                    for home in kind.homes:
                        del self._free[home][kind]
            if cell.interruptible:
                kind.interruptible -= 1
                if not kind.interruptible:
                    for home in kind.homes:
                        del self._interruptible[home][kind]
        agent.cell = None

    def stand(self, agent: Agent) -> None:
        """Put the agent into the cell and the place of their load and idle time."""
        cell: LoadBucket | None = agent.cell
        place = (agent.ranked_since, agent.profile.agent_id)
        if cell is not None:
            if cell.load == agent.load and agent.place == place and agent.stood_at == agent.turn:
                return
            self.leave(agent)
        kind: AgentGroup = agent.kind
        cell = kind.buckets.get(agent.load)
        if cell is None:
            cell = kind.buckets[agent.load] = LoadBucket(agent.load, kind.capacity)
            if cell.room:
                kind.free += 1
                if kind.free == 1:
                    for home in kind.homes:
                        self._free.setdefault(home, {})[kind] = None
            if cell.interruptible:
                kind.interruptible += 1
                if kind.interruptible == 1:
                    for home in kind.homes:
                        self._interruptible.setdefault(home, {})[kind] = None
        insort(cell.members, place)
        if cell.room:
            order = self._by_ratio.get((cell.ratio, cell.busy))
            if order is None:
                order = self._by_ratio[cell.ratio, cell.busy] = SortedList()
            order.add((*place, agent))
            if self.rotates:
                self._turns.add((agent.turn, place[1], agent))
        agent.cell, agent.place, agent.stood_at = cell, place, agent.turn

    # Kinds with room

    def having_room(self, need: "RequirementSet", most: int) -> list[AgentGroup]:
        """Return the kinds that meet a requirement set and have an agent with room, at most `most` of them."""
        listed = _met(self._free, need)
        if len(need.kinds) < len(listed):
            listed = need.kinds
        found: list[AgentGroup] = []
        for kind in listed:
            if kind.free and need in kind.needs:
                found.append(kind)
                if len(found) == most:
                    break
        return found

    def interruptible(self, need: "RequirementSet") -> list[AgentGroup]:
        """Return the kinds that meet a requirement set and have an agent who holds something that may be parked."""
        return [kind for kind in _met(self._interruptible, need) if need in kind.needs] if self._interruptible else []

    # All agents with room, in order

    def by_idle(self) -> Iterator[Iterable[RankedAgent]]:
        """Yield parts of the order, one after the other: idle agents before busy ones, then longest idle first."""
        for busy in (False, True):
            yield from _merged([order for (_, b), order in self._by_ratio.items() if b is busy and order])

    def by_load(self) -> Iterator[Iterable[RankedAgent]]:
        """Yield parts of the order, one after the other: the least share of the total in use first, then longest idle first."""
        for ratio in sorted({ratio for (ratio, _), order in self._by_ratio.items() if order}):
            yield from _merged([order for (r, _), order in self._by_ratio.items() if r == ratio and order])

    def by_turn(self) -> Iterator[Iterable[RankedAgent]]:
        """Yield the order of turns: the agent whose last offer is the oldest comes first."""
        yield self._turns


def _met(by_home: dict[str, dict[AgentGroup, None]], need: "RequirementSet") -> Collection[AgentGroup]:
    """Return the kinds at home in a queue of a requirement set. They may or may not meet its requirements."""
    own, anywhere = by_home.get(need.queue.name, {}), by_home.get("", {})
    others = need.key[2]
    if not others:
        return own if not anywhere else anywhere if not own else (*own, *anywhere)
    return dict.fromkeys(kind for home in (need.queue.name, *others, "") for kind in by_home.get(home, ()))


def _merged(orders: list[SortedList[RankedAgent]]) -> Iterator[Iterable[RankedAgent]]:
    if len(orders) == 1:
        yield orders[0]  # the usual case: no merging between the walker and the list
    elif orders:
        yield merge(*orders)


def fitting(kinds: Iterable[AgentGroup], channel: str) -> Iterator[tuple[AgentGroup, LoadBucket]]:
    """Yield the cells whose agents have room for one more interaction of a channel."""
    for kind in kinds:
        fits = kind.capacity.fits
        for cell in kind.buckets.values():
            if fits(cell.load, channel):
                yield kind, cell


def first_fitting(
    order: Iterable[Iterable[RankedAgent]],
    need: "RequirementSet",
    channel: str,
    passed: Container[str],
    most: int,
    of: Group | None = None,
) -> list[Agent]:
    """Return the first agents of an order who meet a requirement set (and are in the group `of`), fit, and are not in `passed`; at most `most`."""
    found: list[Agent] = []
    for part in order:
        for _, agent_id, agent in part:
            kind = agent.kind
            meets = need in kind.needs if of is None else kind in of
            if meets and kind.capacity.fits(agent.load, channel) and agent_id not in passed:
                found.append(agent)
                if len(found) == most:
                    return found
    return found
