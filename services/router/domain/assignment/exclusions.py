"""Exclusions: agents who are not asked about an interaction, why, and until when.

An agent is excluded when they declined the interaction or did not answer its offer, when it was taken away from them, and when they transferred
it. Every exclusion ends: at a time, or with an event. And most fall back before that: they do not count while no other agent who is at a desk
could take the interaction, so that no interaction waits in vain while an agent who could take it is free (decision 0105). Choosing an agent,
picks, assignments, reservations and explanations all ask this module.
"""

from collections.abc import Iterable

from services.policy.model.eligibility import served_too
from services.policy.model.routing import QueueConfig
from services.router.domain.assignment.requirements import requirements_now
from services.router.domain.model import AgentState, ExclusionReason
from services.router.domain.pool.capacity import EMPTY
from services.router.domain.pool.index import AgentGroup
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent, Exclusion, Interaction

_UNTIL_HELD = (ExclusionReason.TAKEN_AWAY, ExclusionReason.TRANSFERRING_AGENT)


def exclude(core: PoolState, interaction: Interaction, agent: Agent, reason: ExclusionReason, ends: int = 0) -> None:
    """Exclude an agent from now on. `ends` is a time, or minus the number of the agent's sign-in: it ends when they sign in again."""
    kept = [e for e in interaction.exclusions.get(agent.id, ()) if e.reason is not reason and not _over(core, e, agent)]
    interaction.exclusions[agent.id] = (*kept, Exclusion(reason, core.now, ends))
    core.dirty["i", interaction.id] = None


def readmit(core: PoolState, interaction: Interaction, agent_id: str) -> None:
    """End all exclusions of an agent: another agent chose them by name, or they took a transfer back."""
    if interaction.exclusions.pop(agent_id, None) is not None:
        core.dirty["i", interaction.id] = None


def end_by_holding(interaction: Interaction, holder: str) -> None:
    """End what ends when an agent holds the interaction: all exclusions of the holder, and those of agents who had it before."""
    found = interaction.exclusions
    found.pop(holder, None)
    for agent_id, all_of_them in list(found.items()):
        left = tuple([e for e in all_of_them if e.reason not in _UNTIL_HELD])
        if left:
            found[agent_id] = left
        else:
            del found[agent_id]


def _over(core: PoolState, exclusion: Exclusion, agent: Agent) -> bool:
    """Whether an exclusion has come to its end."""
    if exclusion.reason is ExclusionReason.NOT_ANSWERED:
        return agent.state is not AgentState.NOT_RESPONDING or agent.state_since != exclusion.since
    if exclusion.ends > 0:
        return exclusion.ends <= core.now
    return exclusion.ends < 0 and -exclusion.ends != agent.sign_in


def is_excluded(core: PoolState, interaction: Interaction, agent: Agent) -> bool:
    """Whether any exclusion of the agent has not ended, whether or not another agent could take the interaction."""
    found = interaction.exclusions.get(agent.profile.agent_id)
    if found is None:
        return False
    return any(not _over(core, exclusion, agent) for exclusion in found)


def passes_over(core: PoolState, interaction: Interaction, agent: Agent) -> bool:
    """Whether the agent is not asked about the interaction: an exclusion counts, or they hold it or have its offer."""
    agent_id = agent.profile.agent_id
    return (
        agent_id == interaction.agent_id
        or agent_id in interaction.offers
        or bool(interaction.exclusions and counting(core, interaction, agent))
    )


def counting(core: PoolState, interaction: Interaction, agent: Agent) -> list[Exclusion]:
    """Return the exclusions of the agent that have not ended, and count because another agent could take the interaction."""
    found = interaction.exclusions.get(agent.profile.agent_id)
    if found is None:
        return []
    left = [exclusion for exclusion in found if not _over(core, exclusion, agent)]
    lasting = [exclusion for exclusion in left if not _may_fall_back(core, interaction, exclusion)]
    return left if len(lasting) == len(left) or another_could(core, interaction) else lasting


def _may_fall_back(core: PoolState, interaction: Interaction, exclusion: Exclusion) -> bool:
    queue = core.queue_of(interaction)
    return queue is not None and 0 <= falls_back_at(queue, exclusion) <= core.now


def falls_back_at(queue: QueueConfig, exclusion: Exclusion) -> int:
    """Return from when an exclusion does not count while no other agent could take the interaction; -1: it always counts."""
    if exclusion.reason in _UNTIL_HELD:
        return exclusion.since
    if exclusion.reason is ExclusionReason.DECLINED and exclusion.ends <= 0:
        return exclusion.since + queue.ask_again_ms
    return -1


def another_could(core: PoolState, interaction: Interaction) -> bool:
    """Whether an agent who is at a desk, busy or not, and who is not excluded and does not hold the interaction, could take it."""
    channel = interaction.attributes.channel
    most = len(interaction.exclusions) + 1
    for group in _able(core, interaction):
        present = group.present
        if not present or not group.capacity.fits(EMPTY, channel):
            continue
        if len(present) > most:
            return True
        for agent_id in present:
            if agent_id != interaction.agent_id and not is_excluded(core, interaction, core.agents[agent_id]):
                return True
    return False


def _able(core: PoolState, interaction: Interaction) -> Iterable[AgentGroup]:
    """Return the agent groups that serve the interaction's queue and meet what is required now."""
    if interaction.line is not None:
        return interaction.line.requirement_set.groups
    queue = core.queue_of(interaction)
    if queue is None:
        return ()
    required = requirements_now(queue, interaction, core.now)
    others = () if interaction.handed_on else served_too(queue.rings, core.now - interaction.enqueued_at)
    return [g for g in core.roster.serving(queue.name, others) if g.present and g.serves(queue.name, required, others)]


def passed_over(core: PoolState, interaction: Interaction) -> frozenset[str]:
    """Return the agents who are not asked about an interaction."""
    if not (interaction.exclusions or interaction.offers or interaction.agent_id):
        return frozenset()
    named = (*interaction.exclusions, *interaction.offers, interaction.agent_id)
    known = (core.agents.get(agent_id) for agent_id in named)
    return frozenset(
        agent.profile.agent_id for agent in known if agent is not None and passes_over(core, interaction, agent)
    )


def wake_times(core: PoolState, queue: QueueConfig, interaction: Interaction) -> list[int]:
    """Return the times at which an exclusion ends, or from which it may fall back."""
    found = [e for all_of_them in interaction.exclusions.values() for e in all_of_them]
    times = [e.ends for e in found] + [falls_back_at(queue, e) for e in found]
    return [at for at in times if at > core.now]


def describe(queue: QueueConfig, exclusion: Exclusion, now: int) -> str:
    """Say until when an exclusion counts."""
    match exclusion.reason:
        case ExclusionReason.NOT_ANSWERED:
            return "until the agent becomes available again"
        case ExclusionReason.TAKEN_AWAY:
            return "until another agent has held it, or no other agent could take it"
        case ExclusionReason.TRANSFERRING_AGENT:
            return "until another agent has held it, the agent signs in again, or no other agent could take it"
    if exclusion.ends > 0:
        return f"until {_seconds(exclusion.ends - now)} s from now, as the agent asked"
    later = exclusion.since + queue.ask_again_ms - now
    since = f", from {_seconds(later)} s from now on," if later > 0 else ""
    return f"until the agent signs in again, or{since} no other agent could take it"


def _seconds(ms: int) -> str:
    return f"{-(-ms // 1000)}"
