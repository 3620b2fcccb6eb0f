"""The shortcut: its result equals that of the engine, and it refuses plans that it cannot decide."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.model.routing import (
    AgentProfile,
    CapacityProfile,
    Choice,
    Order,
    PickUpTarget,
    PoolConfig,
    QueueConfig,
    Selector,
)
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
        ({"groups": {"a": {"agents": [3, 4]}}}, "agents come and go (group `a`)"),
        ({"groups": {"a": {"agents": 0}}}, "agents come and go"),
        ({"groups": {"a": {"agents": 3, "answering": {"decline": 0.1}}}}, "do not accept at once (`answering`"),
        ({"groups": {"a": {"agents": 3, "capacity": 2}}}, "the group `a` has `capacity`"),
        ({"groups": {"a": {"agents": 3, "prefers": ["calls"]}}}, "the queue `q` has `choice`"),
        ({"types": {"calls": calls(requirements=[{"attribute": "x"}])}}, "the type `calls` have `requirements`"),
        ({"types": {"calls": calls(waiting_places=3)}}, "the type `calls` has `waiting_places`"),
        ({"types": {"calls": calls(retrials={"share": 0.5, "delay": always("1m")})}}, "come again (`retrials`)"),
        ({"types": {"calls": calls(lines=3)}}, "the type `calls` has `lines`"),
        ({"lines": 20}, "the scenario has `lines`"),
        ({"waiting_places": 2}, "waiting places are bounded (`waiting_places`)"),
    ],
)
def test_scenarios_beyond_it_are_refused(more: dict[str, Any], message: str) -> None:
    """The message names the field that decides more."""
    assert message in shortcut.refusal(a_plan(**more))


DEADLINES = (PickUpTarget(20_000),)


@pytest.mark.parametrize(
    ("queue", "named"),
    [
        ({"wrap_up_ms": 1}, "`wrap_up`"),
        ({"choice": Choice.SKILL_SCORE}, "`choice`"),
        ({"max_offers": 2}, "`max_offers`"),
        ({"delay_ms": 5}, "`delay`"),
        ({"keep_free": 1, "delay_ms": 5}, "`delay` and `keep_free`"),
        ({"order": Order.DEADLINE, "pick_up_targets": DEADLINES}, "`order` and `pick_up_targets`"),
        ({"order": Order.ADAPTIVE, "service_level_goal": 0.9}, "`order` and `service_level_goal`"),
        ({"requirements": (Selector("x"),)}, "`requirements`"),
    ],
)
def test_queues_beyond_it_are_refused(queue: dict[str, Any], named: str) -> None:
    """A queue may have only a priority, and settings that decide nothing. The message names the fields that decide more."""
    plan = a_plan(PoolConfig(1, queues=(QueueConfig("q", **queue),)))
    assert shortcut.refusal(plan) == f"the queue `q` has {named}"


def test_ageing_decides_where_priorities_differ() -> None:
    """An older customer with a lower priority may overtake then."""
    policy = PoolConfig(1, queues=(QueueConfig("q", ageing_per_minute=1),))
    two = {"a": calls(priority=1), "b": calls()}
    assert shortcut.refusal(a_plan(policy, types=two)) == "the queue `q` has `ageing_per_minute`"
    assert shortcut.refusal(a_plan(policy)) == ""


IDLE_SETTINGS: dict[str, Any] = {
    "offer_ms": 9,
    "service_level_ms": 5,
    "service_level_goal": 0.9,
    "pick_up_targets": DEADLINES,
    "transfer_hold_ms": 7,
    "sticky_ms": 60_000,
    "warn_silent_ms": 1,
    "close_silent_ms": 2,
    "sticky_team_ms": 60_000,
    "ageing_per_minute": 0.5,
}


@settings(max_examples=25)
@given(
    idle=st.sets(st.sampled_from(sorted(IDLE_SETTINGS)), min_size=1),
    order=st.sampled_from([Order.UNSPECIFIED, Order.ARRIVAL, Order.DEADLINE]),
    seed=st.integers(0, 1_000),
)
def test_settings_that_decide_nothing_are_not_refused(idle: set[str], order: Order, seed: int) -> None:
    """Nor are skills and teams that no interaction asks for, and queues of agents that all interactions are in. The engine agrees."""
    if order is Order.DEADLINE:
        idle = idle - {"pick_up_targets"}
    if "warn_silent_ms" in idle:
        idle = idle | {"close_silent_ms"}  # a warning alone is not valid
    queue = QueueConfig("q", 7, order=order, **{name: IDLE_SETTINGS[name] for name in idle})
    group = {"agents": 3, "skills": {"x": 1}, "team": "red", "queues": ["q"]}
    types = {"a": calls(labels={"tier": "gold"}), "b": calls(patience=exponential("1m"))}
    plan = a_plan(
        PoolConfig(1, queues=(queue, QueueConfig("unused"))),
        groups={"a": group, "b": {"agents": 3}},
        types=types,
        duration="20m",
        seed=seed,
    )
    assert shortcut.refusal(plan) == ""
    customers = draw(plan, 0)
    assert shortcut.run(plan, customers) == Floor(plan, customers, 0).run()


def test_agents_beyond_it_are_refused() -> None:
    """These agents of a policy are refused."""
    limited = PoolConfig(
        1, queues=(QueueConfig("q"),), agents=(AgentProfile("a"),), profiles=(CapacityProfile(occupancy_limit=0.9),)
    )
    assert "has `occupancy_limit`: agents differ" in shortcut.refusal(a_plan(limited, groups={}))
    elsewhere = {"a": {"agents": 3, "queues": ["other"]}}
    assert "the group `a` has `queues`" in shortcut.refusal(a_plan(QUEUES, groups=elsewhere))


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
