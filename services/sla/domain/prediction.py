"""How likely it is that a deadline will be breached.

Three things are known about an open deadline, and none of them is from the future:

- **the announcement**: at queueing, the router estimated the wait time (P50 and P90). Taken as a lognormal wait W, it gives
  P(W > due | W > now). If there was no estimate, or an agent has the interaction already, the history is used instead.
- **the history** (`Pulse`): of the deadlines of this queue and channel that were decided recently, the share that was breached among
  those that were open as long as this one is: the discrete-time hazard (Kaplan and Meier 1958), by sixteenths of the time allowed;
  older outcomes fade.
- **the line now**: how long the oldest waiting interaction has waited (in a first-come-first-served line, that is the wait of the
  next one to be served: the "head of the line" estimator, Ibrahim and Whitt 2009), how many wait, and how long those decided
  recently had taken.

`features` turns them into numbers, and a logistic regression that is learned online weighs them (`Model`: the extended Kalman filter
for a logistic observation, i.e. Bayesian logistic regression by successive Gaussian approximation, with fading memory). The weights
of features that grow during the wait are never negative, so a probability never falls only because time passes: each of those features
is monotone.

Everything is plain arithmetic in a fixed order: the same inputs give the same numbers in every process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import erfc, exp, log, log2, sqrt
from struct import Struct
from typing import Final, NamedTuple

from services.policy.model.sla import Target

STEPS: Final = 16
"""Number of parts into which the time allowed is cut for the history."""
MOST_LOGIT: Final = 5.0
UNIT: Final = 100
"""Features are kept as whole hundredths, so that the values learned from are bit by bit the values predicted from."""
_P90: Final = 1.2815515655446004
_LEAST_SPREAD: Final = 0.35
_FREE_MS, _FREE_SPREAD = 2_000.0, 1.0
_FADE: Final = 1 - 1 / 300
_RECENT: Final = 0.2
_MEMORY: Final = 1 / (1 - 1 / 4000)
_MOST_VARIANCE: Final = 1.0
_LEAST_P: Final = 0.002
_HALVED_EVERY: Final = 4_000
_LEARNED_WHOLLY: Final = 4_000
_THEN_EACH: Final = 4
"""A model that has seen many outcomes learns from each fourth outcome only: a step takes a tenth of a millisecond
and changes little."""

FEATURES: Final = ("constant", "announced", "history", "oldest", "recent", "in line", "held")
Features = tuple[int, ...]
"""One number for each of FEATURES, in hundredths."""
_GROWING: Final = (1, 2, 3)
"""Indexes of features that grow while the customer waits and nothing else changes."""

START: Final = {
    Target.PICK_UP: (0.0, 0.5, 0.2, 0.2, 0.05, 0.3, 0.0),
    Target.FIRST_RESPONSE: (0.0, 0.4, 0.2, 0.4, 0.2, 0.0, -1.0),
    Target.NEXT_RESPONSE: (0.0, 0.4, 0.4, 0.2, 0.1, 0.0, 0.0),
    Target.RESOLUTION: (0.0, 0.4, 0.45, 0.1, 0.0, 0.0, 0.0),
}
"""Weights before any learning: the final weights of tests/bench/sla_prediction.py, rounded."""
_START_VARIANCE: Final = 0.05


@dataclass(slots=True)
class Pulse:
    """Recent outcomes of one kind of deadline in one queue. Counts fade with time."""

    exits: list[float] = field(default_factory=lambda: [0.0] * STEPS)
    """Number kept or abandoned, by the share of the time allowed that had been used."""
    broken: float = 0.0
    recent: float = 0.0
    """Share of the time allowed that recently decided deadlines had used: exponential mean."""
    decided: int = 0

    def decide(self, share: float, *, broken: bool) -> None:
        """Count a deadline that was decided after a share of the time allowed."""
        self.exits = [count * _FADE for count in self.exits]
        self.broken *= _FADE
        if broken:
            self.broken += 1.0
        else:
            self.exits[min(STEPS - 1, max(0, int(share * STEPS)))] += 1.0
        used = max(1.0, share) if broken else share
        self.recent = used if not self.decided else self.recent + _RECENT * (used - self.recent)
        self.decided += 1

    def broken_share(self, share: float) -> float:
        """Return the share that was breached of those that were open after this share of the time allowed; starts at
        one in ten."""
        at = min(1.0, max(0.0, share)) * STEPS
        whole = min(STEPS - 1, int(at))
        rest = sum(self.exits[whole + 1 :]) + self.exits[whole] * (whole + 1 - at)
        return (self.broken + 0.2) / (self.broken + rest + 2.0)


class Moment(NamedTuple):
    """The known facts about an open deadline at an instant."""

    share: float
    """Share of the time allowed that is used so far; calendar time."""
    waited_ms: int
    """Time since the estimate was announced, by the wall clock."""
    left_ms: int
    """Time until the breach, by the wall clock; not negative."""
    announced: tuple[int, int]
    """P50 and P90 of the estimated wait time; -1 if unknown, 0 if an agent was free."""
    held: bool
    """An agent has the interaction."""
    oldest: float
    """Share of the time allowed that has passed for the oldest interaction in the same line; 0 if the line is empty."""
    ahead: int
    """Number of interactions in the same line that came before."""


def announced_share(announced: tuple[int, int], waited_ms: int, left_ms: int) -> float | None:
    """Return P(W > waited + left | W > waited) for a lognormal wait with these quantiles; None if there was no
    estimate."""
    p50, p90 = announced
    if p50 < 0:
        return None
    if p50 == 0:
        middle, spread = _FREE_MS, _FREE_SPREAD
    else:
        middle = max(1_000.0, float(p50))
        spread = max(_LEAST_SPREAD, log(max(p90, middle) / middle) / _P90)
    now = _beyond(waited_ms, middle, spread)
    return 1.0 if now < 1e-12 else min(1.0, _beyond(waited_ms + left_ms, middle, spread) / now)


def _beyond(at_ms: float, middle: float, spread: float) -> float:
    """Return P(W > t) for a lognormal W."""
    return 0.5 * erfc(log(at_ms / middle) / (spread * sqrt(2))) if at_ms > 0 else 1.0


def features(moment: Moment, pulse: Pulse) -> Features:
    """Return the features of a moment, in the order of FEATURES."""
    history = _logit(pulse.broken_share(moment.share))
    said = None if moment.held else announced_share(moment.announced, moment.waited_ms, moment.left_ms)
    found = (
        1.0,
        history if said is None else _logit(said),
        history,
        _octaves(moment.oldest),
        _octaves(pulse.recent),
        min(30.0, log2(1 + moment.ahead)),
        1.0 if moment.held else 0.0,
    )
    return tuple(round(value * UNIT) for value in found)


_PACKED: Final = Struct(f"<{len(FEATURES)}h")


def packed(x: Features) -> bytes:
    """Encode features for storage."""
    return _PACKED.pack(*x)


def unpacked(x: bytes) -> Features:
    """Decode features from storage."""
    return _PACKED.unpack(x)


def _logit(p: float) -> float:
    p = min(1 - 1e-9, max(1e-9, p))
    return min(MOST_LOGIT, max(-MOST_LOGIT, log(p / (1 - p))))


def _octaves(share: float) -> float:
    """Return the base-2 logarithm of a share, between -4 and 3: 0 at the time allowed, -1 at half of it."""
    return min(3.0, max(-4.0, log2(max(share, 1e-3))))


@dataclass(slots=True)
class Model:
    """Weights of the features for one tenant and target, their uncertainty, and the quality of the forecasts."""

    weights: list[float]
    covariance: list[float]
    """Row by row."""
    learned: int = 0
    """Number of forecasts whose outcome is known."""
    bins: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0, 0.0] for _ in range(10)])
    """By tenths of the forecast: number, sum of forecasts, number breached. All are halved from time to time."""
    brier: float = 0.0
    """Recent mean squared error: exponential."""
    base: float = 0.0
    """Recent share of breaches: exponential. Its own Brier score, base * (1 - base), is the score that a forecast
    must beat."""

    @staticmethod
    def new(target: Target) -> "Model":
        """Return a model before any learning."""
        count = len(FEATURES)
        covariance = [_START_VARIANCE if row == column else 0.0 for row in range(count) for column in range(count)]
        return Model(list(START[target]), covariance)

    def probability(self, x: Features) -> float:
        """Return the probability of a breach."""
        score = sum([weight * value for weight, value in zip(self.weights, x, strict=True)]) / UNIT
        p = 1 / (1 + exp(-score)) if score > -700 else 0.0
        return min(1 - _LEAST_P, max(_LEAST_P, p))

    def score(self, forecast: float, *, broken: bool) -> None:
        """Score a forecast against its outcome."""
        outcome = 1.0 if broken else 0.0
        error = (forecast - outcome) ** 2
        rate = max(1 / 500, 1 / (self.learned + 1))
        self.brier += rate * (error - self.brier)
        self.base += rate * (outcome - self.base)
        if self.learned % _HALVED_EVERY == _HALVED_EVERY - 1:
            self.bins = [[value / 2 for value in kept] for kept in self.bins]
        chosen = self.bins[min(9, int(forecast * 10))]
        chosen[0] += 1.0
        chosen[1] += forecast
        chosen[2] += outcome
        self.learned += 1

    def outcome(self, x: Features, forecast: float, *, broken: bool) -> None:
        """Score a forecast and learn from its outcome."""
        self.score(forecast, broken=broken)
        if self.learned <= _LEARNED_WHOLLY or not self.learned % _THEN_EACH:
            self.learn(x, broken=broken)

    def learn(self, x: Features, *, broken: bool) -> None:
        """Move the weights towards the outcome: one step of the filter."""
        v = [value / UNIT for value in x]
        n = len(v)
        rows = [self.covariance[at : at + n] for at in range(0, n * n, n)]
        gain = [_dot(row, v) for row in rows]
        p = self.probability(x)
        curve = p * (1 - p)
        scale = 1 / (1 + curve * _dot(gain, v))
        step = scale * ((1.0 if broken else 0.0) - p)
        for at in range(n):
            self.weights[at] += step * gain[at]
        for at in _GROWING:
            self.weights[at] = max(0.0, self.weights[at])
        shrink = scale * curve
        made: list[float] = []
        for at, row in enumerate(rows):
            by = shrink * gain[at]
            made += [(kept - by * other) for kept, other in zip(row, gain, strict=True)]
        # Old observations fade, but the variance never grows beyond that of an untrained model.
        if max(made[at * n + at] for at in range(n)) * _MEMORY <= _MOST_VARIANCE:
            made = [value * _MEMORY for value in made]
        self.covariance = made


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum([a * b for a, b in zip(one, other, strict=True)])
