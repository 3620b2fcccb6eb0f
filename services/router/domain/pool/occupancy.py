"""The occupancy limit as a leaky bucket.

Busy time fills the bucket by (1 - limit), all other time drains it by limit, and an agent whose bucket is full rests. So over any stretch of t
milliseconds an agent is busy at most limit * t + (1 - limit) * window, plus what they still held when they began to rest.
"""

from math import ceil, floor

from services.policy.model.routing import CapacityProfile
from services.router.domain.pool.state import Agent


def _now(agent: Agent, limit: float, busy: bool, now: int) -> float:
    passed = max(0, now - agent.debt_at)
    return max(0.0, agent.debt + (passed * (1 - limit) if busy else -passed * limit))


def settle(agent: Agent, profile: CapacityProfile, busy: bool, now: int) -> None:
    """Add the time since the last change, during which the agent was `busy` or not, to the balance."""
    agent.debt = _now(agent, profile.occupancy_limit, busy, now)
    agent.debt_at = now


def rests(agent: Agent, profile: CapacityProfile, now: int) -> bool:
    """Whether the agent gets nothing new for now."""
    limit = profile.occupancy_limit
    return 0 < limit < 1 and _now(agent, limit, bool(agent.load), now) >= (1 - limit) * profile.occupancy_window_ms


def next_change(agent: Agent, profile: CapacityProfile, now: int) -> int:
    """Return when `rests` changes if nothing else happens; 0 when it will not."""
    limit = profile.occupancy_limit
    if not 0 < limit < 1:
        return 0
    full, busy = (1 - limit) * profile.occupancy_window_ms, bool(agent.load)
    debt = _now(agent, limit, busy, now)
    if busy:
        return 0 if debt >= full else now + max(1, ceil((full - debt) / (1 - limit)))
    return 0 if debt < full else now + floor((debt - full) / limit) + 1
