"""Times in readable form, and the distributions from which they are drawn.

Every distribution is drawn by its quantile function: one uniform number (two for a mixture) makes one time. So the k-th customer keeps their place
in the distribution when a policy, a group's distribution or the staffing changes, which makes two runs comparable.
"""

from __future__ import annotations

import re
from math import log1p, sqrt
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from scipy.special import gammaincinv, ndtri

Vector = NDArray[np.float64]

LONGEST_MS: Final = 366 * 86_400_000
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION_PATTERN: Final = r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"


def milliseconds(text: object) -> float:
    """Return the milliseconds of "1h30m", "20s", "0.5s". Raises ValueError for other texts, and for more than 366 days."""
    compact = text.replace(" ", "") if isinstance(text, str) else ""
    parts = list(_PART.finditer(compact))
    if not parts or "".join(part.group(0) for part in parts) != compact:
        raise ValueError("must be a time such as 20s, 5m or 1h30m")
    found = sum(float(part.group(1)) * _UNIT_MS[part.group(2)] for part in parts)
    if found > LONGEST_MS:
        raise ValueError("must be at most 366 days")
    return found


def _positive(ms: float) -> float:
    if ms <= 0:
        raise ValueError("must be more than 0")
    return ms


_WRITTEN: Final = WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["20s", "5m", "1h30m"]})
Duration = Annotated[float, BeforeValidator(milliseconds), _WRITTEN]
"""Milliseconds; written with units."""
LongerThanNothing = Annotated[
    float, BeforeValidator(lambda text: _positive(milliseconds(text))), _WRITTEN
]  # one validator: pydantic would run two of them last first
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A model in which unknown keys are errors and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Exponential(Strict):
    """Exponential, without memory: `mean` defines it."""

    distribution: Literal["exponential"]
    mean: LongerThanNothing

    def quantile(self, u: Vector, choice: Vector) -> Vector:
        """Return times in ms at shares `u`."""
        return -self.mean * np.log1p(-u)

    def average(self) -> float:
        """Return the mean in ms."""
        return self.mean


class Uniform(Strict):
    """Uniform from `low` to `high`."""

    distribution: Literal["uniform"]
    low: Duration
    high: Duration

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        if self.high < self.low:
            raise ValueError("`high` must not be less than `low`")
        return self

    def quantile(self, u: Vector, choice: Vector) -> Vector:
        """Return times in ms at shares `u`."""
        return self.low + (self.high - self.low) * u

    def average(self) -> float:
        """Return the mean in ms."""
        return (self.low + self.high) / 2


class Lognormal(Strict):
    """Log-normal: the usual form of handling times in the field. `cv` is standard deviation over mean."""

    distribution: Literal["lognormal"]
    mean: LongerThanNothing
    cv: Annotated[float, Field(gt=0, le=20)]

    def quantile(self, u: Vector, choice: Vector) -> Vector:
        """Return times in ms at shares `u`."""
        variance = log1p(self.cv**2)
        drawn: Vector = self.mean * np.exp(sqrt(variance) * ndtri(u) - variance / 2)
        return drawn

    def average(self) -> float:
        """Return the mean in ms."""
        return self.mean


class Gamma(Strict):
    """Gamma: `cv` is standard deviation over mean; 1 is exponential, 1/sqrt(k) is Erlang with k stages."""

    distribution: Literal["gamma"]
    mean: LongerThanNothing
    cv: Annotated[float, Field(ge=0.01, le=20)]

    def quantile(self, u: Vector, choice: Vector) -> Vector:
        """Return times in ms at shares `u`."""
        shape = self.cv**-2
        drawn: Vector = np.asarray(gammaincinv(shape, u), dtype=np.float64) * (self.mean / shape)
        return drawn

    def average(self) -> float:
        """Return the mean in ms."""
        return self.mean


class Deterministic(Strict):
    """The same time always."""

    distribution: Literal["deterministic"]
    value: Duration

    def quantile(self, u: Vector, choice: Vector) -> Vector:
        """Return times in ms at shares `u`."""
        return np.full(len(u), self.value)

    def average(self) -> float:
        """Return the mean in ms."""
        return self.value


class Empirical(Strict):
    """One of the observed `values`, each with the same probability."""

    distribution: Literal["empirical"]
    values: Annotated[list[Duration], Field(min_length=1, max_length=100_000)]

    def quantile(self, u: Vector, choice: Vector) -> Vector:
        """Return times in ms at shares `u`."""
        ordered = np.sort(np.array(self.values))
        return ordered[np.minimum((u * len(ordered)).astype(np.int64), len(ordered) - 1)]

    def average(self) -> float:
        """Return the mean in ms."""
        return float(np.mean(self.values))


class Never(Strict):
    """For patience: the customer waits for ever."""

    distribution: Literal["never"]

    def quantile(self, u: Vector, choice: Vector) -> Vector:
        """Return times in ms at shares `u`."""
        return np.full(len(u), np.inf)

    def average(self) -> float:
        """Return the mean in ms."""
        return float("inf")


Simple = Exponential | Uniform | Lognormal | Gamma | Deterministic | Empirical


class Part(Strict):
    """One part of a mixture: drawn with probability `weight` over the sum of all weights."""

    weight: Annotated[float, Field(gt=0, le=1e6)]
    of: Annotated[Simple | Never, Field(discriminator="distribution")]


class Mixture(Strict):
    """A mixture of several distributions: e.g. one in five customers hangs up at once."""

    distribution: Literal["mixture"]
    parts: Annotated[list[Part], Field(min_length=1, max_length=20)]

    def quantile(self, u: Vector, choice: Vector) -> Vector:
        """Return times in ms at shares `u` of the part that `choice` (uniform as well) selects."""
        weights = np.cumsum([part.weight for part in self.parts])
        which = np.minimum(np.searchsorted(weights / weights[-1], choice, side="right"), len(self.parts) - 1)
        drawn = np.empty(len(u))
        for number, part in enumerate(self.parts):
            mine = which == number
            drawn[mine] = part.of.quantile(u[mine], choice[mine])
        return drawn

    def average(self) -> float:
        """Return the mean in ms."""
        total = sum(part.weight for part in self.parts)
        return sum(part.weight * part.of.average() for part in self.parts) / total


Time = Annotated[Simple | Mixture, Field(discriminator="distribution")]
"""A distribution of finite times."""
Patience = Annotated[Simple | Mixture | Never, Field(discriminator="distribution")]
"""A distribution of times after which a waiting customer leaves; it may be never."""


def never_ends(distribution: Any) -> bool:
    """Whether some times drawn from it are infinite."""
    parts = distribution.parts if isinstance(distribution, Mixture) else ()
    return isinstance(distribution, Never) or any(isinstance(part.of, Never) for part in parts)
