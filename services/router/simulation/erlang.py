"""Theory of simple queues: exponential gaps, handling and patience, n equal agents, first come first served.

The simulator is validated against it (`make references`), and the search for the least staffing begins with its results. Rates are per unit of
time, times in the same unit, which may be any.

Sources: Erlang B and C as in Cooper, Introduction to Queueing Theory (1981); Erlang A as in Garnett, Mandelbaum, Reiman (2002), waits by
the tagged customer's own chain; priorities without interruption as in Cobham (1954) with equal handling; the transient by uniformisation
(Jensen 1953).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_NEGLIGIBLE = 1e-13


def erlang_b(agents: int, load: float) -> float:
    """Return the share that finds all agents busy and is lost; `load` = arrival rate x mean handling time."""
    blocked = 1.0
    for k in range(1, agents + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked


def erlang_c(agents: int, load: float) -> float:
    """Return the share that has to wait; 1 when the load is more than the agents can handle."""
    if load >= agents:
        return 1.0
    blocked = erlang_b(agents, load)
    return agents * blocked / (agents - load * (1 - blocked))


@dataclass(frozen=True, slots=True)
class Queue:
    """M/M/n without patience. Raises ValueError when the queue would grow for ever."""

    arrival_rate: float
    handling: float
    agents: int

    def __post_init__(self) -> None:
        if self.load >= self.agents:
            raise ValueError(f"{self.agents} agents cannot handle a load of {self.load:g}")

    @property
    def load(self) -> float:
        """Return the mean number of busy agents."""
        return self.arrival_rate * self.handling

    @property
    def occupancy(self) -> float:
        """Return the share of time in which agents are busy."""
        return self.load / self.agents

    @property
    def waits(self) -> float:
        """Return the share of customers who wait at all."""
        return erlang_c(self.agents, self.load)

    @property
    def mean_wait(self) -> float:
        """Return the average speed of answer."""
        return self.waits * self.handling / (self.agents - self.load)

    def service_level(self, within: float) -> float:
        """Return the share answered within a time. No customer leaves, so all denominators agree."""
        return 1 - self.waits * exp(-(self.agents - self.load) * within / self.handling)

    def mean_waits_by_class(self, shares: Sequence[float]) -> list[float]:
        """Return mean waits of priority classes, most urgent first, with equal handling and no interruption; `shares` of arrivals sum to 1."""
        free, before, waits = 1.0, 1.0, []
        base = self.waits * self.handling / self.agents
        for share in shares:
            free = before - self.occupancy * share
            waits.append(base / (before * free))
            before = free
        return waits


@dataclass(frozen=True, slots=True)
class LimitedLines:
    """M/M/n/k: a customer who finds `lines` customers in the system is turned away."""

    arrival_rate: float
    handling: float
    agents: int
    lines: int

    def _states(self) -> Vector:
        """Return the probability of each number in the system."""
        weights = [1.0]
        for k in range(1, self.lines + 1):
            weights.append(weights[-1] * self.arrival_rate * self.handling / min(k, self.agents))
        return np.array(weights) / sum(weights)

    @property
    def blocked(self) -> float:
        """Return the share that is turned away."""
        return float(self._states()[-1])

    @property
    def mean_wait(self) -> float:
        """Return the mean wait of the others (Little's law)."""
        waiting = np.clip(np.arange(self.lines + 1) - self.agents, 0, None)
        return float(waiting @ self._states()) / (self.arrival_rate * (1 - self.blocked))


def one_agent(classes: Sequence[tuple[float, float, float]]) -> list[float]:
    """Return mean waits with one agent for any handling times, most urgent class first, no interruption: (arrival rate, mean handling, cv) of each.

    With one class this is the formula of Pollaczek and Khinchine, with more that of Cobham (1954).
    """
    present = sum(rate * mean**2 * (1 + cv**2) / 2 for rate, mean, cv in classes)
    before, waits = 1.0, []
    for rate, mean, _ in classes:
        free = before - rate * mean
        waits.append(present / (before * free))
        before = free
    return waits


class ImpatientQueue:
    """M/M/n+M (Erlang A): every waiting customer leaves at rate 1 / patience."""

    def __init__(self, arrival_rate: float, handling: float, agents: int, patience: float) -> None:
        self.agents = agents
        self._serve, self._leave, self._arrive = 1 / handling, 1 / patience, arrival_rate
        self._states = self._stationary()

    def _stationary(self) -> Vector:
        """Return the probability of each number in the system; cut where the rest is negligible."""
        weights, total, k = [1.0], 1.0, 0
        while k < self.agents or weights[-1] > _NEGLIGIBLE * total:
            k += 1
            weights.append(weights[-1] * self._arrive / self._out(k))
            total += weights[-1]
            if weights[-1] > 1e200:  # a thousand agents: an empty system is that unlikely
                weights = [weight / 1e200 for weight in weights]
                total /= 1e200
        return np.array(weights) / total

    def _out(self, k: int) -> float:
        """Return the rate at which one of k customers leaves, served or not."""
        return min(k, self.agents) * self._serve + max(0, k - self.agents) * self._leave

    @property
    def abandoned(self) -> float:
        """Return the share that leaves unanswered."""
        waiting = np.arange(len(self._states)) - self.agents
        return float(self._leave * np.clip(waiting, 0, None) @ self._states / self._arrive)

    @property
    def mean_wait(self) -> float:
        """Return the mean time in queue of all customers, answered or not (Little's law)."""
        return self.abandoned / self._leave

    @property
    def occupancy(self) -> float:
        """Return the share of time in which agents are busy."""
        return float(np.minimum(np.arange(len(self._states)), self.agents) @ self._states / self.agents)

    def outcomes(self, within: float) -> tuple[float, float]:
        """Return the shares of all customers who are answered, and who leave, within a time.

        The tagged customer with k customers before them moves up at n mu + k theta and leaves at theta; the chain is followed by uniformisation.
        """
        queue = self._states[self.agents :]
        ahead = np.arange(len(queue))
        forward = self.agents * self._serve + ahead * self._leave
        pace = float(forward[-1] + self._leave)
        up, out = forward / pace, self._leave / pace
        mass, answered, left = queue.copy(), float(self._states[: self.agents].sum()), 0.0
        for steps_beyond in _poisson_tails(pace * within):
            # One more jump falls within the time with probability `steps_beyond`.
            answered += steps_beyond * float(mass[0] * up[0])
            left += steps_beyond * out * float(mass.sum())
            moved = mass * (1 - up - out)
            moved[:-1] += mass[1:] * up[1:]
            mass = moved
        return float(answered), float(left)

    def service_levels(self, within: float) -> dict[str, float]:
        """Return the service level by each of the three denominators in use."""
        answered, left = self.outcomes(within)
        return {
            "offered": answered,
            "offered_less_short_abandons": answered / (1 - left),
            "answered": answered / (1 - self.abandoned),
        }

    def wait_quantile(self, share: float) -> float:
        """Return the time in queue, answered or not, that this share of all customers does not exceed."""
        low, high = 0.0, 1 / self._leave
        while sum(self.outcomes(high)) < share:
            high *= 2
        if sum(self.outcomes(0.0)) >= share:
            return 0.0
        while high - low > 1e-9 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if sum(self.outcomes(middle)) < share else (low, middle)
        return high


def _poisson_tails(mean: float) -> Vector:
    """Return P(more than m) for m = 0, 1, ... of a Poisson number, until it is negligible.

    Weights are scaled, because exp(-mean) may be too small for a number.
    """
    mode = int(mean)
    up, down = [1.0], [1.0]
    while up[-1] > _NEGLIGIBLE:
        up.append(up[-1] * mean / (mode + len(up)))
    while down[-1] > 1e-300 and len(down) <= mode:
        down.append(down[-1] * (mode - len(down) + 1) / mean)
    weights = np.zeros(mode + len(up))
    weights[mode : mode + len(up)] = up
    weights[mode - len(down) + 1 : mode + 1] = down[::-1]
    weights /= weights.sum()
    tails = weights[::-1].cumsum()[::-1]
    return np.append(tails[1:], 0.0)


@dataclass(frozen=True, slots=True)
class Transient:
    """M/M/n that starts empty, over a time: the average state met by customers who arrive in it."""

    service_level: float
    mean_wait: float
    occupancy: float


def from_empty(arrival_rate: float, handling: float, agents: int, over: float, within: float) -> Transient:
    """Return the results of a day that begins empty, for Poisson arrivals at a constant rate (arrivals see time averages)."""
    serve = 1 / handling
    size = 3 * agents + 400
    number = np.arange(size)
    down = np.minimum(number, agents) * serve
    pace = arrival_rate + agents * serve
    state, average = np.zeros(size), np.zeros(size)
    state[0] = 1.0
    for tail in _poisson_tails(pace * over):
        # The mean time spent after m jumps is P(more than m) / pace.
        average += state * (tail / (pace * over))
        moved = state * (1 - (arrival_rate + down) / pace)
        moved[1:] += state[:-1] * arrival_rate / pace
        moved[:-1] += state[1:] * down[1:] / pace
        moved[-1] += state[-1] * arrival_rate / pace
        state = moved
    waiting = np.clip(number - agents + 1, 0, None)
    ahead = _poisson_tails(agents * serve * within)
    late = np.zeros(size)
    # Late if fewer than `waiting` agents become free in time: 1 - P(more than waiting - 1).
    for k in range(agents, size):
        more = ahead[waiting[k] - 1] if waiting[k] - 1 < len(ahead) else 0.0
        late[k] = 1 - more
    return Transient(
        float(average @ (1 - late)),
        float(average @ waiting) * handling / agents,
        float(average @ np.minimum(number, agents)) / agents,
    )
