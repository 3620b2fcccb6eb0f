"""Interactions that an urgent channel may interrupt.

The engine parks them with their agent, outside the agent's load, and resumes them before the agent is offered anything new.
"""

from services.router.domain import effects as fx
from services.router.domain.model import AgentState, Stage
from services.router.domain.pool.capacity import plus
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent, Interaction


def plan(core: PoolState, agent: Agent, channel: str) -> list[Interaction] | None:
    """Return what an agent would have to park for one interaction of a channel, newest first, those whose customers are awaited and which
    take less for it last; None when parking makes no room."""
    capacity = agent.group.capacity
    may = capacity.interrupts(channel)
    if not may:
        return None
    held = [core.interactions[i] for i in agent.held]
    interruptible = [
        each for each in held if each.stage is Stage.ASSIGNED and not each.parked and each.attributes.channel in may
    ]
    load, chosen = agent.load, []
    for interaction in sorted(
        interruptible, key=lambda each: (not each.light, each.assigned_at, each.id), reverse=True
    ):
        load = plus(load, interaction.attributes.channel, -1, -1 if interaction.light else 0)
        chosen.append(interaction)
        if capacity.fits(load, channel):
            return chosen
    return None


def park(core: PoolState, interaction: Interaction, by: Interaction) -> None:
    """Park an interaction; its agent still holds it."""
    agent = core.agents[interaction.agent_id]
    interaction.parked = True
    agent.parked[interaction.id] = None
    core.charge(agent, interaction.attributes.channel, -1, light=interaction.light)
    interaction.light = False
    epoch = core.event_number(interaction, "INTERRUPTED")
    core.effects.append(fx.Parked(interaction.attributes, epoch, "INTERRUPTED", agent.id, by.id))
    core.notify(agent, assignment_notice(interaction))


def resume(core: PoolState, agent: Agent) -> None:
    """Resume the agent's parked interactions that fit again, oldest first. An agent who is leaving resumes nothing."""
    if not agent.parked or agent.state is AgentState.OFFLINE:
        return
    for interaction in sorted(
        (core.interactions[i] for i in agent.parked), key=lambda each: (each.assigned_at, each.id)
    ):
        light = core.is_light(agent, interaction)
        if agent.group.capacity.refusal(agent.load, interaction.attributes.channel, light=light):
            continue
        interaction.parked, interaction.light = False, light
        del agent.parked[interaction.id]
        core.charge(agent, interaction.attributes.channel, 1, light=light)
        epoch = core.event_number(interaction, "RESUMED")
        core.effects.append(fx.Resumed(interaction.attributes, epoch, "RESUMED", agent.id))
        core.notify(agent, assignment_notice(interaction))


def weigh(core: PoolState, interaction: Interaction) -> None:
    """Put what a held interaction takes now into its holder's ledger. What that frees is for the agent's parked interactions first."""
    agent = core.agents[interaction.agent_id]
    if core.weigh(agent, interaction) or interaction.parked:
        resume(core, agent)
        core.update_rank(agent, freed=True)


def assignment_notice(interaction: Interaction) -> fx.AssignmentNotice:
    """Return the notice of an assignment as the agent's desk sees it."""
    return fx.AssignmentNotice(
        interaction.attributes,
        interaction.assigned_at,
        interaction.stage is Stage.WRAP_UP,
        interaction.wrap_until,
        parked=interaction.parked,
        customer_awaited=interaction.stage is Stage.ASSIGNED and interaction.customer_awaited,
    )
