"""The shortcut: its result equals that of the engine, and it refuses plans that it cannot decide."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.model.routing import AgentProfile, CapacityProfile, Choice, PoolConfig, QueueConfig
from services.router.simulation import replications, shortcut
from services.router.simulation.customers import Customers, draw
from services.router.simulation.floor import Floor
from services.router.simulation.plan import Plan, make
from services.router.simulation.replications import DisagreementError, replicate
from tests.unit.router.simulation.questions import a_scenario, always, calls, exponential

QUEUES = PoolConfig(1, queues=(QueueConfig("q", priority=2), QueueConfig("other")))


def a_plan(policy: PoolConfig | None = None, **more: Any) -> Plan:
    """Return the plan of a scenario."""
    return make(a_scenario(**more), policy)


@settings(max_examples=40)
@given(
    agents=st.tuples(st.integers(1, 6), st.integers(0, 4)),
    gaps=st.lists(st.floats(0.001, 90_000), min_size=1, max_size=60),
    numbers=st.randoms(use_true_random=False),
    impatient=st.booleans(),
    losses=st.booleans(),
)
def test_its_result_equals_that_of_the_engine(
    agents: tuple[int, int], gaps: list[float], numbers: Any, impatient: bool, losses: bool
) -> None:
    """Every entry of the log is equal, with two groups of different speed, three kinds in two queues, patience, losses."""
    types = {"a": calls(priority=1), "b": calls(queue="other", priority=3), "c": calls(queue="other", priority=2)}
    plan = a_plan(
        QUEUES,
        types=types,
        groups={"fast": {"agents": agents[0]}, "slow": {"agents": agents[1]}},
        duration="24h",
        waiting_places=0 if losses else None,
    )
    assert shortcut.refusal(plan) == ""
    arrived, now = [], 0.0
    for gap in gaps:
        now += gap
        arrived.append(now)
    handling = [numbers.uniform(1, 200_000) for _ in gaps]
    patience = [numbers.uniform(0, 120_000) if impatient else float("inf") for _ in gaps]
    kinds = [numbers.randrange(3) for _ in gaps]
    customers = Customers(arrived, kinds, [handling, [2 * time for time in handling]], patience)
    assert shortcut.run(plan, customers) == Floor(plan, customers, 0).run()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"groups": {"a": {"agents": [3, 4]}}}, "agents come and go"),
        ({"groups": {"a": {"agents": 0}}}, "agents come and go"),
        ({"groups": {"a": {"agents": 3, "answering": {"decline": 0.1}}}}, "do not accept at once"),
        ({"groups": {"a": {"agents": 3, "capacity": 2}}}, "agents differ"),
        ({"groups": {"a": {"agents": 3, "skills": {"x": 1}}}}, "agents differ"),
        ({"groups": {"a": {"agents": 3, "prefers": ["calls"]}}}, "a queue does more"),
        ({"types": {"calls": calls(requirements=[{"attribute": "x"}])}}, "requirements"),
        ({"types": {"calls": calls(waiting_places=3)}}, "waiting places of their own"),
        ({"types": {"calls": calls(retrials={"share": 0.5, "delay": always("1m")})}}, "come again"),
        ({"waiting_places": 2}, "waiting places are bounded"),
    ],
)
def test_scenarios_beyond_it_are_refused(more: dict[str, Any], message: str) -> None:
    """These scenarios are refused."""
    assert message in shortcut.refusal(a_plan(**more))


@pytest.mark.parametrize(
    "queue",
    [
        {"wrap_up_ms": 1},
        {"ageing_per_minute": 1.0},
        {"choice": Choice.SKILL_SCORE},
        {"max_offers": 2},
        {"delay_ms": 5},
        {"sticky_ms": 9},
    ],
)
def test_queues_beyond_it_are_refused(queue: dict[str, Any]) -> None:
    """A queue may have only a priority and thresholds."""
    plan = a_plan(PoolConfig(1, queues=(QueueConfig("q", **queue),)))
    assert "a queue does more" in shortcut.refusal(plan)
    assert shortcut.refusal(a_plan(PoolConfig(1, queues=(QueueConfig("q", 7, service_level_ms=5, offer_ms=9),)))) == ""


def test_agents_beyond_it_are_refused() -> None:
    """These agents of a policy are refused."""
    limited = PoolConfig(
        1, queues=(QueueConfig("q"),), agents=(AgentProfile("a"),), profiles=(CapacityProfile(occupancy_limit=0.9),)
    )
    assert "agents differ" in shortcut.refusal(a_plan(limited, groups={}))


def test_the_first_replication_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong shortcut is detected; a plan that is not plain runs without the shortcut and without an error."""
    plan = a_plan(duration="30m", types={"calls": calls(patience=exponential("1m"))})
    assert replicate(plan, 0, shortcut=True).whole == replicate(plan, 0).whole
    assert replicate(plan, 1, shortcut=True).whole == replicate(plan, 1).whole
    wrong = shortcut.run(plan, draw(plan, 0))
    wrong.waited[3] += 1e-9
    monkeypatch.setattr(replications, "go_around", lambda *_: wrong)
    with pytest.raises(DisagreementError):
        replicate(plan, 0, shortcut=True)
    come_and_go = a_plan(duration="30m", groups={"a": {"agents": [11, 12]}}, period="10m")
    assert replicate(come_and_go, 0, shortcut=True).whole == replicate(come_and_go, 0).whole
