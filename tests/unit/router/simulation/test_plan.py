"""Plans: the agents' shifts, the engine's configuration, and contradictions that are refused."""

from typing import Any

import pytest

from services.policy.model.routing import (
    AgentProfile,
    CapacityProfile,
    Choice,
    Operator,
    PoolConfig,
    QueueConfig,
    Selector,
)
from services.router.simulation.plan import FOREVER, make
from services.router.simulation.reading import ScenarioError
from tests.unit.router.simulation.questions import a_scenario, calls

HALF_HOUR = 1_800_000.0


def shifts(group: dict[str, Any], **more: Any) -> list[tuple[tuple[float, float], ...]]:
    """Return the shifts of each agent of a group, in half-hours."""
    plan = make(a_scenario(groups={"agents": group}, **more))
    return [tuple((start / HALF_HOUR, stop / HALF_HOUR) for start, stop in desk.shifts) for desk in plan.desks]


def test_numbers_over_the_day_become_shifts() -> None:
    """The k-th agent works whenever more than k are needed; the list starts again; the last shift does not end."""
    assert shifts({"agents": [1, 2, 0]}, duration="150m") == [((0, 2), (3, FOREVER)), ((1, 2), (4, FOREVER))]
    assert shifts({"agents": 2}) == [((0, FOREVER),)] * 2
    assert shifts({"agents": [0, 0]}, types={"calls": calls()}) == []


def test_shifts_are_as_written() -> None:
    """A shift that reaches the scenario's end does not end; one that begins after it does not begin."""
    written = [
        {"start": "0s", "end": "30m", "agents": 1},
        {"start": "15m", "end": "2h", "agents": 1},
        {"start": "1h", "end": "2h", "agents": 3},
    ]
    assert shifts({"shifts": written}) == [((0, 1),), ((0.5, FOREVER),)]


def test_another_size_keeps_the_shape_of_the_day() -> None:
    """Numbers are rounded up."""
    scenario = a_scenario(groups={"agents": {"agents": [2, 4, 1]}}, duration="90m")
    plan = make(scenario, sizes={"agents": 6})
    on_duty = [sum(any(a <= n * HALF_HOUR < b for a, b in d.shifts) for d in plan.desks) for n in range(3)]
    assert on_duty == [3, 6, 2]


def test_a_shift_has_a_size_of_its_own() -> None:
    """The other shifts stay as they are."""
    written = [{"start": "0s", "end": "30m", "agents": 1}, {"start": "15m", "end": "2h", "agents": 1}]
    plan = make(a_scenario(groups={"late": {"shifts": written}}), sizes={"late/2": 3})
    assert [desk.shifts[0][0] for desk in plan.desks] == [0, 900_000, 900_000, 900_000]


def test_without_a_policy_each_queue_is_first_come_first_served() -> None:
    """The configuration is made from the types; agents take one interaction at a time."""
    plan = make(a_scenario(types={"calls": calls(queue=""), "mails": calls(queue="post")}))
    assert [queue.name for queue in plan.config.queues] == ["calls", "post"]
    assert {queue.choice for queue in plan.config.queues} == {Choice.LONGEST_IDLE}
    assert plan.config.profile(plan.config.agents[0].capacity_profile).total == 1


def test_with_a_policy_and_no_groups_its_own_agents_work() -> None:
    """Agents with the same profile are a group."""
    skilled = (("persian", 5.0),)
    agents = (AgentProfile("a", skills=skilled), AgentProfile("b"), AgentProfile("c", skills=skilled))
    plan = make(a_scenario(groups={}), PoolConfig(1, queues=(QueueConfig("q"),), agents=agents))
    assert plan.groups == ("a and 1 alike", "b")
    assert [(desk.agent_id, desk.group) for desk in plan.desks] == [("a", 0), ("c", 0), ("b", 1)]


def test_groups_become_the_engines_configuration() -> None:
    """The engine gets skills, queues, team, capacity; the policy's profile by name."""
    policy = PoolConfig(1, queues=(QueueConfig("q"),), profiles=(CapacityProfile("desk", 5),))
    groups = {
        "a": {"agents": 1, "skills": {"persian": 4}, "queues": ["q"], "team": "blue", "capacity_profile": "desk"},
        "b": {"agents": 1, "capacity": 3},
        "c": {"agents": 1},
    }
    config = make(a_scenario(groups=groups), policy).config
    first = config.agents[0]
    assert (first.skills, first.queues, first.team) == ((("persian", 4.0),), ("q",), "blue")
    assert [config.profile(agent.capacity_profile).total for agent in config.agents] == [5, 3, 5]


def test_requirements_in_the_engines_words() -> None:
    """All parts of a selector are converted."""
    required = [
        {
            "attribute": "persian",
            "operator": "greater",
            "number": 3,
            "expires_after": "30s",
            "weight": 2,
            "steps": [{"after": "10s", "number": 1}],
        },
        {"any_of": [{"attribute": "lang", "operator": "in", "texts": ["fa", "en"]}, {"attribute": "x"}]},
    ]
    attributes = make(a_scenario(types={"calls": calls(requirements=required)})).kinds[0].attributes
    assert attributes.requirements == (
        Selector("persian", Operator.GREATER, 3, expires_after_ms=30_000, weight=2, steps=((10_000, 1.0),)),
        Selector("", any_of=(Selector("lang", Operator.IN, texts=("fa", "en")), Selector("x"))),
    )


def test_preferences_are_proficiencies() -> None:
    """The most preferred type comes first; a group without preferences takes any type, last."""
    types = {name: calls(queue="") for name in ("x", "y", "z")}
    groups = {"picky": {"agents": 1, "prefers": ["y", "x"]}, "any": {"agents": 1}}
    plan = make(a_scenario(types=types, groups=groups))
    assert plan.config.agents[0].skills == (("type/x", 1.0), ("type/y", 10.0))
    assert plan.config.agents[1].skills == (("type/x", 1.0), ("type/y", 1.0), ("type/z", 1.0))
    assert {queue.choice for queue in plan.config.queues} == {Choice.SKILL_SCORE}
    assert plan.kinds[2].attributes.requirements == (Selector("type/z", Operator.AT_LEAST, 1.0),)


def test_thresholds() -> None:
    """The threshold is the type's own, or the queue's."""
    policy = PoolConfig(1, queues=(QueueConfig("q", service_level_ms=45_000), QueueConfig("calls")))
    types = {"calls": calls(service_level="9s", short_abandon="2s"), "others": calls(), "more": calls(queue="calls")}
    plan = make(a_scenario(types=types), policy)
    assert [(t.within, t.short) for t in plan.thresholds] == [(9_000, 2_000), (45_000, 45_000), (20_000, 20_000)]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"types": {"calls": calls(queue="nowhere")}}, "`nowhere` is not a queue of the policy; there are q"),
        ({"groups": {"a": {"agents": 1, "queues": ["x"]}}}, "`x` is not a queue; there are q"),
        ({"groups": {"a": {"agents": 1, "capacity_profile": "x"}}}, "`x` is not a capacity profile; there are none"),
        ({"groups": {}}, "has no agents"),
    ],
)
def test_contradictions_are_refused(more: dict[str, Any], message: str) -> None:
    """Contradictions are reported before anything runs."""
    with pytest.raises(ScenarioError, match=message):
        make(a_scenario(**more), PoolConfig(1, queues=(QueueConfig("q"),)))
