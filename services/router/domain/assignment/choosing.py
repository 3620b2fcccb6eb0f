"""Choose the best agent for a waiting interaction, by its queue's choice.

There are two ways to the same answer. When few kinds of agents have room, the first agents of each of their cells are compared. When many kinds
have room, the pool-wide order is walked from its front instead: the more agents could take the interaction, the sooner one is found.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import Final

from services.router.domain import effects as fx
from services.router.domain.assignment.parking import plan
from services.router.domain.model import Choice
from services.router.domain.pool.core import Core
from services.router.domain.pool.lines import Line, RequirementSet
from services.router.domain.pool.roster import AgentGroup, IdleRank, LoadBucket, first_fitting, fitting
from services.router.domain.pool.state import Agent, Interaction

_FEW: Final = 64
_SHOWN: Final = 5
_SHOWN_OF_MANY: Final = 2
MOST_TOGETHER: Final = 64
"""The most interactions in one batch. As many of the best openings are enough for each: among more, one that suits better would remain."""

Key = tuple[float, bool, int, str]
"""Measure of the choice (least is best), whether the agent is busy, since when they are idle, their id."""

REASONS: Final = {
    Choice.UNSPECIFIED: "LONGEST_IDLE",
    Choice.LONGEST_IDLE: "LONGEST_IDLE",
    Choice.LOAD_RATIO: "LEAST_LOAD",
    Choice.SKILL_SCORE: "BEST_SKILL_SCORE",
    Choice.ROUND_ROBIN: "NEXT_IN_TURN",
    Choice.ADAPTIVE: "LEAST_DEMAND_ELSEWHERE",
}
_MEASURES: Final = {
    Choice.LOAD_RATIO: "load_ratio",
    Choice.SKILL_SCORE: "skill_score",
    Choice.ROUND_ROBIN: "turn",
    Choice.ADAPTIVE: "demand",
}


@dataclass(slots=True)
class Pick:
    """The result: an agent, or whether other interactions of the line could still be served. `parked`: what the agent parks for it."""

    agent: Agent | None
    decision: fx.OfferRationale | None = None
    reason: str = ""
    parked: tuple[Interaction, ...] = ()
    only_passed_over: bool = False


NOBODY: Final = Pick(None)
_PASSED_OVER: Final = Pick(None, only_passed_over=True)


Opening = tuple[float, bool, int, str, int]
"""Room of an agent for one more interaction.

Minus the score, whether the agent is busy (with several openings, true from the second on), since when they are idle, their id, and which of
their openings it is.
"""


@dataclass(slots=True)
class Room:
    """Openings for a waiting interaction, best first; the least number of agents who have them; and whether some agents were passed over."""

    openings: list[Opening]
    eligible: int
    passed: bool


def room_for(core: Core, line: Line, interaction: Interaction, among: list[Agent] | None) -> Room:
    """Return the openings for an interaction of a queue that chooses by skill score, when no agent parks anything."""
    need, channel = line.need, line.channel
    passed = _passed_over(core, interaction)
    free = core.roster.having_room(need, _FEW + 1) if among is None else []
    if among is not None:
        able = [a for a in among if a.cell is not None and need in a.kind.needs and a.id not in passed]
        fits = [a for a in able if a.kind.capacity.fits(a.load, channel)]
        keys = [_key(core, need, Choice.SKILL_SCORE, a) for a in fits]
        eligible = len(keys)
    elif len(free) <= _FEW:
        keys, eligible = _from_cells(core, line, free, passed, MOST_TOGETHER)
    else:
        keys, eligible = _by_score(core, line, passed, MOST_TOGETHER)
    openings: list[Opening] = []
    for measure, busy, since, agent_id in nsmallest(MOST_TOGETHER, keys):
        agent = core.agents[agent_id]
        credits_ = core.sessions[agent.session_id].credits
        most = min(MOST_TOGETHER, credits_ - len(agent.offers)) if credits_ else MOST_TOGETHER
        count = agent.kind.capacity.room(agent.load, channel, most)
        openings += [(measure, busy or nth > 0, since, agent_id, nth) for nth in range(count)]
    openings.sort()
    return Room(openings[:MOST_TOGETHER], eligible, bool(passed))


def together(core: Core, room: Room, mine: int, matched: int, total: float) -> Pick:
    """Return the pick for an opening that was matched in a batch. Other agents who could have taken it follow as candidates."""
    got = room.openings[mine]
    others = [opening for opening in room.openings if opening[4] == 0 and opening[3] != got[3]]
    ranked = [opening[:4] for opening in (got, *others[: _SHOWN - 1])]
    pick = _picked(core, Choice.SKILL_SCORE, ranked, room.eligible)
    if not matched or pick.decision is None:
        return pick
    return replace(pick, reason="BEST_TOTAL_SCORE", decision=replace(pick.decision, matched=matched, total=total))


def interrupts(core: Core, line: Line, interaction: Interaction, among: list[Agent] | None) -> bool:
    """Whether an agent could take it by parking something for it."""
    return _softest(core, line, _passed_over(core, interaction), among) is not None


def find(core: Core, line: Line, interaction: Interaction, among: list[Agent] | None) -> Pick:
    """Find the best agent for an interaction that waits in a line.

    `among` lists the freed agents, when no other agent could have taken it before.
    """
    if line.reserved_for:
        return _find_reserved(core, line, interaction)
    need, channel, choice = line.need, line.channel, line.queue.choice
    free = core.roster.having_room(need, _FEW + 1) if among is None else []
    if among is None and not free and not core.roster.interruptible(need):
        return NOBODY
    passed = _passed_over(core, interaction)
    if among is not None:
        able = [a for a in among if a.cell is not None and need in a.kind.needs]
        fits = [a for a in able if a.kind.capacity.fits(a.load, channel)]
        keys = [_key(core, need, choice, a) for a in fits if a.id not in passed]
        eligible = len(keys)
    else:
        keys, eligible = _candidates(core, line, free, passed)
    if keys and (not line.queue.keep_free or _more_than(core, line, passed, line.queue.keep_free)):
        return _picked(core, choice, nsmallest(_SHOWN, keys), eligible)
    if keys:
        return _kept_free(passed)
    interruptible = _softest(core, line, passed, among)
    if interruptible is not None:
        if line.queue.keep_free and not _more_than(core, line, passed, line.queue.keep_free):
            return _kept_free(passed)
        return _interrupting(core, *interruptible)
    return _PASSED_OVER if any(_could(core, need, channel, agent_id) for agent_id in passed) else NOBODY


def _kept_free(passed: frozenset[str]) -> Pick:
    """Return the pick when all agents who could take it are kept free.

    An agent who was passed over for this one may be one of those who could take the next in the line.
    """
    return _PASSED_OVER if passed else NOBODY


def consider(core: Core, line: Line, interaction: Interaction, agent: Agent) -> Pick:
    """Do what `find` does when only this agent, whose kind meets the line's need, could take it."""
    if _anybody_passed(interaction) and core.passes_over(interaction, agent):
        return _PASSED_OVER if _could(core, line.need, line.channel, agent.profile.agent_id) else NOBODY
    if agent.kind.capacity.fits(agent.load, line.channel):
        key = _key(core, line.need, line.queue.choice, agent)
        return _picked(core, line.queue.choice, [key], 1)
    parked = plan(core, agent, line.channel)
    return NOBODY if parked is None else _interrupting(core, agent, parked)


def _interrupting(core: Core, agent: Agent, parked: list[Interaction]) -> Pick:
    decision = fx.OfferRationale(
        core.now, 1, len(core.agents), ((agent.profile.agent_id, (("parked", float(len(parked))),)),)
    )
    return Pick(agent, decision, "INTERRUPTS", tuple(parked))


def _anybody_passed(interaction: Interaction) -> bool:
    return bool(interaction.declined or interaction.offers or interaction.agent_id or interaction.transferring_agent[0])


def _passed_over(core: Core, interaction: Interaction) -> frozenset[str]:
    if not _anybody_passed(interaction):
        return frozenset()
    asked = (*interaction.declined, *interaction.offers, interaction.agent_id, interaction.transferring_agent[0])
    known = (core.agents.get(agent_id) for agent_id in asked)
    return frozenset(
        agent.profile.agent_id for agent in known if agent is not None and core.passes_over(interaction, agent)
    )


def _could(core: Core, need: RequirementSet, channel: str, agent_id: str) -> bool:
    """Whether an agent who was passed over could take other interactions of the line."""
    agent = core.agents[agent_id]
    if agent.cell is None or need not in agent.kind.needs:
        return False
    return agent.kind.capacity.fits(agent.load, channel) or plan(core, agent, channel) is not None


def _find_reserved(core: Core, line: Line, interaction: Interaction) -> Pick:
    agent = core.agents.get(line.reserved_for)
    if agent is None or agent.cell is None or core.passes_over(interaction, agent):
        return _PASSED_OVER if agent is not None and agent.cell is not None else NOBODY
    parked: list[Interaction] = []
    if not agent.kind.capacity.fits(agent.load, line.channel):
        found = plan(core, agent, line.channel)
        if found is None:
            return NOBODY
        parked = found
    idle = float(core.now - agent.ranked_since)
    decision = fx.OfferRationale(core.now, 1, 1, ((agent.profile.agent_id, (("idle_ms", idle),)),))
    preferred = "PREFERRED_AGENT" if interaction.facts.preferred_agent == agent.profile.agent_id else "LAST_AGENT"
    return Pick(agent, decision, "TRANSFERRED_TO_AGENT" if line.forced else preferred, tuple(parked))


# Agents with room


def _candidates(core: Core, line: Line, free: list[AgentGroup], passed: frozenset[str]) -> tuple[list[Key], int]:
    """Return the best few agents by the queue's choice, and how many could take it: exact when few kinds have room, else a lower bound."""
    need, channel, choice = line.need, line.channel, line.queue.choice
    if len(free) <= _FEW:
        ready = sum(len(cell.members) for _, cell in fitting(free, channel)) if choice is Choice.ROUND_ROBIN else 0
        if ready <= _FEW:
            return _from_cells(core, line, free, passed, _SHOWN if len(free) <= _SHOWN else 1)
    if choice is Choice.SKILL_SCORE:
        return _by_score(core, line, passed, 1)
    order, most = core.roster.by_idle(), _SHOWN_OF_MANY
    if choice is Choice.LOAD_RATIO:
        order = core.roster.by_load()
    elif choice is Choice.ROUND_ROBIN:
        order = core.roster.by_turn()
    elif choice is Choice.ADAPTIVE:
        most = _FEW
    found = first_fitting(order, need, channel, passed, most)
    return [_key(core, need, choice, agent) for agent in found], max(len(found), len(free) if found else 0)


def _from_cells(
    core: Core, line: Line, kinds: Collection[AgentGroup], passed: frozenset[str], shown: int
) -> tuple[list[Key], int]:
    """Return the first `shown` agents of each cell, and how many agents there are in all."""
    need, channel, choice, agents = line.need, line.channel, line.queue.choice, core.agents
    measured = choice not in (Choice.LONGEST_IDLE, Choice.UNSPECIFIED)
    keys: list[Key] = []
    eligible = 0
    for kind in kinds:
        capacity = kind.capacity
        for cell in kind.buckets.values():
            if not capacity.fits(cell.load, channel):
                continue
            members = cell.members
            if passed:
                members = [place for place in members if place[1] not in passed]
            eligible += len(members)
            if choice is Choice.ROUND_ROBIN:
                keys += [_key(core, need, choice, agents[agent_id]) for _, agent_id in members]
                continue
            measure = _measure(core, need, choice, kind, cell) if measured else 0.0
            busy = cell.busy and choice is not Choice.LOAD_RATIO
            keys += [(measure, busy, since, agent_id) for since, agent_id in members[:shown]]
    return keys, eligible


def _by_score(core: Core, line: Line, passed: frozenset[str], most: int) -> tuple[list[Key], int]:
    """Return agents of kinds in falling score, until there are `most`, and a lower bound of how many could take it."""
    need, channel = line.need, line.channel
    found = list[Key]()
    for _, group in need.by_score():
        if len(group) <= _FEW:
            able = [kind for kind in group if kind.free]
            found += _from_cells(core, line, able, passed, max(most, _SHOWN if len(able) <= _SHOWN else 1))[0]
        else:
            walked = first_fitting(core.roster.by_idle(), need, channel, passed, max(most, _SHOWN_OF_MANY), group)
            found += [_key(core, need, Choice.SKILL_SCORE, agent) for agent in walked]
        if len(found) >= most:
            break
    return found, max(len(found), _FEW) if found else 0


def _measure(core: Core, need: RequirementSet, choice: Choice, kind: AgentGroup, cell: LoadBucket) -> float:
    match choice:
        case Choice.LOAD_RATIO:
            return cell.ratio
        case Choice.SKILL_SCORE:
            return -need.score_of(kind)
        case Choice.ADAPTIVE:
            return _demand(core, need, kind)
        case _:
            return 0.0


def _key(core: Core, need: RequirementSet, choice: Choice, agent: Agent) -> Key:
    if choice is Choice.ROUND_ROBIN:
        return (float(agent.turn), False, 0, agent.profile.agent_id)
    cell: LoadBucket = agent.cell
    busy = cell.busy and choice is not Choice.LOAD_RATIO
    return (_measure(core, need, choice, agent.kind, cell), busy, agent.ranked_since, agent.profile.agent_id)


def _demand(core: Core, need: RequirementSet, kind: AgentGroup) -> float:
    """Return the recent demand on the other queues of an agent."""
    assert core.config is not None
    if kind.able is None:
        queues = [queue for queue in core.config.queues if kind.serves(queue.name, queue.requirements)]
        kind.able = tuple(queue.name for queue in queues)
    known = core.histories
    return sum(known[name].demand(core.now) for name in kind.able if name != need.queue.name and name in known)


def _picked(core: Core, choice: Choice, ranked: list[Key], eligible: int) -> Pick:
    agent = core.agents[ranked[0][3]]
    name = _MEASURES.get(choice, "")
    candidates = []
    for measure, _, _, agent_id in ranked:
        idle = ("idle_ms", float(core.now - core.agents[agent_id].ranked_since))
        candidates.append((agent_id, ((name, abs(measure)), idle) if name else (idle,)))
    return Pick(agent, fx.OfferRationale(core.now, eligible, len(core.agents), tuple(candidates)), REASONS[choice])


# Agents who would have to park something


def _soft_places(
    core: Core, line: Line, passed: frozenset[str], among: list[Agent] | None
) -> Iterator[tuple[AgentGroup, Iterable[IdleRank]]]:
    need = line.need
    if among is not None:
        for agent in among:
            if agent.cell is not None and need in agent.kind.needs and agent.profile.agent_id not in passed:
                yield agent.kind, (agent.place,)
        return
    for kind in core.roster.interruptible(need):
        if kind.capacity.interrupts(line.channel):
            for cell in kind.buckets.values():
                if cell.interruptible:
                    yield kind, (place for place in cell.members if place[1] not in passed)


def _softest(
    core: Core, line: Line, passed: frozenset[str], among: list[Agent] | None
) -> tuple[Agent, list[Interaction]] | None:
    """Return the agent who would park least, and among equals is idle longest, with what they would park."""
    best: tuple[int, int, str] | None = None
    for _, places in _soft_places(core, line, passed, among):
        for since, agent_id in places:
            parked = plan(core, core.agents[agent_id], line.channel)
            if parked is not None:
                key = (len(parked), since, agent_id)
                best = key if best is None else min(best, key)
                if len(parked) == 1:
                    break  # members of a cell are ordered by idle time: no later one is better
    if best is None:
        return None
    agent = core.agents[best[2]]
    return agent, plan(core, agent, line.channel) or []


# Protection of more urgent kinds


def _more_than(core: Core, line: Line, passed: frozenset[str], count: int) -> bool:
    """Whether more than `count` agents could take it."""
    need, channel, found = line.need, line.channel, 0
    free = core.roster.having_room(need, len(need.kinds))
    for kind in dict.fromkeys((*free, *core.roster.interruptible(need))):
        for cell in kind.buckets.values():
            if kind.capacity.fits(cell.load, channel):
                found += sum(1 for _, agent_id in cell.members if agent_id not in passed)
            elif cell.interruptible:
                found += sum(
                    1
                    for _, agent_id in cell.members
                    if agent_id not in passed and plan(core, core.agents[agent_id], channel) is not None
                )
            if found > count:
                return True
    return False
