"""Choose the best agent for a waiting interaction, by its queue's choice.

There are two ways to the same answer. When few agent groups have room, the first agents of each of their load buckets are compared. When many
groups have room, the pool-wide order is walked from its beginning instead: the more agents could take the interaction, the sooner one is found.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import Final

from services.policy.model.routing import Choice
from services.router.domain import effects as fx
from services.router.domain.assignment.exclusions import passed_over, passes_over
from services.router.domain.assignment.parking import plan
from services.router.domain.assignment.rings import by_ring, of_first_ring
from services.router.domain.pool.index import AgentGroup, IdleRank, Line, LoadBucket, RequirementSet
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.roster import first_fitting, fitting
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
    rationale: fx.OfferRationale | None = None
    reason: str = ""
    parked: tuple[Interaction, ...] = ()
    only_passed_over: bool = False


NO_PICK: Final = Pick(None)
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


def room_for(core: PoolState, line: Line, interaction: Interaction, among: list[Agent] | None) -> Room:
    """Return the openings for an interaction of a queue that chooses by skill score, when no agent parks anything."""
    requirement_set, channel = line.requirement_set, line.channel
    passed = passed_over(core, interaction)
    free = core.roster.having_room(requirement_set, _FEW + 1) if among is None else []
    if among is not None:
        able = [
            a
            for a in among
            if a.bucket is not None and requirement_set in a.group.requirement_sets and a.id not in passed
        ]
        fits = [a for a in able if a.group.capacity.fits(a.load, channel)]
        keys = [_key(core, requirement_set, Choice.SKILL_SCORE, a) for a in fits]
        eligible = len(keys)
    elif len(free) <= _FEW:
        keys, eligible = _from_buckets(core, line, free, passed, MOST_TOGETHER)
    else:
        keys, eligible = _by_score(core, line, passed, MOST_TOGETHER)
    openings: list[Opening] = []
    for measure, busy, since, agent_id in nsmallest(MOST_TOGETHER, keys):
        agent = core.agents[agent_id]
        credits_ = core.sessions[agent.session_id].credits
        most = min(MOST_TOGETHER, credits_ - len(agent.offers)) if credits_ else MOST_TOGETHER
        count = agent.group.capacity.room(agent.load, channel, most)
        openings += [(measure, busy or nth > 0, since, agent_id, nth) for nth in range(count)]
    openings.sort()
    return Room(openings[:MOST_TOGETHER], eligible, bool(passed))


def together(core: PoolState, room: Room, mine: int, matched: int, total: float) -> Pick:
    """Return the pick for an opening that was matched in a batch. Other agents who could have taken it follow as candidates."""
    got = room.openings[mine]
    others = [opening for opening in room.openings if opening[4] == 0 and opening[3] != got[3]]
    ranked = [opening[:4] for opening in (got, *others[: _SHOWN - 1])]
    pick = _picked(core, Choice.SKILL_SCORE, ranked, room.eligible)
    if not matched or pick.rationale is None:
        return pick
    return replace(pick, reason="BEST_TOTAL_SCORE", rationale=replace(pick.rationale, matched=matched, total=total))


def interrupts(core: PoolState, line: Line, interaction: Interaction, among: list[Agent] | None) -> bool:
    """Whether an agent could take it by parking something for it."""
    return _least_parked(core, line, passed_over(core, interaction), among) is not None


def find(core: PoolState, line: Line, interaction: Interaction, among: list[Agent] | None) -> Pick:
    """Find the best agent for an interaction that waits in a line.

    `among` lists the freed agents, when no other agent could have taken it before.
    """
    if line.reserved_for:
        return _find_reserved(core, line, interaction)
    requirement_set, channel, choice = line.requirement_set, line.channel, line.queue.choice
    free = core.roster.having_room(requirement_set, _FEW + 1) if among is None else []
    if among is None and not free and not core.roster.interruptible(requirement_set):
        return NO_PICK
    passed = passed_over(core, interaction)
    if among is not None:
        able = [a for a in among if a.bucket is not None and requirement_set in a.group.requirement_sets]
        fits = [a for a in able if a.group.capacity.fits(a.load, channel) and a.id not in passed]
        eligible = len(fits)
        if line.queue.prefer_rings:
            fits = of_first_ring(line.queue, interaction, core.now, fits)
        keys = [_key(core, requirement_set, choice, a) for a in fits]
    elif line.queue.prefer_rings:
        keys, eligible = _of_first_ring(core, line, interaction, passed)
    else:
        keys, eligible = _candidates(core, line, free, passed)
    if keys and (not line.queue.keep_free or _more_than(core, line, passed, line.queue.keep_free)):
        return _picked(core, choice, [min(keys)] if core.quiet else nsmallest(_SHOWN, keys), eligible)
    if keys:
        return _kept_free(passed)
    interruptible = _least_parked(core, line, passed, among)
    if interruptible is not None:
        if line.queue.keep_free and not _more_than(core, line, passed, line.queue.keep_free):
            return _kept_free(passed)
        return _interrupting(core, *interruptible)
    return _PASSED_OVER if any(_could(core, requirement_set, channel, agent_id) for agent_id in passed) else NO_PICK


def _kept_free(passed: frozenset[str]) -> Pick:
    """Return the pick when all agents who could take it are kept free.

    An agent who was passed over for this interaction may be able to take the next one in the line.
    """
    return _PASSED_OVER if passed else NO_PICK


def consider(core: PoolState, line: Line, interaction: Interaction, agent: Agent) -> Pick:
    """Do what `find` does when only this agent, whose group meets the line's requirements, could take it."""
    if passes_over(core, interaction, agent):
        return _PASSED_OVER if _could(core, line.requirement_set, line.channel, agent.profile.agent_id) else NO_PICK
    if agent.group.capacity.fits(agent.load, line.channel):
        key = _key(core, line.requirement_set, line.queue.choice, agent)
        return _picked(core, line.queue.choice, [key], 1)
    parked = plan(core, agent, line.channel)
    return NO_PICK if parked is None else _interrupting(core, agent, parked)


def _interrupting(core: PoolState, agent: Agent, parked: list[Interaction]) -> Pick:
    rationale = fx.OfferRationale(
        core.now, 1, len(core.agents), ((agent.profile.agent_id, (("parked", float(len(parked))),)),)
    )
    return Pick(agent, rationale, "INTERRUPTS", tuple(parked))


def _could(core: PoolState, requirement_set: RequirementSet, channel: str, agent_id: str) -> bool:
    """Whether an agent who was passed over could take other interactions of the line."""
    agent = core.agents[agent_id]
    if agent.bucket is None or requirement_set not in agent.group.requirement_sets:
        return False
    return agent.group.capacity.fits(agent.load, channel) or plan(core, agent, channel) is not None


def _find_reserved(core: PoolState, line: Line, interaction: Interaction) -> Pick:
    agent = core.agents.get(line.reserved_for)
    if agent is None or agent.bucket is None or passes_over(core, interaction, agent):
        return _PASSED_OVER if agent is not None and agent.bucket is not None else NO_PICK
    parked: list[Interaction] = []
    if not agent.group.capacity.fits(agent.load, line.channel):
        found = plan(core, agent, line.channel)
        if found is None:
            return NO_PICK
        parked = found
    idle = float(core.now - agent.ranked_since)
    rationale = fx.OfferRationale(core.now, 1, 1, ((agent.profile.agent_id, (("idle_ms", idle),)),))
    preferred = "PREFERRED_AGENT" if interaction.attributes.preferred_agent == agent.profile.agent_id else "LAST_AGENT"
    return Pick(agent, rationale, "TRANSFERRED_TO_AGENT" if line.forced else preferred, tuple(parked))


# Agents with room


def _candidates(core: PoolState, line: Line, free: list[AgentGroup], passed: frozenset[str]) -> tuple[list[Key], int]:
    """Return the best few agents by the queue's choice, and how many could take it: exact when few agent groups have room, else a lower bound."""
    requirement_set, channel, choice = line.requirement_set, line.channel, line.queue.choice
    if len(free) <= _FEW:
        ready = sum(len(bucket.members) for _, bucket in fitting(free, channel)) if choice is Choice.ROUND_ROBIN else 0
        if ready <= _FEW:
            return _from_buckets(core, line, free, passed, _SHOWN if len(free) <= _SHOWN and not core.quiet else 1)
    if choice is Choice.SKILL_SCORE:
        return _by_score(core, line, passed, 1)
    order, most = core.roster.by_idle(), _SHOWN_OF_MANY
    if choice is Choice.LOAD_RATIO:
        order = core.roster.by_load()
    elif choice is Choice.ROUND_ROBIN:
        order = core.roster.by_turn()
    elif choice is Choice.ADAPTIVE:
        most = _FEW
    found = first_fitting(order, requirement_set, channel, passed, most)
    return [_key(core, requirement_set, choice, agent) for agent in found], max(len(found), len(free) if found else 0)


def _of_first_ring(
    core: PoolState, line: Line, interaction: Interaction, passed: frozenset[str]
) -> tuple[list[Key], int]:
    """Return the best few agents of the earliest ring that has any with room, and how many agents of all rings could take it."""
    free = core.roster.having_room(line.requirement_set, len(line.requirement_set.groups))
    keys: list[Key] = []
    eligible = 0
    for groups in by_ring(line.queue, interaction, core.now, free):
        found, count = _from_buckets(core, line, groups, passed, _SHOWN)
        keys, eligible = keys or found, eligible + count
    return keys, eligible


def _from_buckets(
    core: PoolState, line: Line, groups: Collection[AgentGroup], passed: frozenset[str], shown: int
) -> tuple[list[Key], int]:
    """Return the first `shown` agents of each load bucket, and how many agents there are in all."""
    requirement_set, channel, choice, agents = line.requirement_set, line.channel, line.queue.choice, core.agents
    measured = choice not in (Choice.LONGEST_IDLE, Choice.UNSPECIFIED)
    keys: list[Key] = []
    eligible = 0
    for group in groups:
        capacity = group.capacity
        for bucket in group.buckets.values():
            if not capacity.fits(bucket.load, channel):
                continue
            members = bucket.members
            if passed:
                members = [idle_rank for idle_rank in members if idle_rank[1] not in passed]
            eligible += len(members)
            if choice is Choice.ROUND_ROBIN:
                keys += [_key(core, requirement_set, choice, agents[agent_id]) for _, agent_id in members]
                continue
            measure = _measure(core, requirement_set, choice, group, bucket) if measured else 0.0
            busy = bucket.busy and choice is not Choice.LOAD_RATIO
            keys += [(measure, busy, since, agent_id) for since, agent_id in members[:shown]]
    return keys, eligible


def _by_score(core: PoolState, line: Line, passed: frozenset[str], most: int) -> tuple[list[Key], int]:
    """Return agents of groups in falling score, until there are `most`, and a lower bound of how many could take it."""
    requirement_set, channel = line.requirement_set, line.channel
    found = list[Key]()
    for _, equal in requirement_set.by_score():
        if len(equal) <= _FEW:
            able = [group for group in equal if group.free]
            found += _from_buckets(core, line, able, passed, max(most, _SHOWN if len(able) <= _SHOWN else 1))[0]
        else:
            walked = first_fitting(
                core.roster.by_idle(), requirement_set, channel, passed, max(most, _SHOWN_OF_MANY), equal
            )
            found += [_key(core, requirement_set, Choice.SKILL_SCORE, agent) for agent in walked]
        if len(found) >= most:
            break
    return found, max(len(found), _FEW) if found else 0


def _measure(
    core: PoolState, requirement_set: RequirementSet, choice: Choice, group: AgentGroup, bucket: LoadBucket
) -> float:
    match choice:
        case Choice.LOAD_RATIO:
            return bucket.ratio
        case Choice.SKILL_SCORE:
            return -requirement_set.score_of(group)
        case Choice.ADAPTIVE:
            return _demand(core, requirement_set, group)
        case _:
            return 0.0


def _key(core: PoolState, requirement_set: RequirementSet, choice: Choice, agent: Agent) -> Key:
    if choice is Choice.ROUND_ROBIN:
        return (float(agent.turn), False, 0, agent.profile.agent_id)
    bucket = agent.bucket
    assert bucket is not None  # only an agent who may be offered something is compared
    busy = bucket.busy and choice is not Choice.LOAD_RATIO
    return (
        _measure(core, requirement_set, choice, agent.group, bucket),
        busy,
        agent.ranked_since,
        agent.profile.agent_id,
    )


def _demand(core: PoolState, requirement_set: RequirementSet, group: AgentGroup) -> float:
    """Return the recent demand on the other queues of an agent."""
    assert core.config is not None
    if group.able is None:
        queues = [queue for queue in core.config.queues if group.serves(queue.name, queue.requirements)]
        group.able = tuple(queue.name for queue in queues)
    known = core.histories
    return sum(
        known[name].demand(core.now) for name in group.able if name != requirement_set.queue.name and name in known
    )


def _picked(core: PoolState, choice: Choice, ranked: list[Key], eligible: int) -> Pick:
    agent = core.agents[ranked[0][3]]
    name = _MEASURES.get(choice, "")
    candidates = []
    for measure, _, _, agent_id in () if core.quiet else ranked:
        idle = ("idle_ms", float(core.now - core.agents[agent_id].ranked_since))
        candidates.append((agent_id, ((name, abs(measure)), idle) if name else (idle,)))
    return Pick(agent, fx.OfferRationale(core.now, eligible, len(core.agents), tuple(candidates)), REASONS[choice])


# Agents who would have to park something


def _interruptible_ranks(
    core: PoolState, line: Line, passed: frozenset[str], among: list[Agent] | None
) -> Iterator[tuple[AgentGroup, Iterable[IdleRank]]]:
    requirement_set = line.requirement_set
    if among is not None:
        for agent in among:
            if (
                agent.bucket is not None
                and requirement_set in agent.group.requirement_sets
                and agent.profile.agent_id not in passed
            ):
                yield agent.group, (agent.idle_rank,)
        return
    for group in core.roster.interruptible(requirement_set):
        if group.capacity.interrupts(line.channel):
            for bucket in group.buckets.values():
                if bucket.interruptible:
                    yield group, (idle_rank for idle_rank in bucket.members if idle_rank[1] not in passed)


def _least_parked(
    core: PoolState, line: Line, passed: frozenset[str], among: list[Agent] | None
) -> tuple[Agent, list[Interaction]] | None:
    """Return the agent who would park least, and among equals is idle longest, with what they would park."""
    best: tuple[int, int, str] | None = None
    for _, idle_ranks in _interruptible_ranks(core, line, passed, among):
        for since, agent_id in idle_ranks:
            parked = plan(core, core.agents[agent_id], line.channel)
            if parked is not None:
                key = (len(parked), since, agent_id)
                best = key if best is None else min(best, key)
                if len(parked) == 1:
                    break  # members of a bucket are ordered by idle time: no later one is better
    if best is None:
        return None
    agent = core.agents[best[2]]
    return agent, plan(core, agent, line.channel) or []


# Agents kept free for more urgent queues


def _more_than(core: PoolState, line: Line, passed: frozenset[str], count: int) -> bool:
    """Whether more than `count` agents could take it."""
    requirement_set, channel, found = line.requirement_set, line.channel, 0
    free = core.roster.having_room(requirement_set, len(requirement_set.groups))
    for group in dict.fromkeys((*free, *core.roster.interruptible(requirement_set))):
        for bucket in group.buckets.values():
            if group.capacity.fits(bucket.load, channel):
                found += sum(1 for _, agent_id in bucket.members if agent_id not in passed)
            elif bucket.interruptible:
                found += sum(
                    1
                    for _, agent_id in bucket.members
                    if agent_id not in passed and plan(core, core.agents[agent_id], channel) is not None
                )
            if found > count:
                return True
    return False
