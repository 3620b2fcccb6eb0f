"""Who gets what: called after every command and timer, with the lines that were stirred and the agents that were freed.

Before the change nothing waited that could have been served. So only stirred lines, and lines that a freed agent can serve, need a look; their
heads are taken in order of urgency over all lines, and each is given to the best agent there is, not to the one who happened to come free.
"""

from dataclasses import dataclass
from heapq import heapify, heappop, heappush, nsmallest

from services.router.domain import effects as fx
from services.router.domain.eligibility import score
from services.router.domain.lines import Line
from services.router.domain.model import Choice, Stage
from services.router.domain.pool import Core
from services.router.domain.roster import fitting
from services.router.domain.state import Agent, Work

_FEW_CELLS = 8
_SHOWN = 5

Key = tuple[float, bool, int, str]

REASONS = {
    Choice.UNSPECIFIED: "LONGEST_IDLE",
    Choice.LONGEST_IDLE: "LONGEST_IDLE",
    Choice.LOAD_RATIO: "LEAST_LOAD",
    Choice.SKILL_SCORE: "BEST_SKILL_SCORE",
}


@dataclass(frozen=True, slots=True)
class Pick:
    """The answer to "who takes it": an agent, or whether others in the line could still be served."""

    agent: Agent | None
    decision: fx.Decision | None = None
    reason: str = ""
    only_declined: bool = False


_NOBODY = Pick(None)
_DECLINED = Pick(None, only_declined=True)


def run(core: Core) -> None:
    """Offer everything that can be offered."""
    if core.stirred or core.freed:
        _run(core)
        core.stirred.clear()
        core.freed.clear()
    if core.entered:
        announce(core)


def _run(core: Core) -> None:
    now, agents = core.now, core.agents
    freed = [agents[agent_id] for agent_id in core.freed if agents[agent_id].cell is not None]
    looked: dict[Line, None] = {}
    for line in core.stirred:
        if line.ranks:
            looked[line] = None
    for agent in freed:
        for line in agent.kind.lines.values():
            if line.ranks:
                looked[line] = None
        for line in core.lines.reserved.get(agent.id, {}).values():
            looked[line] = None
    heap = [(*line.urgency(line.at(0), now), 0, n, line) for n, line in enumerate(looked)]
    heapify(heap)
    while heap:
        _, _, _, index, n, line = heappop(heap)
        work = line.at(index)
        if line not in core.stirred and not any(a.cell is not None for a in freed):
            continue
        pick = find(core, line, work)
        if pick.agent is not None and pick.decision is not None:
            core.offer(work, pick.agent, pick.reason, pick.decision, line.queue.offer_ms)
        elif pick.only_declined:
            index += 1
        else:
            continue
        if index < len(line.ranks):
            heappush(heap, (*line.urgency(line.at(index), now), index, n, line))


def find(core: Core, line: Line, work: Work) -> Pick:
    """The best agent for work that waits in a line."""
    if line.reserved_for:
        return _find_reserved(core, line, work)
    choice, channel = line.queue.choice, work.facts.channel
    found: list[Key] = []
    eligible, blocked = 0, False
    few = True
    cells = list(fitting(line.kinds, channel))
    few = len(cells) <= _FEW_CELLS
    for kind, cell in cells:
        members = cell.members
        if work.declined:
            members = [m for m in members if not core.declines(work, core.agents[m[1]])]
            if not members:
                blocked = True
                continue
        eligible += len(members)
        if choice is Choice.LOAD_RATIO:
            measure = cell.ratio
        elif choice is Choice.SKILL_SCORE:
            measure = -score(line.selectors, kind.skills)
        else:
            measure = 0.0
        busy = cell.busy and choice is not Choice.LOAD_RATIO
        for since, agent_id in members[: _SHOWN if few else 1]:
            found.append((measure, busy, since, agent_id))
    if not found:
        return _DECLINED if blocked else _NOBODY
    ranked = nsmallest(_SHOWN, found)
    agent = core.agents[ranked[0][3]]
    name = {Choice.LOAD_RATIO: "load_ratio", Choice.SKILL_SCORE: "skill_score"}.get(choice, "")
    candidates = tuple(
        (
            agent_id,
            ((name, abs(measure)), ("idle_ms", float(core.now - since)))
            if name
            else (("idle_ms", float(core.now - since)),),
        )
        for measure, _, since, agent_id in ranked
    )
    return Pick(agent, fx.Decision(core.now, eligible, len(core.agents), candidates), REASONS[choice])


def _find_reserved(core: Core, line: Line, work: Work) -> Pick:
    agent = core.agents.get(line.reserved_for)
    if agent is None or agent.cell is None or core.declines(work, agent):
        return _NOBODY
    if not agent.kind.capacity.fits(agent.load, work.facts.channel):
        return _NOBODY
    idle = float(core.now - agent.ranked_since)
    decision = fx.Decision(core.now, 1, 1, ((agent.id, (("idle_ms", idle),)),))
    return Pick(agent, decision, "TRANSFERRED_TO_AGENT" if line.forced else "LAST_AGENT")


def announce(core: Core) -> None:
    """Fill in the announcements of what entered a queue: where it stands now, and how long that may take."""
    for place, work, reason, again, epoch in core.entered:
        before = core.effects[place]
        assert isinstance(before, fx.Queued)
        position, estimate = 0, -1
        if work.stage is Stage.OFFERED:
            position, estimate = 1, 0
        elif work.line is not None:
            position = 1 + core.lines.ahead(before.facts.queue, work.rank)
            drain = core.drains.get(before.facts.queue)
            estimate = drain.quantile_ms(position) if drain is not None else -1
        core.effects[place] = fx.Queued(before.facts, epoch, reason, position, estimate, again)
    core.entered.clear()
