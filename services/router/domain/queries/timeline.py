"""The changes of a waiting interaction that time alone brings, and when: no agent signs in, frees a place, or answers.

The moments are those at which time alone changes something: its start, the delay of its queue, requirements that relax, overflow rules on waiting,
reservations and exclusions that end, agents who have rested. For each moment it says which agents could take the interaction then, as
`ineligibility` sees them at that time. Other interactions may be served before it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from services.policy.model.eligibility import describe
from services.policy.model.routing import OverflowRule, QueueConfig, Selector, Trigger
from services.router.domain.assignment.exclusions import wake_times
from services.router.domain.assignment.ineligibility import ineligibility
from services.router.domain.assignment.requirements import without_preference
from services.router.domain.assignment.waiting import due_at, matched_at
from services.router.domain.model import Stage
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent, Interaction

MOST_MOMENTS: Final = 8
"""All agents are looked at for each: in a pool of 15,000 that takes a quarter of a second at worst."""
MOST_NAMES: Final = 3
_ENDS_BY_ITSELF: Final = frozenset(
    {
        "SCHEDULED",
        "DELAYED",
        "MATCH_WINDOW",
        "QUEUE_NOT_SERVED",
        "SKILL_MISSING",
        "SKILL_TOO_LOW",
        "KEPT_FOR_ANOTHER_AGENT",
        "DECLINED",
        "TAKEN_AWAY",
        "TRANSFERRING_AGENT",
        "RESTING",
    }
)
"""Reasons that time may end."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time at which something changes, ms. `agents`: the first who could take the interaction then; `able`: their number."""

    at_ms: int
    what: str
    able: int
    agents: tuple[str, ...]


def timeline(core: PoolState, interaction: Interaction) -> tuple[Moment, ...]:
    """Return the next moments, in order; empty for an interaction that does not wait. A rule that moves or cancels it is the last."""
    queue = core.queue_of(interaction)
    if queue is None or interaction.stage not in (Stage.WAITING, Stage.SCHEDULED) or interaction.agent_id:
        return ()
    patient = [agent for _, agent in sorted(core.agents.items()) if _waits_for_time(core, agent, interaction, queue)]
    events = sorted(
        [*_of_the_interaction(core, queue, interaction), *_of_the_agents(core, queue, interaction, patient)],
        key=lambda event: event[0],
    )
    last = next((at for at, _, ends in events if ends), None)
    found: list[Moment] = []
    for at in sorted({at for at, _, _ in events if last is None or at <= last})[:MOST_MOMENTS]:
        what = "; ".join(dict.fromkeys(text for other, text, _ in events if other == at))
        with _as_of(core, interaction, at):
            able = [] if at == last else [agent.id for agent in patient if _can_take(core, agent, interaction, queue)]
        found.append(Moment(at, what, len(able), tuple(able[:MOST_NAMES])))
    return tuple(found)


_Event = tuple[int, str, bool]
"""Time, words, and whether the interaction leaves its queue then."""


def _of_the_interaction(core: PoolState, queue: QueueConfig, interaction: Interaction) -> Iterator[_Event]:
    now = core.now
    if interaction.stage is Stage.SCHEDULED:
        yield interaction.not_before, "its time comes", False
        return  # the clock of its queue does not run before
    due, gathered = due_at(queue, interaction), matched_at(queue, interaction)
    if gathered > now:
        yield gathered, "its match window ends", False
    if due > max(now, gathered):
        yield due, "the delay of its queue passes", False
    if interaction.reserved_for and interaction.reserved_until > now:
        yield interaction.reserved_until, f"it is no longer kept for {interaction.reserved_for}", False
    if interaction.team_until > now:
        yield (
            interaction.team_until,
            f"it is no longer kept for the team {interaction.attributes.preferred_team}",
            False,
        )
    if not interaction.handed_on:
        yield from _relaxations(queue, interaction, now)
    for rule in queue.overflow:
        at = interaction.enqueued_at + round(rule.threshold)
        if rule.trigger is Trigger.WAIT and at > now and f"{queue.name}/{rule.name}" not in interaction.overflowed:
            yield (
                at,
                f"overflow rule {rule.name} {_action(queue, rule)}",
                rule.cancel or rule.queue not in ("", queue.name),
            )


def _action(queue: QueueConfig, rule: OverflowRule) -> str:
    if rule.cancel:
        return "cancels it"
    if rule.queue not in ("", queue.name):
        return f"moves it to {rule.queue}"
    return "changes its requirements" if rule.requirements or rule.replace_requirements else "changes its priority"


def _relaxations(queue: QueueConfig, interaction: Interaction, now: int) -> Iterator[_Event]:
    required = queue.requirements + interaction.attributes.requirements
    for after in sorted({*_turning_points(required), *(ring.after_ms for ring in queue.rings)}):
        at = interaction.enqueued_at + after
        if at > now:
            left = without_preference(queue, interaction, at)
            names = [name for ring in queue.rings if ring.after_ms == after for name in ring.queues]
            text = f"{', '.join(map(describe, left))} is enough" if left else "nothing more is required"
            yield at, f"agents of {', '.join(names)} are asked too, {text}" if names else text, False


def _turning_points(selectors: Iterable[Selector]) -> Iterator[int]:
    for selector in selectors:
        yield from (after for after, _ in selector.steps)
        if selector.expires_after_ms:
            yield selector.expires_after_ms


def _of_the_agents(
    core: PoolState, queue: QueueConfig, interaction: Interaction, patient: Iterable[Agent]
) -> Iterator[_Event]:
    for at in wake_times(core, queue, interaction):
        yield at, "agents who were passed over may be asked again", False
    for agent in patient:
        if agent.rest_at > core.now:
            yield agent.rest_at, f"{agent.id} has rested", False


def _waits_for_time(core: PoolState, agent: Agent, interaction: Interaction, queue: QueueConfig) -> bool:
    """Whether only time keeps the agent from taking it."""
    reasons = [reason.code for reason in ineligibility(core, agent, interaction, queue)]
    return bool(reasons) and _ENDS_BY_ITSELF.issuperset(reasons)


def _can_take(core: PoolState, agent: Agent, interaction: Interaction, queue: QueueConfig) -> bool:
    return next(ineligibility(core, agent, interaction, queue), None) is None


@contextmanager
def _as_of(core: PoolState, interaction: Interaction, at: int) -> Iterator[None]:
    """Look at the pool as time alone will have left it. Nothing is decided in between, so nothing but this question sees it."""
    before = core.now, interaction.team_until, interaction.stage, interaction.enqueued_at
    core.now = at
    if interaction.team_until <= at:
        interaction.team_until = 0
    if interaction.stage is Stage.SCHEDULED and interaction.not_before <= at:
        interaction.stage = Stage.WAITING
        interaction.enqueued_at = at if not interaction.callback else interaction.enqueued_at
    try:
        yield
    finally:
        core.now, interaction.team_until, interaction.stage, interaction.enqueued_at = before
