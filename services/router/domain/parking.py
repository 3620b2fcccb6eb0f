"""Interactions that an urgent channel may interrupt.

The engine parks them with their agent, outside the agent's load, and resumes them before the agent is offered anything new.
"""

from services.router.domain import effects as fx
from services.router.domain.capacity import plus
from services.router.domain.model import AgentState, Stage
from services.router.domain.pool import Core
from services.router.domain.state import Agent, Work


def plan(core: Core, agent: Agent, channel: str) -> list[Work] | None:
    """Return what an agent would have to park for one interaction of a channel, newest first; None when parking makes no room."""
    capacity = agent.kind.capacity
    may = capacity.interrupts(channel)
    if not may:
        return None
    held = [core.works[i] for i in agent.held]
    soft = [w for w in held if w.stage is Stage.ASSIGNED and not w.parked and w.facts.channel in may]
    load, chosen = agent.load, []
    for work in sorted(soft, key=lambda w: (w.assigned_at, w.id), reverse=True):
        load = plus(load, work.facts.channel, -1)
        chosen.append(work)
        if capacity.fits(load, channel):
            return chosen
    return None


def park(core: Core, work: Work, by: Work) -> None:
    """Park an interaction; its agent still holds it."""
    agent = core.agents[work.agent_id]
    work.parked = True
    agent.parked[work.id] = None
    core.charge(agent, work.facts.channel, -1)
    epoch = core.event_number(work, "INTERRUPTED")
    core.effects.append(fx.Parked(work.facts, epoch, "INTERRUPTED", agent.id, by.id))
    core.tell(agent, assignment_notice(work))


def resume(core: Core, agent: Agent) -> None:
    """Resume the agent's parked interactions that fit again, oldest first. An agent who is leaving resumes nothing."""
    if agent.state is AgentState.OFFLINE:
        return
    for work in sorted((core.works[i] for i in agent.parked), key=lambda w: (w.assigned_at, w.id)):
        if not agent.kind.capacity.fits(agent.load, work.facts.channel):
            continue
        work.parked = False
        del agent.parked[work.id]
        core.charge(agent, work.facts.channel, 1)
        epoch = core.event_number(work, "RESUMED")
        core.effects.append(fx.Resumed(work.facts, epoch, "RESUMED", agent.id))
        core.tell(agent, assignment_notice(work))


def assignment_notice(work: Work) -> fx.AssignmentNotice:
    """Return the notice of an assignment as the agent's desk sees it."""
    return fx.AssignmentNotice(
        work.facts, work.assigned_at, work.stage is Stage.WRAP_UP, work.wrap_until, parked=work.parked
    )
