"""What an interaction requires of an agent now."""

from services.policy.model.eligibility import requirements_at
from services.policy.model.routing import Operator, QueueConfig, Selector
from services.router.domain.pool.state import Interaction


def requirements_now(queue: QueueConfig, interaction: Interaction, now: int) -> tuple[Selector, ...]:
    """Return what is required of an agent now; nothing of an agent to whom it was transferred by name."""
    if interaction.handed_on:
        return ()
    found = without_preference(queue, interaction, now)
    if interaction.team_until:
        found += (Selector("team", Operator.EQUAL, text=interaction.attributes.preferred_team),)
    return found


def without_preference(queue: QueueConfig, interaction: Interaction, now: int) -> tuple[Selector, ...]:
    """Return what is required now, apart from a preferred team."""
    own = interaction.attributes.requirements
    required = queue.requirements + own if own else queue.requirements
    return requirements_at(required, queue.rings, now - interaction.enqueued_at)
