"""Times: how they are written, and that drawn times have the given mean and spread."""

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from services.router.simulation.distributions import Patience, milliseconds, never_ends

_READ: TypeAdapter[Any] = TypeAdapter(Patience)
FOUR: dict[str, Any] = {"distribution": "exponential", "mean": "4s"}
AT_ONCE: dict[str, Any] = {"distribution": "deterministic", "value": "0s"}
NEVER: dict[str, Any] = {"distribution": "never"}
HALF_EXPONENTIAL = {"distribution": "mixture", "parts": [{"weight": 1, "of": AT_ONCE}, {"weight": 3, "of": FOUR}]}


@pytest.mark.parametrize(
    ("text", "ms"), [("20s", 20_000), ("1h30m", 5_400_000), ("0.5s", 500), ("250ms", 250), ("1 d", 86_400_000)]
)
def test_times(text: str, ms: float) -> None:
    """Times have units."""
    assert milliseconds(text) == ms


@pytest.mark.parametrize("text", ["20", "", "s", "3x", "-1s", "400d", 20, None, 20.0])
def test_no_times(text: object) -> None:
    """A number alone could have any unit."""
    with pytest.raises(ValueError, match=r"must be"):
        milliseconds(text)


@pytest.mark.parametrize(
    ("written", "mean", "cv"),
    [
        ({"distribution": "exponential", "mean": "3m"}, 180, 1),
        ({"distribution": "uniform", "low": "1s", "high": "3s"}, 2, 1 / 12**0.5),
        ({"distribution": "lognormal", "mean": "3m", "cv": 1.2}, 180, 1.2),
        ({"distribution": "gamma", "mean": "3m", "cv": 0.5}, 180, 0.5),
        ({"distribution": "deterministic", "value": "3m"}, 180, 0),
        ({"distribution": "empirical", "values": ["1s", "2s", "6s"]}, 3, (14 / 3) ** 0.5 / 3),
        (HALF_EXPONENTIAL, 3, (0.75 * 32 - 9) ** 0.5 / 3),
    ],
)
def test_draws(written: dict[str, Any], mean: float, cv: float) -> None:
    """Mean and coefficient of variation are correct over the whole range of shares."""
    u = (np.arange(100_000) + 0.5) / 100_000
    distribution = _READ.validate_python(written)
    drawn = distribution.quantile(u, np.random.default_rng(1).permutation(u)) / 1_000
    assert drawn.mean() == pytest.approx(mean, rel=5e-3)
    assert drawn.std() == pytest.approx(cv * mean, rel=1e-2, abs=1e-9)
    assert distribution.average() == pytest.approx(1_000 * mean)


def test_a_greater_share_is_a_longer_time() -> None:
    """This makes the k-th customer comparable under two distributions."""
    u = np.linspace(0, 0.999, 500)
    for written in (
        {"distribution": "lognormal", "mean": "1m", "cv": 2},
        {"distribution": "gamma", "mean": "1m", "cv": 2},
    ):
        assert (np.diff(_READ.validate_python(written).quantile(u, u)) > 0).all()


def test_for_ever() -> None:
    """Patience may be endless, for all customers or for some."""
    some = {"distribution": "mixture", "parts": [{"weight": 1, "of": NEVER}, {"weight": 1, "of": FOUR}]}
    assert np.isinf(_READ.validate_python(NEVER).quantile(np.array([0.5]), np.array([0.5])))
    assert never_ends(_READ.validate_python(some))
    assert not never_ends(_READ.validate_python(HALF_EXPONENTIAL))
