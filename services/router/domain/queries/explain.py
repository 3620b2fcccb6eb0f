"""Explain why an interaction is where it is.

An explanation says which agents were considered, which were left out and why, who is best, and what smallest change would alter the outcome.
For an interaction that is offered or assigned, the candidates and counts are those of the decision; the excluded agents are those of now.
"""

from dataclasses import dataclass, field
from typing import Final

from services.policy.model.routing import QueueConfig
from services.router.domain.assignment.ineligibility import IneligibilityReason, ineligibility
from services.router.domain.effects import OfferRationale
from services.router.domain.engine import Engine
from services.router.domain.model import InteractionAttributes, Stage
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Interaction
from services.router.domain.queries.timeline import Moment, timeline

_EXAMPLES: Final = 3
_STATES = {
    Stage.WAITING: "waiting",
    Stage.OFFERED: "offered",
    Stage.ASSIGNED: "assigned",
    Stage.WRAP_UP: "wrap-up",
    Stage.SCHEDULED: "scheduled",
}


@dataclass(slots=True)
class Excluded:
    """The agents that one reason excludes."""

    reason: str
    detail: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of one interaction."""

    attributes: InteractionAttributes
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
    timeline: tuple[Moment, ...]


def explain(engine: Engine, interaction_id: str) -> Explanation | None:
    """Explain an interaction; return None when it is not open in this pool."""
    core = engine.core
    interaction = core.interactions.get(interaction_id)
    if interaction is None:
        return None
    offer = interaction.offer
    holder = offer.agent_id if offer is not None else interaction.agent_id
    queue = core.queue_of(interaction)
    excluded, changes = _left_out(core, interaction, queue, holder) if queue is not None else ([], [])
    position = 0
    if interaction.stage is Stage.WAITING and interaction.line is not None:
        position = 1 + core.lines.ahead(interaction.attributes.queue, interaction.rank)
    waits = interaction.stage in (Stage.WAITING, Stage.SCHEDULED)
    return Explanation(
        interaction.attributes,
        _STATES[interaction.stage],
        holder,
        interaction.reason,
        _summary(core, interaction, holder, excluded),
        len(core.agents) if waits else interaction.rationale.considered,
        tuple(excluded),
        () if waits else interaction.rationale.candidates,
        _smallest_change(core, changes) if waits else "",
        position,
        interaction.decided_at,
        timeline(core, interaction),
    )


_Changes = tuple[int, int, str, tuple[str, ...]]
"""What must change before an agent can take it: how many things, the rank of the hardest, the agent, and the reason codes."""


def _left_out(
    core: PoolState, interaction: Interaction, queue: QueueConfig, holder: str
) -> tuple[list[Excluded], list[_Changes]]:
    """Return the agents grouped by the first reason that excludes them, and for each agent what would have to change."""
    left_out: dict[IneligibilityReason, Excluded] = {}
    changes: list[_Changes] = []
    for agent_id in sorted(core.agents):
        if agent_id == holder:
            continue
        found = list(ineligibility(core, core.agents[agent_id], interaction, queue))
        if not found and queue.keep_free and not interaction.reserved_for:
            found = [IneligibilityReason("KEPT_FREE", f"{queue.keep_free} are kept free for other queues")]
        if not found:
            continue
        first = found[0]
        excluded = left_out.setdefault(first, Excluded(first.code, first.detail))
        excluded.count += 1
        if len(excluded.examples) < _EXAMPLES:
            excluded.examples.append(agent_id)
        codes = sorted({reason.code for reason in found}, key=_ease)
        changes.append((len(codes), _ease(codes[-1]), agent_id, tuple(codes)))
    return sorted(left_out.values(), key=lambda c: (-c.count, c.reason, c.detail)), changes


_CHANGES: Final = {
    "MATCH_WINDOW": "the window ends within which it is matched as a batch with others",
    "DELAYED": "the queue's delay passes",
    "SCHEDULED": "its time comes",
    "ALREADY_OFFERED": "{agent} accepts the offer that they have",
    "KEPT_FREE": "one more agent becomes free",
    "OFFLINE": "{agent} signs in",
    "AWAY": "{agent} becomes available",
    "NOT_RESPONDING": "{agent} becomes available",
    "NOT_ANSWERED": "{agent} becomes available",
    "CONNECTION_LOST": "{agent} reconnects",
    "NO_CREDITS": "{agent} answers an offer",
    "RESTING": "{agent} has rested",
    "HAS_PARKED_INTERACTION": "{agent} finishes what interrupted them",
    "NO_CAPACITY": "{agent} finishes something",
    "CHANNEL_FULL": "{agent} finishes something on this channel",
    "EXCLUSIVE_CHANNEL": "{agent} finishes everything they hold",
    "DECLINED": "{agent} signs in again",
    "KEPT_FOR_ANOTHER_AGENT": "the time for which it is kept for its last agent passes",
    "SKILL_TOO_LOW": "the requirement is lowered to what {agent} has",
    "SKILL_MISSING": "{agent} gets the skill",
    "QUEUE_NOT_SERVED": "{agent} is given this queue",
    "CHANNEL_NOT_SERVED": "{agent} is given this channel",
    "TAKEN_AWAY": "an agent other than {agent} becomes free",
    "TRANSFERRING_AGENT": "an agent other than {agent} becomes free",
}
_EASE: Final = {code: rank for rank, code in enumerate(_CHANGES)}


def _ease(code: str) -> int:
    return _EASE.get(code, len(_EASE))


def _smallest_change(core: PoolState, changes: list[_Changes]) -> str:
    if core.config is None:
        return "a configuration is activated"
    if not changes:
        return "an agent is added to the pool"
    _, _, agent_id, codes = min(changes)
    return " and ".join(_CHANGES.get(code, "{agent} becomes eligible").format(agent=agent_id) for code in codes)


def _margin(interaction: Interaction) -> str:
    """Say by how much the chosen agent was ahead of the next, or what the interaction was matched with."""
    if interaction.rationale.matched:
        return _together(interaction.rationale)
    if len(interaction.rationale.candidates) < 2:
        return ""
    (_, mine), (other, theirs) = interaction.rationale.candidates[:2]
    for (name, value), (_, beaten) in zip(mine, theirs, strict=False):
        if value != beaten:
            return f", ahead of {other} by {name} ({value:g} against {beaten:g})"
    return f", level with {other} and first by id"


def _awaiting(core: PoolState, interaction: Interaction) -> str:
    """Say that its customer is awaited, and what it takes for that time."""
    if not interaction.customer_awaited:
        return ""
    said = ", awaiting its customer"
    if interaction.light:
        capacity = core.agents[interaction.agent_id].group.capacity
        channel = interaction.attributes.channel
        said += f" with a weight of {capacity.weight(channel, light=True)} instead of {capacity.weight(channel)}"
    if interaction.silence_at:
        queue = core.queue_of(interaction)
        warns = queue is not None and queue.warn_silent_ms and not interaction.warned_at
        said += f" ({'warned' if warns else 'completed'} {(interaction.silence_at - core.now) / 1000:.0f} s from now)"
    return said


def _together(rationale: OfferRationale) -> str:
    """Say that it was matched in a batch: the scores of the pair and of the batch, and which agent alone would have suited it better."""
    others = f"{rationale.matched} other{'s' if rationale.matched > 1 else ''}"
    _, mine = rationale.candidates[0]
    found = f", matched together with {others} for the largest total skill score ({rationale.total:g}, of which this {mine[0][1]:g})"
    for other, theirs in rationale.candidates[1:]:
        if theirs[0][1] > mine[0][1]:
            return f"{found}; {other} ({theirs[0][1]:g}) alone would have suited it better"
    return found


def _summary(core: PoolState, interaction: Interaction, holder: str, excluded: list[Excluded]) -> str:
    match interaction.stage:
        case Stage.OFFERED:
            asked = ", ".join(interaction.offers)
            could = f"{interaction.rationale.eligible} of {interaction.rationale.considered} agents could take it"
            return f"Offered to {asked}: {could}{_margin(interaction)}."
        case Stage.SCHEDULED:
            return f"Scheduled: it is queued {(interaction.not_before - core.now) / 1000:.0f} s from now."
        case Stage.ASSIGNED:
            aside = ", parked for something more urgent" if interaction.parked else ""
            aside += _awaiting(core, interaction)
            return f"Held by {holder}{aside}, chosen from {interaction.rationale.eligible} who could take it{_margin(interaction)}."
        case Stage.WRAP_UP:
            return f"Completed; {holder} is wrapping up."
    if core.config is None:
        return "Waits: no configuration has been activated in this pool."
    if not core.agents:
        return "Waits: the pool has no agents."
    if interaction.reserved_for:
        return f"Waits for {interaction.reserved_for}."
    reasons = ", ".join(f"{c.count} {c.reason}{f' ({c.detail})' if c.detail else ''}" for c in excluded[:4])
    return f"Waits: none of {len(core.agents)} agents can take it now ({reasons})."
