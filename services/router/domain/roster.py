"""Who could take work, found without looking at everybody.

Agents with the same skills, queues and capacity profile are one *kind*; agents of one kind with the same load are one *cell*, ordered by how
long they have been idle. Within a cell all fit the same work and only the order counts; so choosing an agent looks at cells, not at agents.
Only agents who may be offered something stand in a cell.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Any

from services.router.domain.capacity import Capacity, Load
from services.router.domain.eligibility import meets_all
from services.router.domain.model import CapacityProfile, Selector
from services.router.domain.state import Agent

KindKey = tuple[tuple[tuple[str, float], ...], tuple[str, ...], str]


class Cell:
    """Agents of one kind with one load, longest idle first."""

    __slots__ = ("busy", "load", "members", "ratio")

    def __init__(self, load: Load, ratio: float) -> None:
        self.load = load
        self.ratio = ratio
        self.busy = bool(load)
        self.members: list[tuple[int, str]] = []


class Kind:
    """Agents who can do the same."""

    __slots__ = ("capacity", "cells", "key", "lines", "queues", "skills")

    def __init__(self, key: KindKey, capacity: Capacity) -> None:
        self.key = key
        self.skills = dict(key[0])
        self.queues = frozenset(key[1])
        self.capacity = capacity
        self.cells: dict[Load, Cell] = {}
        self.lines: dict[Any, Any] = {}
        """Lines of waiting work that these agents may take (`lines.Line`, by key)."""

    def serves(self, queue: str, selectors: Iterable[Selector]) -> bool:
        """Whether these agents work for a queue and meet requirements."""
        return (not self.queues or queue in self.queues) and meets_all(selectors, self.skills)


class Roster:
    """Kinds, and where each agent stands."""

    __slots__ = ("_capacities", "_profiles", "kinds")

    def __init__(self) -> None:
        self.kinds: dict[KindKey, Kind] = {}
        self._capacities: dict[CapacityProfile, Capacity] = {}

    def clear(self) -> None:
        """Forget everything: capacity profiles have changed."""
        self.kinds.clear()
        self._capacities.clear()

    def kind_for(self, agent: Agent, profile: CapacityProfile) -> tuple[Kind, bool]:
        """The agent's kind, and whether it is new."""
        key = (agent.profile.skills, agent.profile.queues, profile.name)
        kind = self.kinds.get(key)
        if kind is not None:
            return kind, False
        capacity = self._capacities.get(profile)
        if capacity is None:
            capacity = self._capacities[profile] = Capacity(profile)
        kind = self.kinds[key] = Kind(key, capacity)
        return kind, True

    def leave(self, agent: Agent) -> None:
        """Take the agent out of his cell."""
        cell = agent.cell
        if cell is None:
            return
        del cell.members[bisect_left(cell.members, agent.place)]
        if not cell.members:
            del agent.kind.cells[cell.load]
        agent.cell = None

    def stand(self, agent: Agent) -> None:
        """Put the agent where his load and idle time belong."""
        cell = agent.cell
        place = (agent.ranked_since, agent.profile.agent_id)
        if cell is not None:
            if cell.load == agent.load and agent.place == place:
                return
            self.leave(agent)
        kind: Kind = agent.kind
        cell = kind.cells.get(agent.load)
        if cell is None:
            cell = kind.cells[agent.load] = Cell(agent.load, kind.capacity.ratio(agent.load))
        insort(cell.members, place)
        agent.cell, agent.place = cell, place


def fitting(kinds: Iterable[Kind], channel: str) -> Iterator[tuple[Kind, Cell]]:
    """Cells whose agents have room for one more interaction of a channel."""
    for kind in kinds:
        fits = kind.capacity.fits
        for cell in kind.cells.values():
            if fits(cell.load, channel):
                yield kind, cell
