"""The reasons why an agent cannot take an interaction, in the order of `docs/routing-policies.md`.

This is the slow and complete check, for refusals and explanations.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from services.policy.model.eligibility import describe, meets, served_too
from services.policy.model.routing import QueueConfig
from services.router.domain.assignment import exclusions
from services.router.domain.assignment.parking import plan
from services.router.domain.assignment.requirements import requirements_now
from services.router.domain.assignment.waiting import due_at, matched_at
from services.router.domain.model import AgentState, ExclusionReason, Stage
from services.router.domain.pool import occupancy
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent, Interaction


@dataclass(frozen=True, slots=True)
class IneligibilityReason:
    """A reason code and its detail."""

    code: str
    detail: str = ""


def of_the_time(core: PoolState, interaction: Interaction, queue: QueueConfig) -> Iterator[IneligibilityReason]:
    """Yield the reasons that hold for every agent: it is too early."""
    if interaction.stage is Stage.SCHEDULED:
        yield IneligibilityReason("SCHEDULED", f"{(interaction.not_before - core.now) / 1000:.0f} s from now")
    elif (due := due_at(queue, interaction)) > core.now:
        gathered = matched_at(queue, interaction)
        if gathered > core.now:
            yield IneligibilityReason("MATCH_WINDOW", f"{(gathered - core.now) / 1000:g} s from now")
        if due > gathered:
            yield IneligibilityReason("DELAYED", f"{(due - core.now) / 1000:.0f} s from now")


def ineligibility(
    core: PoolState, agent: Agent, interaction: Interaction, queue: QueueConfig
) -> Iterator[IneligibilityReason]:
    """Yield every reason why this agent cannot take this interaction now."""
    yield from of_the_time(core, interaction, queue)
    others = served_too(queue.rings, core.now - interaction.enqueued_at)
    if not interaction.handed_on and not agent.group.serves_queue(queue.name, others):
        yield IneligibilityReason("QUEUE_NOT_SERVED", queue.name)
    for selector in requirements_now(queue, interaction, core.now):
        if not meets(selector, agent.skills):
            has = any(n == selector.attribute or n.startswith(f"{selector.attribute}=") for n in agent.skills)
            yield IneligibilityReason("SKILL_TOO_LOW" if has else "SKILL_MISSING", describe(selector))
    if interaction.reserved_for and interaction.reserved_for != agent.id and interaction.reserved_until > core.now:
        yield IneligibilityReason("KEPT_FOR_ANOTHER_AGENT", interaction.reserved_for)
    holds = agent.id == interaction.agent_id
    counting = [] if holds else exclusions.counting(core, interaction, agent)
    for exclusion in counting:
        yield IneligibilityReason(exclusion.reason.name, exclusions.describe(queue, exclusion, core.now))
    if agent.id in interaction.offers:
        yield IneligibilityReason("ALREADY_OFFERED")
    if holds:
        yield IneligibilityReason("TRANSFERRING_AGENT", "until another agent accepts the warm transfer")
    yield from _of_presence(core, agent, not_answered=any(e.reason is ExclusionReason.NOT_ANSWERED for e in counting))
    refusal = agent.group.capacity.refusal(agent.load, interaction.attributes.channel)
    if refusal and plan(core, agent, interaction.attributes.channel) is None:
        used, total = core.used_total(agent)
        over = "; holds more than the capacity" if refusal == "NO_CAPACITY" and used > total else ""
        yield IneligibilityReason(refusal, f"{interaction.attributes.channel}{over}")


def _of_presence(core: PoolState, agent: Agent, *, not_answered: bool) -> Iterator[IneligibilityReason]:
    session = core.sessions.get(agent.session_id)
    if session is None:
        yield IneligibilityReason("OFFLINE")
    elif not_answered:
        pass  # the exclusion says the same, and ends with this state
    elif agent.state is not AgentState.AVAILABLE:
        yield IneligibilityReason(agent.state.name, agent.state_reason)
    elif not session.attached:
        yield IneligibilityReason("CONNECTION_LOST")
    elif session.credits and len(agent.offers) >= session.credits:
        yield IneligibilityReason("NO_CREDITS", f"{session.credits}")
    if occupancy.rests(agent, agent.group.capacity.profile, core.now):
        yield IneligibilityReason("RESTING")
    if agent.parked:
        yield IneligibilityReason("HAS_PARKED_INTERACTION")


def only_of_the_desk(code: str) -> bool:
    """Whether a reason only limits what may be offered unasked; it does not stop the agent from picking the interaction or being given it."""
    return code in ("NO_CREDITS", "DECLINED", "ALREADY_OFFERED")
