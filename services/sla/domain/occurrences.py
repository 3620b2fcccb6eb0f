"""How an occurrence is built from its interaction, deadline and milestone."""

from services.policy.model.sla import Action, Level, Milestone
from services.sla.domain.deadlines import Deadline
from services.sla.domain.facts import Occurrence, OccurrenceKind
from services.sla.domain.interaction import TrackedInteraction


def occurrence(
    kind: OccurrenceKind,
    interaction: TrackedInteraction,
    deadline: Deadline,
    policy: str,
    *,
    cause: str,
    ordinal: int,
    now_ms: int,
    dues: tuple[int, int],
    reason: str,
    due_ms: int = 0,
    used_ms: int = 0,
    milestone: Milestone | None = None,
    warning: int = 0,
    action: Action | None = None,
    orders_queue: bool = False,
    level: Level | None = None,
) -> Occurrence:
    """Build an occurrence. `dues` are the due times of the desired and the adequate level, 0 while paused. `level`:
    instead of the milestone's, or the level that was met."""
    if level is None:
        level = deadline.met_level
    if milestone is not None:
        level = milestone.level or Level.ADEQUATE  # a warning belongs to the adequate level
    return Occurrence(
        kind=kind,
        cause=cause,
        ordinal=ordinal,
        tenant=interaction.tenant,
        pool=interaction.pool,
        interaction_id=interaction.interaction_id,
        conversation_id=interaction.conversation_id,
        queue=interaction.queue,
        channel=interaction.channel,
        agent_id=interaction.agent_id,
        policy=policy,
        target=deadline.target,
        epoch=deadline.epoch,
        level=level,
        desired_at_ms=dues[0],
        adequate_at_ms=dues[1],
        occurred_at_ms=now_ms,
        due_ms=0 if action is not None else due_ms,  # its milestone was already reported: lateness counts once
        used_ms=used_ms,
        share=milestone.share if milestone else 0.0,
        escalate_priority=milestone.escalate_priority if milestone and action is None else 0,
        reason=reason,
        action=action,
        warning=warning,
        orders_queue=orders_queue,
    )
