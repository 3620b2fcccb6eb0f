"""Put a configuration into force, and derive everything from it, in the same way as after a restore."""

from dataclasses import replace

from services.policy.model.routing import Choice, PoolConfig
from services.policy.model.validity import is_valid
from services.router.domain import commands as cmd
from services.router.domain.assignment import awaiting, waiting
from services.router.domain.assignment.parking import resume
from services.router.domain.handlers.resettling import resettle
from services.router.domain.handlers.sessions import remove
from services.router.domain.model import Stage
from services.router.domain.pool.capacity import EMPTY, plus
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent
from services.router.domain.reasons import Reason


def activate(core: PoolState, command: cmd.ActivateConfiguration) -> str:
    """Put another configuration into force. Agents that it names are added or changed. Agents whom an earlier one named and
    this one does not are removed; agents who were added by `UpsertAgent` alone stay."""
    # Agents are entities of their own: inside the configuration they would outgrow a record of the changelog.
    config, team = replace(command.config, agents=()), command.config.agents
    if not is_valid(command.config):
        return Reason.INVALID_CONFIGURATION
    before = core.config
    if before is not None and config.version < before.version:
        return Reason.STALE_CONFIGURATION
    named = {profile.agent_id for profile in team}
    gone = sorted(agent.id for agent in core.agents.values() if agent.configured and agent.id not in named)
    changed = [
        p for p in team if (known := core.agents.get(p.agent_id)) is None or known.profile != p or not known.configured
    ]
    if config == before and not changed and not gone:
        return ""
    for agent_id in gone:
        remove(core, core.agents[agent_id])
    core.adopt(config)
    core.dirty["c", ""] = None
    for profile in changed:
        agent = core.agents.setdefault(profile.agent_id, Agent(profile))
        agent.profile, agent.configured = profile, True
        core.dirty["a", profile.agent_id] = None
    _reorder(core, before)
    rebuild(core)
    for agent_id in sorted(core.agents):
        agent = core.agents[agent_id]
        if agent.parked:
            resume(core, agent)
            core.update_rank(agent, freed=True)
    resettle(core)
    return ""


def _reorder(core: PoolState, before: PoolConfig | None) -> None:
    """Give new keys to interactions that wait in a queue whose order has changed."""
    assert core.config is not None
    for interaction in core.interactions.values():
        queue = core.config.by_name.get(interaction.attributes.queue)
        old = before.by_name.get(interaction.attributes.queue) if before is not None else None
        if queue is not None and (
            old is None or (old.order, old.pick_up_targets) != (queue.order, queue.pick_up_targets)
        ):
            interaction.key = core.key_of(interaction, queue)
            core.dirty["i", interaction.id] = None


def rebuild(core: PoolState) -> None:
    """Derive everything that is derived from configuration, interactions, agents and sessions."""
    config = core.config
    core.lines.clear()
    core.roster.clear(rotates=config is not None and any(q.choice is Choice.ROUND_ROBIN for q in config.queues))
    core.stirred.clear()
    core.excluding.clear()
    core.teams.clear()
    core.turns = max((agent.turn for agent in core.agents.values()), default=0)
    for agent in core.agents.values():
        agent.bucket, agent.load, agent.rest_at = None, EMPTY, 0
        agent.offers, agent.held, agent.parked = {}, {}, {}
    kept = [core.interactions[interaction_id] for interaction_id in sorted(core.interactions)]
    for interaction in kept:
        interaction.line, interaction.light, interaction.silence_at = None, False, 0
        channel = interaction.attributes.channel
        for agent_id in interaction.offers:
            agent = core.agents[agent_id]
            agent.offers[interaction.id] = None
            agent.load = plus(agent.load, channel, 1)
        if interaction.agent_id:
            agent = core.agents[interaction.agent_id]
            agent.held[interaction.id] = None
            if interaction.parked:
                agent.parked[interaction.id] = None
            else:
                agent.load = plus(agent.load, channel, 1)
    if config is not None:
        for agent_id in sorted(core.agents):
            core.assign_group(core.agents[agent_id])
            core.weigh_held(core.agents[agent_id])
            core.update_rank(core.agents[agent_id], freed=True)
        core.watch_minutes()
    for interaction in kept:
        if interaction.stage in (Stage.WAITING, Stage.OFFERED):
            waiting.place(core, interaction)
        elif interaction.stage is Stage.SCHEDULED:
            waiting.watch_schedule(core, interaction)
        else:
            awaiting.watch(core, interaction)
