"""Several goals at once: how the adaptive queues of a pool move against each other.

An interaction of an adaptive queue goes before another one by arrival plus target plus the *shift* of its queue at that time. A common shift changes
nothing, so only differences count: one queue gains what others lose. In such an order by deadlines, long waits of all queues are one common lateness
plus each queue's own lead (Doytchinov, Lehoczky and Shreve 2001): a queue's level is a monotone function of its shift. The controller finds the
shifts at which each level is above or below its goal by the same amount:

- **Integral, in outcomes.** Each outcome moves the shift by a gain times (1 or 0, minus goal, minus the common surplus). Its mean is 0 only where
  level - goal is the common surplus, whatever the gain: so the queues may have gains of their own, and nothing is left over in the long run.
- **Step.** In units of the queue's own threshold, the outcomes of a minute move it by a fiftieth: the noise of one minute moves little. The first
  outcomes count more.
- **Common surplus.** The mean of level - goal of the last outcomes over the queues with which it shares agents at work, weighted by the number of
  these agents and by the outcomes a minute. A queue without common agents or without customers changes nothing. When the goals are impossible, the
  shortfall is shared.
- **No windup.** Shifts are centred and stay within four times the largest threshold: a queue that can't be helped, or needs no help, does not
  run away.
- **No demotion.** A new shift counts only for later arrivals.
"""

from dataclasses import dataclass
from typing import Final

from services.router.domain.pool.history import History

_GAIN: Final = 0.02
_FIRST: Final = 0.25
"""The gain of the first outcomes; it falls to `_GAIN` as the level becomes known."""
_KNOWN: Final = 2
_RANGE: Final = 4.0
"""Shifts stay within this number of the largest thresholds."""
_LEAST_WITHIN_MS: Final = 1_000
_PARTS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Held:
    """A queue that should answer the share `goal` of its customers within `within_ms`."""

    history: History
    goal: float
    within_ms: int


def balance(queues: list[Held], groups: list[tuple[int, list[int]]]) -> None:
    """Move the shifts of one queue or more at the end of a minute. `groups`: numbers of agents at work, each with the
    places of the queues that they serve."""
    weight = [round(_PARTS * queue.history.ends_a_minute) for queue in queues]
    surplus = [weight[at] * _surplus(queue) for at, queue in enumerate(queues)]
    weights, common = [0] * len(queues), [0] * len(queues)
    for agents, served in groups:
        all_weight, all_surplus = sum(weight[at] for at in served), sum(surplus[at] for at in served)
        for at in served:
            weights[at] += agents * all_weight
            common[at] += agents * all_surplus
    for at, queue in enumerate(queues):
        if weights[at]:
            _move(queue, common[at] / weights[at] / _PARTS)
        queue.history.end_minute()
    middle = sum(queue.history.shift_ms for queue in queues) / len(queues)
    bound = _RANGE * max(queue.within_ms for queue in queues)
    for queue in queues:
        queue.history.shift_ms = min(bound, max(-bound, queue.history.shift_ms - middle))


def _surplus(queue: Held) -> int:
    """Return level - goal in millionths: the sum over groups must not depend on their order, which a restored pool does not know."""
    level = queue.history.level
    return 0 if level is None else round(_PARTS * (level - queue.goal))


def _move(queue: Held, common: float) -> None:
    in_time, ended = queue.history.in_minute
    gain = max(_GAIN, 1 / (1 / _FIRST + queue.history.outcomes / _KNOWN))
    more = in_time - (queue.goal + common) * ended
    queue.history.shift_ms += (
        gain * max(_LEAST_WITHIN_MS, queue.within_ms) * more / max(1.0, queue.history.ends_a_minute)
    )
