"""The reasons why an agent cannot take an interaction, in the order of `docs/routing-policies.md`.

This is the slow and complete check, for refusals and explanations.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from services.router.domain import occupancy
from services.router.domain.eligibility import describe, meets, served_too
from services.router.domain.model import AgentState, QueueConfig, Stage
from services.router.domain.parking import plan
from services.router.domain.pool import Core
from services.router.domain.state import Agent, Work
from services.router.domain.waiting import due_at, matched_at, requirements_now


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason code and its detail."""

    code: str
    detail: str = ""


def of_the_time(core: Core, work: Work, queue: QueueConfig) -> Iterator[Cause]:
    """Yield the reasons that hold for every agent: it is too early."""
    if work.stage is Stage.SCHEDULED:
        yield Cause("SCHEDULED", f"{(work.not_before - core.now) / 1000:.0f} s from now")
    elif (due := due_at(queue, work)) > core.now:
        gathered = matched_at(queue, work)
        if gathered > core.now:
            yield Cause("MATCH_WINDOW", f"{(gathered - core.now) / 1000:g} s from now")
        if due > gathered:
            yield Cause("DELAYED", f"{(due - core.now) / 1000:.0f} s from now")


def causes(core: Core, agent: Agent, work: Work, queue: QueueConfig) -> Iterator[Cause]:
    """Yield every reason why this agent cannot take this interaction now."""
    yield from of_the_time(core, work, queue)
    others = served_too(queue.rings, core.now - work.enqueued_at)
    if not work.handed_on and not agent.kind.works_for(queue.name, others):
        yield Cause("QUEUE_NOT_SERVED", queue.name)
    for selector in requirements_now(queue, work, core.now):
        if not meets(selector, agent.skills):
            has = any(n == selector.attribute or n.startswith(f"{selector.attribute}=") for n in agent.skills)
            yield Cause("SKILL_TOO_LOW" if has else "SKILL_MISSING", describe(selector))
    if work.reserved_for and work.reserved_for != agent.id and work.reserved_until > core.now:
        yield Cause("KEPT_FOR_ANOTHER_AGENT", work.reserved_for)
    if core.declines(work, agent):
        yield Cause(
            "DECLINED",
            "until a time that the agent named" if work.declined[agent.id] > 0 else "until the agent signs in again",
        )
    if agent.id in work.offers:
        yield Cause("ALREADY_OFFERED")
    if core.gives(work, agent):
        yield Cause("GIVER")
    yield from _of_presence(core, agent)
    refusal = agent.kind.capacity.refusal(agent.load, work.facts.channel)
    if refusal and plan(core, agent, work.facts.channel) is None:
        yield Cause(refusal, work.facts.channel)


def _of_presence(core: Core, agent: Agent) -> Iterator[Cause]:
    session = core.sessions.get(agent.session_id)
    if session is None:
        yield Cause("OFFLINE")
    elif agent.state is not AgentState.AVAILABLE:
        yield Cause(agent.state.name, agent.state_reason)
    elif not session.attached:
        yield Cause("CONNECTION_LOST")
    elif session.credits and len(agent.offers) >= session.credits:
        yield Cause("NO_CREDITS", f"{session.credits}")
    if occupancy.rests(agent, agent.kind.capacity.profile, core.now):
        yield Cause("RESTING")
    if agent.parked:
        yield Cause("HAS_PARKED_WORK")


def only_of_the_desk(code: str) -> bool:
    """Whether a reason only limits what may be offered unasked; it does not stop the agent from picking the interaction or being given it."""
    return code in ("NO_CREDITS", "DECLINED", "ALREADY_OFFERED")
