"""Why an interaction is where it is: who was looked at, who was left out and by what, who is best, and what little would change it.

For work that is offered or assigned, the candidates and counts are those of the decision; who is left out is told as of now.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from services.router.domain.eligibility import active, describe, meets
from services.router.domain.engine import Engine
from services.router.domain.model import AgentState, Facts, QueueConfig, Selector, Stage
from services.router.domain.pool import Core
from services.router.domain.state import Agent, Work

_EXAMPLES: Final = 3
_STATES = {Stage.WAITING: "waiting", Stage.OFFERED: "offered", Stage.ASSIGNED: "assigned", Stage.WRAP_UP: "wrap-up"}


@dataclass(slots=True)
class Excluded:
    """Agents left out by one cause."""

    reason: str
    detail: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer."""

    facts: Facts
    state: str
    agent_id: str
    reason: str
    summary: str
    considered: int
    excluded: tuple[Excluded, ...]
    candidates: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]
    smallest_change: str
    position: int
    decided_at_ms: int


def explain(engine: Engine, interaction_id: str) -> Explanation | None:
    """Why, or None for what is not open in this pool."""
    core = engine.core
    work = core.works.get(interaction_id)
    if work is None:
        return None
    holder = work.offer.agent_id if work.offer is not None else work.agent_id
    queue = core.queue_of(work)
    excluded, changes = _left_out(core, work, queue, holder) if queue is not None else ([], [])
    position = 0
    if work.stage is Stage.WAITING and work.line is not None:
        position = 1 + core.lines.ahead(work.facts.queue, work.rank)
    waits = work.stage is Stage.WAITING
    return Explanation(
        work.facts,
        _STATES[work.stage],
        holder,
        work.reason,
        _summary(core, work, holder, excluded),
        len(core.agents) if waits else work.decision.considered,
        tuple(excluded),
        () if waits else work.decision.candidates,
        _smallest_change(core, changes) if waits else "",
        position,
        work.decided_at,
    )


def _left_out(
    core: Core, work: Work, queue: QueueConfig, holder: str
) -> tuple[list[Excluded], list[tuple[int, str, str]]]:
    needed = active(queue.requirements + work.facts.requirements, core.now - work.enqueued_at)
    if work.reserved_for and not work.reserved_until:
        needed = ()
    causes: dict[tuple[str, str], Excluded] = {}
    changes: list[tuple[int, str, str]] = []
    for agent_id in sorted(core.agents):
        if agent_id == holder:
            continue
        agent = core.agents[agent_id]
        found = list(_causes(core, agent, work, queue, needed))
        if not found:
            continue
        reason, detail = found[0]
        cause = causes.setdefault((reason, detail), Excluded(reason, detail))
        cause.count += 1
        if len(cause.examples) < _EXAMPLES:
            cause.examples.append(agent_id)
        changes.append((len(found), reason, agent_id))
    return sorted(causes.values(), key=lambda c: (-c.count, c.reason, c.detail)), changes


def _causes(
    core: Core, agent: Agent, work: Work, queue: QueueConfig, needed: tuple[Selector, ...]
) -> Iterator[tuple[str, str]]:
    """Everything that keeps this agent from this work, what is hardest to change first."""
    forced = bool(work.reserved_for) and not work.reserved_until
    if not forced and agent.kind.queues and queue.name not in agent.kind.queues:
        yield "QUEUE_NOT_SERVED", queue.name
    for selector in needed:
        if not meets(selector, agent.skills):
            has = any(n == selector.attribute or n.startswith(f"{selector.attribute}=") for n in agent.skills)
            yield ("SKILL_TOO_LOW" if has else "SKILL_MISSING"), describe(selector)
    refusal = agent.kind.capacity.refusal(agent.load, work.facts.channel)
    if refusal:
        yield refusal, work.facts.channel
    if work.reserved_for and work.reserved_for != agent.id:
        yield "KEPT_FOR_ANOTHER_AGENT", work.reserved_for
    if core.declines(work, agent):
        yield "DECLINED", "until a time that he named" if work.declined[agent.id] > 0 else "until he signs in anew"
    session = core.sessions.get(agent.session_id)
    if session is None:
        yield "OFFLINE", ""
    elif agent.state is not AgentState.AVAILABLE:
        yield agent.state.name, ""
    elif not session.attached:
        yield "CONNECTION_LOST", ""
    elif session.credits and len(agent.offers) >= session.credits:
        yield "NO_CREDITS", f"{session.credits}"


_CHANGES: Final = {
    "OFFLINE": "{agent} signs in",
    "AWAY": "{agent} becomes available",
    "NOT_RESPONDING": "{agent} becomes available",
    "CONNECTION_LOST": "{agent} reconnects",
    "NO_CREDITS": "{agent} answers an offer",
    "NO_CAPACITY": "{agent} finishes something",
    "CHANNEL_FULL": "{agent} finishes something on this channel",
    "EXCLUSIVE_CHANNEL": "{agent} finishes everything he holds",
    "DECLINED": "{agent} signs in anew",
    "KEPT_FOR_ANOTHER_AGENT": "the time for which it is kept for its last agent passes",
    "SKILL_MISSING": "{agent} gets the skill",
    "SKILL_TOO_LOW": "the requirement is lowered to what {agent} has",
    "QUEUE_NOT_SERVED": "{agent} is given this queue",
    "CHANNEL_NOT_SERVED": "{agent} is given this channel",
}
_EASE: Final = tuple(_CHANGES)


def _smallest_change(core: Core, changes: list[tuple[int, str, str]]) -> str:
    if core.config is None:
        return "a configuration is activated"
    if not changes:
        return "an agent is added to the pool"
    least = min(changes, key=lambda c: (c[0], _EASE.index(c[1]) if c[1] in _EASE else len(_EASE), c[2]))
    text = _CHANGES.get(least[1], "{agent} becomes eligible").format(agent=least[2])
    return text if least[0] == 1 else f"{text}, and {least[0] - 1} more"


def _summary(core: Core, work: Work, holder: str, excluded: list[Excluded]) -> str:
    match work.stage:
        case Stage.OFFERED:
            return f"Offered to {holder}: {work.decision.eligible} of {work.decision.considered} agents could take it."
        case Stage.ASSIGNED:
            return f"Held by {holder}, chosen from {work.decision.eligible} who could take it."
        case Stage.WRAP_UP:
            return f"Completed; {holder} is wrapping up."
    if core.config is None:
        return "Waits: no configuration has been activated in this pool."
    if not core.agents:
        return "Waits: the pool has no agents."
    if work.reserved_for:
        return f"Waits for {work.reserved_for}."
    causes = ", ".join(f"{c.count} {c.reason}{f' ({c.detail})' if c.detail else ''}" for c in excluded[:4])
    return f"Waits: none of {len(core.agents)} agents can take it now ({causes})."
