"""Memory, changelog and bursts of the engine's bench measure what they say."""

from random import Random

import numpy as np
import pytest

from tests.bench.engine_burst import (
    AT_ONCE,
    RULES,
    WITH_WINDOW,
    a_burst,
    best,
    by_engine,
    in_turn,
    one_by_one,
    qualities,
    total,
    with_swaps,
)
from tests.bench.engine_memory import AGENTS, WAITING, measure, reachable_bytes
from tests.bench.engine_pool import Plan, Size
from tests.bench.engine_run import run
from tests.bench.engine_snapshot import round_trip
from tests.bench.engine_speed import busy_pool, fill_queues

SMALL = Size(agents=120, waiting=60, teams=16, queues=16, skills=20)


def test_what_is_shared_counts_once() -> None:
    """A text in two lists is one text."""
    text = "x" * 10_000
    assert reachable_bytes([text, [text]]) - reachable_bytes([[]]) == pytest.approx(10_000, abs=200)
    assert reachable_bytes([text, text + "y"]) >= 20_000


def test_classes_and_functions_are_no_state() -> None:
    """Otherwise the whole program would be the engine's."""
    assert reachable_bytes([Random, measure, pytest]) < 200


@pytest.mark.parametrize(("what", "least"), [(WAITING, 300), (AGENTS, 500)])
def test_memory_of_one_is_told(what: str, least: int) -> None:
    """More than an interaction's ids alone, less than a page of them."""
    objects, _ = measure(what, SMALL)
    assert least < objects < 20_000


def test_a_pool_comes_back_whole() -> None:
    """Every agent, session and interaction is an entry of the changelog, and the processor restores it."""
    engine, life = busy_pool(Plan(SMALL))
    fill_queues(engine, life)
    measured = run(engine, life, 500, float("inf"))
    core = engine.core
    trip = round_trip(engine, measured.remembered, life.agenda.now)
    known = (
        len(core.agents) + len(core.sessions) + len(core.interactions) + len(core.last_agent) + len(core.histories) + 1
    )
    assert trip.entries == known + len(measured.remembered) + len(core.leases)
    assert trip.size > 100 * known


@pytest.mark.parametrize("seed", range(5))
def test_nothing_beats_the_best_assignment(seed: int) -> None:
    """And the shortest paths reach it."""
    scores = a_burst(Random(seed)).scores()
    most = total(scores, best(scores))
    for rule in RULES.values():
        assert total(scores, rule(scores)) <= most + 1e-9
    assert total(scores, one_by_one(scores)) == pytest.approx(most)
    assert total(scores, with_swaps(scores)) >= total(scores, in_turn(scores))


def test_more_arrivals_than_agents() -> None:
    """Somebody has to wait; the best go."""
    scores = np.array([[0.6, 0.0], [0.9, 0.7], [0.8, 0.8]])
    assert total(scores, one_by_one(scores)) == pytest.approx(1.7)
    assert total(scores, best(scores)) == pytest.approx(1.7)


@pytest.mark.parametrize("seed", range(5))
def test_the_engine_gives_nobody_what_he_may_not_take(seed: int) -> None:
    """`total` raises for that, and for two interactions given to one agent."""
    burst = a_burst(Random(seed))
    assert 0 < total(burst.scores(), by_engine(burst)) <= total(burst.scores(), by_engine(burst, 200))


def test_a_wrong_assignment_is_no_score() -> None:
    """Twice the same agent, or one who may not."""
    scores = np.array([[0.6, 0.0], [0.9, 0.7]])
    with pytest.raises(AssertionError, match="two interactions"):
        total(scores, {0: 0, 1: 0})
    with pytest.raises(AssertionError, match="may not"):
        total(scores, {0: 1})


def test_quality_is_a_share_of_the_best() -> None:
    """Over all bursts, and in the worst."""
    found = qualities(5, {"best": best})
    assert found["best"].share == pytest.approx(1.0)
    assert found[AT_ONCE].worst <= found[AT_ONCE].share < found[WITH_WINDOW].share <= 1.0
