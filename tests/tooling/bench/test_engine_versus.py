"""The naive router that the engine is compared with does the same job: offer by offer, it decides alike."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.router.domain.engine import Engine
from tests.bench.engine_fill import Watch
from tests.bench.engine_life import Life
from tests.bench.engine_pool import Plan, Size
from tests.bench.engine_run import run
from tests.bench.engine_scan import Scan
from tests.bench.engine_speed import busy_pool, fill_queues, idle_pool
from tests.bench.engine_versus import Stretch, replay

FOREVER = float("inf")
Pool = Callable[[Plan, Watch | None], tuple[Engine, Life]]


def a_stretch(size: Size, commands: int, pool: Pool = busy_pool) -> tuple[Scan, Stretch]:
    """The naive router where the stretch begins, and the stretch as the engine went it."""
    scan, stretch = Scan(), Stretch()
    engine, life = pool(Plan(size), scan.follow)
    fill_queues(engine, life, scan.follow)
    run(engine, life, commands, FOREVER, stretch)
    return scan, stretch


@pytest.mark.parametrize("pool", [busy_pool, idle_pool])
@pytest.mark.parametrize("seed", [7, 8])
def test_both_decide_alike(pool: Pool, seed: int) -> None:
    """The same interaction to the same agent at the same step, thousands of commands long, whether everybody is busy or most are idle."""
    size = Size(agents=160, waiting=100, teams=16, queues=16, skills=20, seed=seed)
    scan, stretch = a_stretch(size, 2_500, pool)
    found = replay(scan, stretch, FOREVER)
    assert found.different == []
    assert found.commands >= 2_500
    assert found.offers >= 250


def test_another_decision_is_noticed() -> None:
    """Otherwise the test above would say nothing: a router that chooses by another rule is found out."""
    scan, stretch = a_stretch(Size(agents=160, waiting=100, teams=16, queues=16, skills=20), 1_000)
    scan.config = replace(scan.config, queues=tuple(replace(q, priority=-q.priority) for q in scan.config.queues))
    assert replay(scan, stretch, FOREVER).different


def test_a_limit_ends_the_replay_early() -> None:
    """The bench has three minutes, and the naive router would take hours."""
    scan, stretch = a_stretch(Size(agents=80, waiting=40, teams=16, queues=16, skills=20), 300)
    assert replay(scan, stretch, 0.0).commands <= 1
