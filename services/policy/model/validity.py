"""The bounds within which the engine can decide."""

from math import isfinite
from typing import Final

from services.policy.model.routing import PoolConfig, QueueConfig, Selector

_LONGEST_MS: Final = 366 * 86_400_000


def is_valid(config: PoolConfig) -> bool:
    """Whether the engine can decide by a configuration: its numbers are numbers, and within bounds."""
    if config.lease_ms <= 0 or config.grace_ms < 0 or len(config.by_name) != len(config.queues):
        return False
    for profile in config.profiles:
        weights = [profile.total, profile.default_weight, *(c.weight for c in profile.channels)]
        weights += [c.maximum for c in profile.channels]
        weights += [w for c in profile.channels if (w := c.awaited_weight) is not None]
        weights += [c.weight - w for c in profile.channels if (w := c.awaited_weight) is not None]
        if min(weights) < 0 or not 0 <= profile.occupancy_limit < 1 or profile.occupancy_window_ms < 0:
            return False
    for agent in config.agents:
        if not agent.agent_id or not all(isfinite(value) for _, value in agent.skills):
            return False
    return all(_is_valid_queue(queue) for queue in config.queues)


def _is_valid_queue(queue: QueueConfig) -> bool:
    times = (
        queue.offer_ms,
        queue.wrap_up_ms,
        queue.sticky_ms,
        queue.sticky_team_ms,
        queue.service_level_ms,
        queue.delay_ms,
        queue.transfer_hold_ms,
        queue.match_window_ms,
        queue.ask_again_ms,
        queue.warn_silent_ms,
        queue.close_silent_ms,
        queue.keep_free,
        queue.max_offers,
        *(ring.after_ms for ring in queue.rings),
        *(target.target_ms for target in queue.pick_up_targets),
    )
    numbers = (queue.ageing_per_minute, queue.service_level_goal, *(rule.threshold for rule in queue.overflow))
    selectors = [*queue.requirements, *(s for rule in queue.overflow for s in rule.requirements)]
    return (
        bool(queue.name)
        and queue.offer_ms > 0
        and (not queue.warn_silent_ms or queue.warn_silent_ms < queue.close_silent_ms)
        and all(0 <= ms <= _LONGEST_MS for ms in times)
        and all(isfinite(number) and 0 <= number <= _LONGEST_MS for number in numbers)
        and all(isfinite(number) for ring in queue.rings for _, number in ring.lower)
        and all(_is_valid_selector(s) for s in selectors)
    )


def _is_valid_selector(s: Selector) -> bool:
    return (
        isfinite(s.number)
        and s.expires_after_ms >= 0
        and all(after_ms >= 0 and isfinite(number) for after_ms, number in s.steps)
        and all(_is_valid_selector(member) for member in (*s.any_of, *s.all_of))
    )
