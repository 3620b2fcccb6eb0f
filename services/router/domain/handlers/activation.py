"""Put a configuration into force, and derive everything from it, in the same way as after a restore."""

from dataclasses import replace
from math import isfinite

from services.router.domain import commands as cmd
from services.router.domain.assignment import waiting
from services.router.domain.assignment.parking import resume
from services.router.domain.handlers.transfers import resettle
from services.router.domain.model import Choice, PoolConfig, QueueConfig, Selector, Stage
from services.router.domain.pool.capacity import EMPTY, plus
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent


def activate(core: PoolState, command: cmd.ActivateConfiguration) -> str:
    """Put another configuration into force. Agents that it names are added or changed; others stay."""
    # Agents are entities of their own: inside the configuration they would outgrow a record of the changelog.
    config, team = replace(command.config, agents=()), command.config.agents
    if not is_valid(command.config):
        return "INVALID_CONFIGURATION"
    before = core.config
    if before is not None and config.version < before.version:
        return "STALE_CONFIGURATION"
    changed = [p for p in team if (known := core.agents.get(p.agent_id)) is None or known.profile != p]
    if config == before and not changed:
        return ""
    core.adopt(config)
    core.dirty["c", ""] = None
    for profile in changed:
        core.agents.setdefault(profile.agent_id, Agent(profile)).profile = profile
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
        queue = core.config.by_name.get(interaction.facts.queue)
        old = before.by_name.get(interaction.facts.queue) if before is not None else None
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
    core.teams.clear()
    core.turns = max((agent.turn for agent in core.agents.values()), default=0)
    for agent in core.agents.values():
        agent.bucket, agent.group = None, None
        agent.load, agent.rest_at = EMPTY, 0
        agent.offers, agent.held, agent.parked = {}, {}, {}
    kept = [core.interactions[interaction_id] for interaction_id in sorted(core.interactions)]
    for interaction in kept:
        interaction.line = None
        channel = interaction.facts.channel
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
            core.update_rank(core.agents[agent_id], freed=True)
        for queue in config.queues:
            core.watch_level(queue)
    for interaction in kept:
        if interaction.stage in (Stage.WAITING, Stage.OFFERED):
            waiting.place(core, interaction)
        elif interaction.stage is Stage.SCHEDULED:
            waiting.watch_schedule(core, interaction)


def is_valid(config: PoolConfig) -> bool:
    """Whether the engine can decide by a configuration: its numbers are numbers, and within bounds."""
    if config.lease_ms <= 0 or config.grace_ms < 0 or len(config.by_name) != len(config.queues):
        return False
    for profile in config.profiles:
        weights = [profile.total, profile.default_weight, *(c.weight for c in profile.channels)]
        weights += [c.maximum for c in profile.channels]
        if min(weights) < 0 or not 0 <= profile.occupancy_limit < 1 or profile.occupancy_window_ms < 0:
            return False
    for agent in config.agents:
        if not agent.agent_id or not all(isfinite(value) for _, value in agent.skills):
            return False
    return all(_is_valid_queue(queue) for queue in config.queues)


def _is_valid_queue(queue: QueueConfig) -> bool:
    times = (
        queue.offer_ms,
        queue.wrap_up_ms,
        queue.sticky_ms,
        queue.sticky_team_ms,
        queue.service_level_ms,
        queue.delay_ms,
        queue.transfer_hold_ms,
        queue.match_window_ms,
        queue.keep_free,
        queue.max_offers,
        *(ring.after_ms for ring in queue.rings),
        *(target.target_ms for target in queue.pick_up_targets),
    )
    numbers = (queue.ageing_per_minute, queue.service_level_goal, *(rule.threshold for rule in queue.overflow))
    selectors = [*queue.requirements, *(s for rule in queue.overflow for s in rule.requirements)]
    return (
        bool(queue.name)
        and queue.offer_ms > 0
        and all(0 <= ms <= _LONGEST_MS for ms in times)
        and all(isfinite(number) and 0 <= number <= _LONGEST_MS for number in numbers)
        and all(isfinite(number) for ring in queue.rings for _, number in ring.lower)
        and all(_is_valid_selector(s) for s in selectors)
    )


_LONGEST_MS = 366 * 86_400_000


def _is_valid_selector(s: Selector) -> bool:
    return (
        isfinite(s.number)
        and s.expires_after_ms >= 0
        and all(after_ms >= 0 and isfinite(number) for after_ms, number in s.steps)
        and all(_is_valid_selector(member) for member in (*s.any_of, *s.all_of))
    )
