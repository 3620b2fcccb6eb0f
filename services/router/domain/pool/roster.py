"""The roster: the agents' side of the index of a pool, described in `index`.

It finds the agents who could take an interaction without looking at every agent. Agents with room are also in the pool-wide orders. When very
many agents are free, walking these orders from the beginning is shorter than looking at all groups.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from heapq import merge

from sortedcontainers import SortedList

from services.policy.model.routing import CapacityProfile
from services.router.domain.pool.capacity import Capacity
from services.router.domain.pool.index import AgentGroup, AgentGroupKey, AgentGroups, LoadBucket, RequirementSet
from services.router.domain.pool.state import Agent

RankedAgent = tuple[int, str, Agent]
"""Since when the agent is idle (or their turn), the agent's id, and the agent: ids differ, so agents are never compared."""


class Roster:
    """All agent groups, and the rank of each agent."""

    __slots__ = (
        "_anywhere",
        "_by_queue",
        "_by_ratio",
        "_capacities",
        "_free",
        "_interruptible",
        "_turns",
        "groups",
        "rotates",
    )

    def __init__(self) -> None:
        self.groups: dict[AgentGroupKey, AgentGroup] = {}
        self._by_queue: dict[str, list[AgentGroup]] = {}
        self._anywhere: list[AgentGroup] = []
        self._capacities: dict[CapacityProfile, Capacity] = {}
        self._by_ratio: dict[tuple[float, bool], SortedList[RankedAgent]] = {}
        self._turns: SortedList[RankedAgent] = SortedList()
        self._free: dict[str, AgentGroups] = {}
        """Agent groups with at least one agent who has room, by home."""
        self._interruptible: dict[str, AgentGroups] = {}
        """Agent groups with at least one agent who holds something that may be parked, by home."""
        self.rotates = False
        """Whether any queue chooses by round robin, in which case the order of turns is kept."""

    def clear(self, *, rotates: bool) -> None:
        """Remove everything, because capacity profiles have changed."""
        self.groups.clear()
        self._by_queue.clear()
        self._anywhere.clear()
        self._capacities.clear()
        self._by_ratio.clear()
        self._turns.clear()
        self._free.clear()
        self._interruptible.clear()
        self.rotates = rotates

    def group_for(self, agent: Agent, profile: CapacityProfile) -> tuple[AgentGroup, bool]:
        """Return the agent's group, and whether it is new."""
        key = (agent.profile.skills, agent.profile.queues, profile.name, agent.profile.team)
        group = self.groups.get(key)
        if group is not None:
            return group, False
        capacity = self._capacities.get(profile)
        if capacity is None:
            capacity = self._capacities[profile] = Capacity(profile)
        group = self.groups[key] = AgentGroup(key, capacity)
        for queue in group.queues:
            self._by_queue.setdefault(queue, []).append(group)
        if not group.queues:
            self._anywhere.append(group)
        return group, True

    def forget(self, group: AgentGroup) -> None:
        """Remove an agent group without agents: profiles that change again and again must not leave their groups behind."""
        del self.groups[group.key]
        for queue in group.queues:
            listed = self._by_queue[queue]
            listed.remove(group)
            if not listed:
                del self._by_queue[queue]
        if not group.queues:
            self._anywhere.remove(group)

    def serving(self, queue: str, others: Sequence[str]) -> Iterable[AgentGroup]:
        """Return the agent groups that serve a queue or one of `others`, each once."""
        listed: Iterable[AgentGroup] = self._by_queue.get(queue, ())
        if others:
            listed = dict.fromkeys(group for name in (queue, *others) for group in self._by_queue.get(name, ()))
        return (*listed, *self._anywhere)

    def leave(self, agent: Agent) -> None:
        """Take the agent out of their load bucket."""
        bucket = agent.bucket
        if bucket is None:
            return
        group = agent.group
        del bucket.members[bisect_left(bucket.members, agent.idle_rank)]
        if bucket.room:
            self._by_ratio[bucket.ratio, bucket.busy].remove((*agent.idle_rank, agent))
            if self.rotates:
                self._turns.remove((agent.ranked_turn, agent.idle_rank[1], agent))
        if not bucket.members:
            del group.buckets[bucket.load]
            if bucket.room:
                group.free -= 1
                if not group.free:
                    for home in group.homes:
                        del self._free[home][group]
            if bucket.interruptible:
                group.interruptible -= 1
                if not group.interruptible:
                    for home in group.homes:
                        del self._interruptible[home][group]
        agent.bucket = None

    def enter(self, agent: Agent) -> None:
        """Put the agent into the bucket of their load, ranked by their idle time."""
        bucket = agent.bucket
        idle_rank = (agent.ranked_since, agent.profile.agent_id)
        if bucket is not None:
            if bucket.load == agent.load and agent.idle_rank == idle_rank and agent.ranked_turn == agent.turn:
                return
            self.leave(agent)
        group = agent.group
        bucket = group.buckets.get(agent.load)
        if bucket is None:
            bucket = group.buckets[agent.load] = LoadBucket(agent.load, group.capacity)
            if bucket.room:
                group.free += 1
                if group.free == 1:
                    for home in group.homes:
                        self._free.setdefault(home, {})[group] = None
            if bucket.interruptible:
                group.interruptible += 1
                if group.interruptible == 1:
                    for home in group.homes:
                        self._interruptible.setdefault(home, {})[group] = None
        insort(bucket.members, idle_rank)
        if bucket.room:
            order = self._by_ratio.get((bucket.ratio, bucket.busy))
            if order is None:
                order = self._by_ratio[bucket.ratio, bucket.busy] = SortedList()
            order.add((*idle_rank, agent))
            if self.rotates:
                self._turns.add((agent.turn, idle_rank[1], agent))
        agent.bucket, agent.idle_rank, agent.ranked_turn = bucket, idle_rank, agent.turn

    # Agent groups with room

    def having_room(self, requirement_set: RequirementSet, most: int) -> list[AgentGroup]:
        """Return the agent groups that meet a requirement set and have an agent with room, at most `most` of them."""
        listed = _met(self._free, requirement_set)
        if len(requirement_set.groups) < len(listed):
            listed = requirement_set.groups
        found: list[AgentGroup] = []
        for group in listed:
            if group.free and requirement_set in group.requirement_sets:
                found.append(group)
                if len(found) == most:
                    break
        return found

    def interruptible(self, requirement_set: RequirementSet) -> list[AgentGroup]:
        """Return the agent groups that meet a requirement set and have an agent who holds something that may be parked."""
        return (
            [group for group in _met(self._interruptible, requirement_set) if requirement_set in group.requirement_sets]
            if self._interruptible
            else []
        )

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


def _met(by_home: dict[str, AgentGroups], requirement_set: RequirementSet) -> Collection[AgentGroup]:
    """Return the agent groups at home in a queue of a requirement set. They may or may not meet its requirements."""
    own, anywhere = by_home.get(requirement_set.queue.name, {}), by_home.get("", {})
    others = requirement_set.key[2]
    if not others:
        return own if not anywhere else anywhere if not own else (*own, *anywhere)
    return dict.fromkeys(group for home in (requirement_set.queue.name, *others, "") for group in by_home.get(home, ()))


def _merged(orders: list[SortedList[RankedAgent]]) -> Iterator[Iterable[RankedAgent]]:
    if len(orders) == 1:
        yield orders[0]  # the usual case: no merging between the walker and the list
    elif orders:
        yield merge(*orders)


def fitting(groups: Iterable[AgentGroup], channel: str) -> Iterator[tuple[AgentGroup, LoadBucket]]:
    """Yield the load buckets whose agents have room for one more interaction of a channel."""
    for group in groups:
        fits = group.capacity.fits
        for bucket in group.buckets.values():
            if fits(bucket.load, channel):
                yield group, bucket


def first_fitting(
    order: Iterable[Iterable[RankedAgent]],
    requirement_set: RequirementSet,
    channel: str,
    passed: Container[str],
    most: int,
    of: AgentGroups | None = None,
) -> list[Agent]:
    """Return the first agents of an order who meet a requirement set, have room for the channel, and are not in `passed`; at most `most`.

    With `of`, only agents of these groups.
    """
    found: list[Agent] = []
    for part in order:
        for _, agent_id, agent in part:
            group = agent.group
            meets = requirement_set in group.requirement_sets if of is None else group in of
            if meets and group.capacity.fits(agent.load, channel) and agent_id not in passed:
                found.append(agent)
                if len(found) == most:
                    return found
    return found
