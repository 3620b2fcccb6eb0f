"""Rings as a preference: among free agents, those whom an earlier ring admits come first (`prefer_rings` of a queue)."""

from collections.abc import Iterable, Iterator

from services.policy.model.eligibility import requirements_at, served_too
from services.policy.model.routing import QueueConfig
from services.router.domain.pool.index import AgentGroup
from services.router.domain.pool.state import Agent, Interaction


def by_ring(
    queue: QueueConfig, interaction: Interaction, now: int, groups: Iterable[AgentGroup]
) -> Iterator[list[AgentGroup]]:
    """Yield the agent groups by the first ring that admits them: those who need no ring, then those of each ring that has been reached.

    All groups meet what is required now, so the last part holds what is left. Requirements that relax by themselves count as they are now.
    """
    age = now - interaction.enqueued_at
    own = queue.requirements + interaction.attributes.requirements
    reached = [ring for ring in queue.rings if ring.after_ms <= age]
    left = list(groups)
    for count in range(len(reached)):
        required, others = requirements_at(own, reached[:count], age), served_too(reached[:count], age)
        first = [group for group in left if group.serves(queue.name, required, others)]
        yield first
        left = [group for group in left if group not in first]
    yield left


def of_first_ring(queue: QueueConfig, interaction: Interaction, now: int, agents: list[Agent]) -> list[Agent]:
    """Return the agents of the earliest ring that has any of them."""
    groups = dict.fromkeys(agent.group for agent in agents)
    for ring in by_ring(queue, interaction, now, groups):
        if ring:
            return [agent for agent in agents if agent.group in ring]
    return []
