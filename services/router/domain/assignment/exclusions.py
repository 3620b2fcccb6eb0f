"""Exclusions: agents who are not asked about an interaction, why, and until when.

An agent is excluded when they declined the interaction or did not answer its offer, when it was taken away from them, and when they transferred
it. Every exclusion ends: at a time, or with an event. Most fall back before that: they do not count while no other agent could take the
interaction (decision 0105), so a free agent who could take it is asked in the end. Choosing an agent,
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


def _comes_back(core: PoolState, interaction: Interaction, agent: Agent) -> bool:
    """Whether the agent is not excluded, or only until a time that they named."""
    found = interaction.exclusions.get(agent.profile.agent_id, ())
    return all(exclusion.ends > 0 or _over(core, exclusion, agent) for exclusion in found)


def passes_over(core: PoolState, interaction: Interaction, agent: Agent) -> bool:
    """Whether the agent is not asked about the interaction: an exclusion counts, or they hold it or have its offer."""
    agent_id = agent.profile.agent_id
    return (
        agent_id == interaction.agent_id
        or agent_id in interaction.offers
        or bool(interaction.exclusions and counting(core, interaction, agent))
    )


def counting(core: PoolState, interaction: Interaction, agent: Agent) -> list[Exclusion]:
    """Return the exclusions of the agent that count now: they have not ended, and have not fallen back."""
    found = interaction.exclusions.get(agent.profile.agent_id)
    if found is None:
        return []
    queue = core.queue_of(interaction)
    return [e for e in found if not _over(core, e, agent) and (queue is None or _counts(core, queue, interaction, e))]


def _counts(core: PoolState, queue: QueueConfig, interaction: Interaction, exclusion: Exclusion) -> bool:
    """Whether an exclusion that has not ended counts, because another agent could take the interaction."""
    if not _may_fall_back(exclusion):
        return True
    if exclusion.since + queue.ask_again_ms <= core.now:
        return another_could(core, interaction, at_desk=True)
    return exclusion.reason not in _UNTIL_HELD or another_could(core, interaction, at_desk=False)


def _may_fall_back(exclusion: Exclusion) -> bool:
    """Whether an exclusion stops counting while no other agent could take the interaction."""
    return exclusion.reason in _UNTIL_HELD or (exclusion.reason is ExclusionReason.DECLINED and exclusion.ends <= 0)


def another_could(core: PoolState, interaction: Interaction, *, at_desk: bool) -> bool:
    """Whether another agent, busy or not, could take the interaction: with `at_desk`, one who is available and connected, and not excluded;
    otherwise one who is signed in, and may have declined it until a time that they named.

    They do not hold the interaction, and could take its channel with nothing else in hand.
    """
    channel = interaction.attributes.channel
    most = len(interaction.exclusions) + 1
    for group in _able(core, interaction):
        others = group.present if at_desk else group.signed_in
        if not others or not group.capacity.fits(EMPTY, channel):
            continue
        if len(others) > most:
            return True
        for agent_id in others:
            agent = core.agents[agent_id]
            able = not is_excluded(core, interaction, agent) if at_desk else _comes_back(core, interaction, agent)
            if able and agent_id != interaction.agent_id:
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
    return [
        g for g in core.roster.serving(queue.name, others) if g.signed_in and g.serves(queue.name, required, others)
    ]


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
    """Return the times at which an exclusion ends, or may fall back."""
    found = [e for all_of_them in interaction.exclusions.values() for e in all_of_them]
    times = [e.ends for e in found] + [e.since + queue.ask_again_ms for e in found if _may_fall_back(e)]
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
