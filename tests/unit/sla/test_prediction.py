"""Forecasts of breaches: probabilities, monotone in time, the same in every process, and learned from outcomes."""

import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.model.sla import Target
from services.sla.domain.prediction import FEATURES, Features, Model, Moment, Pulse, announced_share, features

DAY = 86_400_000


def a_moment(share: float = 0.0, announced: tuple[int, int] = (-1, -1), *, held: bool = False) -> Moment:
    """Return a moment at a share of a minute, in an empty line."""
    return Moment(share, round(share * 60_000), round((1 - share) * 60_000), announced, held, 0.0, 0)


pulses = st.builds(
    Pulse,
    exits=st.lists(st.floats(0, 300), min_size=16, max_size=16),
    broken=st.floats(0, 300),
    recent=st.floats(0, 10),
    decided=st.integers(1, 1000),
)
announcements = st.one_of(
    st.just((-1, -1)),
    st.just((0, 0)),
    st.tuples(st.integers(1, DAY), st.integers(1, 5)).map(lambda a: (a[0], a[0] * a[1])),
)
outcomes = st.lists(st.tuples(st.lists(st.integers(-500, 500), min_size=6, max_size=6), st.booleans()), max_size=30)


def learned(target: Target, outcomes: list[tuple[list[int], bool]]) -> Model:
    model = Model.new(target)
    for rest, broken in outcomes:
        x: Features = (100, *rest)
        model.outcome(x, model.probability(x), broken=broken)
    return model


@given(
    st.sampled_from(Target),
    outcomes,
    pulses,
    st.builds(
        Moment,
        share=st.floats(0, 20),
        waited_ms=st.integers(0, 10 * DAY),
        left_ms=st.integers(0, 10 * DAY),
        announced=announcements,
        held=st.booleans(),
        oldest=st.floats(0, 1e6),
        ahead=st.integers(0, 10**6),
    ),
)
def test_a_forecast_is_a_probability(
    target: Target, outcomes: list[tuple[list[int], bool]], pulse: Pulse, moment: Moment
) -> None:
    """With any training and any features, the forecast is above 0 and below 1."""
    assert 0 < learned(target, outcomes).probability(features(moment, pulse)) < 1


@given(st.sampled_from(Target), outcomes, pulses, announcements, st.floats(0, 1), st.floats(0, 1), st.integers(1, DAY))
def test_waiting_never_makes_a_breach_less_likely(
    target: Target,
    outcomes: list[tuple[list[int], bool]],
    pulse: Pulse,
    announced: tuple[int, int],
    one: float,
    other: float,
    allowed: int,
) -> None:
    """While nothing else changes, the probability does not fall as time passes, with any training and any estimated
    wait."""
    early, late = sorted((one, other))
    model = learned(target, outcomes)

    def at(share: float) -> float:
        waited = round(share * allowed)
        return model.probability(
            features(Moment(share, waited, allowed - waited, announced, held=False, oldest=share, ahead=0), pulse)
        )

    assert at(early) <= at(late)


def test_the_estimated_wait_counts() -> None:
    """An estimated wait far below the limit makes a breach unlikely, one far above it likely; a free agent gives the
    lowest probability."""
    model, pulse = Model.new(Target.PICK_UP), Pulse()

    def said(p50: int, p90: int) -> float:
        return model.probability(features(a_moment(announced=(p50, p90)), pulse))

    assert said(0, 0) < said(25_000, 50_000) < said(50_000, 90_000) < said(300_000, 600_000)
    assert said(0, 0) < 0.1
    assert said(300_000, 600_000) > 0.7
    assert announced_share((60_000, 120_000), 0, 60_000) == pytest.approx(0.5), "the median is passed by one in two"
    assert announced_share((60_000, 120_000), 0, 120_000) == pytest.approx(0.1, abs=1e-6), (
        "the ninth decile by one in ten"
    )
    assert announced_share((-1, -1), 0, 1) is None


def test_once_an_agent_has_it_the_estimated_wait_is_ignored() -> None:
    pulse = Pulse()
    assert features(a_moment(announced=(300_000, 600_000), held=True), pulse)[:3] == features(a_moment(), pulse)[:3]


def test_history_is_the_share_breached_of_those_open_as_long() -> None:
    """Nine kept in the first half, one at three quarters, ten breached: of all, one in two; of those open at the
    half, ten of eleven."""
    pulse = Pulse()
    for share in [0.1] * 9 + [0.75]:
        pulse.decide(share, broken=False)
    for _ in range(10):
        pulse.decide(1.0, broken=True)
    assert pulse.broken_share(0) == pytest.approx(10 / 20, abs=0.06)
    assert pulse.broken_share(0.5) == pytest.approx(10 / 11, abs=0.15)
    assert pulse.broken_share(0.9) > pulse.broken_share(0.5) > pulse.broken_share(0)
    for _ in range(3_000):
        pulse.decide(0.1, broken=False)
    assert pulse.broken_share(0) < 0.01, "old outcomes have faded"


def test_the_model_learns_from_outcomes() -> None:
    """When only the history carries information, the forecasts become right: a share of .8 where eight in ten are
    breached."""
    chance, model = random.Random(5), Model.new(Target.RESOLUTION)
    for _ in range(3_000):
        bad = chance.random() < 0.5
        x = (100, 200 if bad else -200, 200 if bad else -200, -400, 0, 0, 0)
        model.outcome(x, model.probability(x), broken=chance.random() < (0.8 if bad else 0.1))
    assert model.probability((100, 200, 200, -400, 0, 0, 0)) == pytest.approx(0.8, abs=0.06)
    assert model.probability((100, -200, -200, -400, 0, 0, 0)) == pytest.approx(0.1, abs=0.04)
    assert model.brier < model.base * (1 - model.base) * 0.7, "better than a constant forecast of the base rate"
    assert sum(kept[0] for kept in model.bins) == pytest.approx(3_000)


def test_no_outcome_makes_waiting_reduce_the_probability() -> None:
    """After long training in which longer waits are kept, the weights of features that grow during the wait stop at
    zero."""
    model = Model.new(Target.PICK_UP)
    for at in range(2_000):
        late = at % 2 == 0
        x = (100, 400 if late else -400, 300 if late else -300, 100 if late else -200, 0, 0, 0)
        model.learn(x, broken=not late)
    assert min(model.weights[1:4]) == 0


def test_old_observations_fade_and_weights_stay_finite() -> None:
    """Ten thousand times the same outcome: weights stay finite, and the model can still learn the opposite."""
    model = Model.new(Target.PICK_UP)
    x = (100, -300, -200, -400, -100, 0, 0)
    for _ in range(10_000):
        model.outcome(x, model.probability(x), broken=False)
    assert all(abs(weight) < 50 for weight in model.weights)
    assert all(0 < model.covariance[at * 8] < 50 for at in range(len(FEATURES)))
    for _ in range(2_000):
        model.outcome(x, model.probability(x), broken=True)
    assert model.probability(x) > 0.5


_ELSEWHERE = """
from tests.unit.sla.test_prediction import a_moment, learned
from services.policy.model.sla import Target
from services.sla.domain.prediction import Pulse, features
pulse = Pulse()
for at in range(200):
    pulse.decide(at % 17 / 17, broken=at % 5 == 0)
model = learned(Target.PICK_UP, [([at % 7 * 50, -at % 11 * 30, at % 3 * 90, 10, 20, 0], at % 3 == 0) for at in range(200)])
print(model.probability(features(a_moment(.3, (20_000, 70_000)), pulse)).hex(), [w.hex() for w in model.weights])
"""


def test_another_process_gives_the_same_numbers() -> None:
    """The results are equal bit by bit, under another hash seed."""
    said = {
        subprocess.run(
            [sys.executable, "-c", _ELSEWHERE],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
