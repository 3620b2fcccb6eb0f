"""Who gets what: called after every command and timer, with the lines that were stirred and the agents that were freed.

Before the change nothing waited that could have been served. So only stirred lines, and lines that a freed agent can serve, need a look; and for the
latter nobody but the freed agents can be the answer. Their heads are taken in order of urgency over all lines, and each is given to the best
agent there is, not to the one who happened to come free.
"""

from heapq import heappop, heappush
from typing import Final

from services.router.domain import effects as fx
from services.router.domain import overflow
from services.router.domain.choosing import find
from services.router.domain.holding import offer
from services.router.domain.lines import Line, Rank
from services.router.domain.model import Stage
from services.router.domain.pool import Core
from services.router.domain.state import Agent, Work

_NARROW: Final = 4
"""With more freed agents than this, all agents are looked at for every line: cheaper than each of them for each."""


def run(core: Core) -> None:
    """Offer everything that can be offered, and let rules act on what could not."""
    while True:
        if core.overdue:
            overflow.apply_due(core)
        if core.stirred or core.freed:
            _offer_all(core)
        if core.entered:
            announce(core)
        if core.asking:
            overflow.ask(core)
        if not core.overdue and not core.stirred and not core.freed and not core.entered and not core.asking:
            return


class _Heads:
    """First of each line that is looked at, most urgent first; those with offers standing come behind all others."""

    __slots__ = ("_heap", "_in", "_now", "_wide")

    def __init__(self, now: int) -> None:
        self._heap: list[tuple[int, Rank, int, int, Line]] = []
        self._in: set[Line] = set()
        self._wide: set[Line] = set()
        self._now = now

    def add(self, line: Line, *, wide: bool, index: int = 0) -> None:
        """Look at a line from a place on; `wide`: everybody may be the answer, not only who came free."""
        if wide:
            self._wide.add(line)
        if line in self._in or index >= len(line.ranks):
            return
        self._in.add(line)
        heappush(self._heap, (line.round, line.urgency(index, self._now), index, id(line), line))

    def pop(self) -> tuple[Line, int, bool] | None:
        """The most urgent: line, place, wide."""
        if not self._heap:
            return None
        _, _, index, _, line = heappop(self._heap)
        self._in.discard(line)
        return line, index, line in self._wide


def _offer_all(core: Core) -> None:
    agents = core.agents
    freed = [agents[agent_id] for agent_id in core.freed if agents[agent_id].cell is not None]
    heads = _Heads(core.now)
    many = len(freed) > _NARROW
    for line in core.stirred:
        heads.add(line, wide=True)
    for agent in freed:
        _add_lines_of(core, agent, heads, many)
    core.stirred.clear()
    core.freed.clear()
    while (head := heads.pop()) is not None:
        line, index, wide = head
        if not wide and not any(agent.cell is not None for agent in freed):
            continue
        work = line.at(index)
        pick = find(core, line, work, None if wide else freed)
        if pick.agent is not None and pick.decision is not None:
            offer(core, work, pick.agent, pick.reason, pick.decision, line.queue.offer_ms, pick.parked)
            if work.line is not None:
                heads.add(work.line, wide=True)
            heads.add(line, wide=wide, index=index)
        elif pick.only_passed_over:
            heads.add(line, wide=wide, index=index + 1)
    core.stirred.clear()


def _add_lines_of(core: Core, agent: Agent, heads: _Heads, many: bool) -> None:
    kind = agent.kind
    if len(kind.needs) < len(core.lines.filled):
        lines = [line for need in kind.needs for line in need.lines.values() if line.ranks]
    else:
        lines = [line for line in core.lines.filled if kind in line.need.free or kind in line.need.soft]
    for line in lines:
        if not line.asleep and not line.reserved_for:
            heads.add(line, wide=many or bool(line.queue.keep_free))
    for line in core.lines.reserved.get(agent.id, ()):
        if not line.asleep:
            heads.add(line, wide=True)


def announce(core: Core) -> None:
    """Fill in the announcements of what entered a queue: where it stands now, and how long that may take."""
    entered, core.entered = core.entered, []
    for place, work, reason, again, epoch in entered:
        before = core.effects[place]
        assert isinstance(before, fx.Queued)
        position, p50, p90 = _prospect(core, work, before.facts.queue)
        work.announced = (p50, p90)
        core.effects[place] = fx.Queued(before.facts, epoch, reason, position, p50, again, p90)


def _prospect(core: Core, work: Work, queue: str) -> tuple[int, int, int]:
    """Position from 1, and the quantiles of its wait; 0 and -1 when unknown."""
    if work.stage is Stage.OFFERED:
        return 1, 0, 0
    if work.line is None:
        return 0, -1, -1
    position = 1 + core.lines.ahead(queue, work.rank)
    history = core.histories.get(queue)
    if history is None:
        return position, -1, -1
    return position, history.quantile_ms(position), history.p90_ms(position)
