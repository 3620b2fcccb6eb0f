"""The search for the cheapest staffing: it equals an exhaustive search, counts every goal, and says what is not decided."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.simulation.replications import Case, Laboratory, Question
from services.router.simulation.staff_search import Found, Search, UnreachableError
from services.router.simulation.staffings import Sizes, Staffings, is_within
from services.router.simulation.statistics import estimate
from services.router.simulation.targets import Goal, Target, asked_of, levels, target
from tests.unit.router.simulation.questions import a_scenario, always, calls, exponential


def a_question(**more: Any) -> Question:
    """Return half an hour of calls in two replications."""
    return Question(a_scenario(**{"duration": "30m", "replications": 2, **more}), shortcut=True)


def search(*wanted: str, each: bool = False, group: str = "", each_shift: bool = False, **more: Any) -> Found:
    """Search in a scenario of these tests."""
    question = a_question(**more)
    goal = target(wanted, question, each=each)
    with Laboratory(asked_of(question, goal), 1) as laboratory:
        return Search(laboratory, goal, 0.95, group, each_shift=each_shift).run()


@pytest.mark.parametrize("wanted", ["80/20", "98/60"])
def test_the_least_is_the_least(wanted: str) -> None:
    """With one group the result is the same as trying one number after another, with as many replications."""
    question = a_question()
    goal = target([wanted], question)
    with Laboratory(asked_of(question, goal), 1) as laboratory:
        found = Search(laboratory, goal, 0.95).run()
        count = len(found.least.observed)
        for agents in range(5, 25):
            [observed] = laboratory.run([Case(sizes=(("agents", agents),))], count)
            level = estimate([one.whole["all/service_level_offered"] for one in observed], 0.95).value
            if level is not None and level >= goal.goals[0].share:
                break
    assert (found.least.agents, found.least.level.value) == (agents, level)
    assert found.one_less is not None
    assert (found.one_less.agents, found.one_less.reaches()) == (agents - 1, False)
    assert found.tried < 20


TWO: dict[str, Any] = {
    "persian": calls(queue="q", requirements=[{"attribute": "persian", "number": 1}], arrivals={"every": "60s"}),
    "english": calls(queue="q", requirements=[{"attribute": "english", "number": 1}], arrivals={"every": "90s"}),
}
SKILLED: dict[str, Any] = {
    "persian": {"agents": 6, "skills": {"persian": 5}, "cost_per_hour": 10},
    "both": {"agents": 6, "skills": {"persian": 3, "english": 3}, "cost_per_hour": 14},
    "english": {"agents": 6, "skills": {"english": 5}, "cost_per_hour": 11},
}


@pytest.mark.slow
@pytest.mark.parametrize("costs", [True, False])
def test_agents_of_one_group_are_traded_for_others(costs: bool) -> None:
    """No cheaper staffing reaches the target on the same days: with costs by cost, without them by the number of agents."""
    groups = {name: {**group, "cost_per_hour": group["cost_per_hour"] * costs} for name, group in SKILLED.items()}
    more: dict[str, Any] = {"groups": groups, "types": TWO, "duration": "20m", "replications": 2}
    found = search("80/20", each=True, **more)
    question = a_question(**more)
    goal = target(["80/20"], question, each=True)
    staffings = Staffings(question.scenario, list(groups))
    count = len(found.least.observed)
    with Laboratory(asked_of(question, goal), 1) as laboratory:
        least = tuple(found.least.sizes.values())
        for sizes in itertools.product(range(6), repeat=3):
            if staffings.objective(sizes) >= staffings.objective(least) or sum(sizes) < found.least.agents - 1:
                continue
            case = Case(sizes=tuple(staffings.named(sizes).items()))
            [few] = laboratory.run([case], 2)
            if min(level.margin for level in levels(goal, few, 0.95)) < -0.1:
                continue
            [observed] = laboratory.run([case], count)
            assert min(level.margin for level in levels(goal, observed, 0.95)) < 0, sizes
    assert found.complete


def test_each_goal_counts() -> None:
    """Each type has its own share and time; thresholds of the results are those of the goals."""
    types = {"calls": calls(arrivals={"every": "60s"}), "mails": calls(arrivals={"every": "90s"}, service_level="5s")}
    found = search("calls=90/10", "mails=50/300", types=types)
    goals = {level.goal.of: (level.goal.share, level.goal.within_s) for level in found.least.levels}
    assert goals == {"calls": (0.9, 10), "mails": (0.5, 300)}
    assert all(level.found.value is not None and level.margin >= 0 for level in found.least.levels)
    assert str(found.target) == "90.0% within 10 s for `calls`, 50.0% within 300 s for `mails`"
    assert found.least.agents <= search("90/10", each=True, types=types).least.agents


def test_targets() -> None:
    """A general target is for all types together, or for each type that has none of its own."""
    question = a_question(types={"calls": calls(), "mails": calls(service_level="5s")})
    assert target(["80/20"], question) == Target((Goal(0.8, 20),))
    each = target(["80/20"], question, each=True)
    assert each == Target((Goal(0.8, 20, "calls"), Goal(0.8, 20, "mails")))
    assert str(each) == "80.0% within 20 s for each type"
    mixed = target(["80/20", "mails=90/1800"], question)
    assert mixed == Target((Goal(0.8, 20, "calls"), Goal(0.9, 1800, "mails")))
    one = asked_of(question, target(["calls=80/30"], question)).scenario.types
    assert (one["calls"].service_level, one["mails"].service_level) == (30_000, 5_000)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["80"], "must be like 80/20"),
        (["100/20"], "must be like 80/20"),
        (["calls=80/0"], "must be like 80/20"),
        (["mails=80/20"], "`mails` is not a type; there are calls"),
        (["80/20", "90/20"], "two targets for all types"),
        (["calls=80/20", "calls=90/20"], "two targets for `calls`"),
    ],
)
def test_targets_that_cannot_be_read(texts: list[str], message: str) -> None:
    """Each is refused with its reason."""
    with pytest.raises(ValueError, match=message):
        target(texts, a_question())


def test_agents_who_are_not_needed_are_removed() -> None:
    """There are two groups, of which one can take none of the interactions."""
    groups = {"callers": {"agents": 10, "queues": ["q"]}, "idle": {"agents": 5, "queues": ["other"]}}
    types = {"calls": calls(), "mails": calls(queue="other", arrivals={"rates": [0]})}
    found = search("70/60", groups=groups, types=types)
    assert found.least.sizes["idle"] == 0
    assert found.least.reaches()


def test_one_group_is_varied() -> None:
    """The other group stays as it is."""
    found = search("70/60", groups={"a": {"agents": 8}, "b": {"agents": 1}}, group="b")
    assert found.least.sizes["a"] == 8
    assert found.least.sizes["b"] > 0


def test_each_type_counts() -> None:
    """A level that is reached for all types together may fail for one."""
    types = {"many": calls(priority=1), "few": calls(arrivals={"every": "3m"}, patience=exponential("1m"))}
    together, each = search("85/20", types=types), search("85/20", types=types, each=True)
    assert each.least.agents >= together.least.agents
    assert each.least.margin >= 0


def test_each_shift_is_varied_on_its_own() -> None:
    """Calls come in the second half-hour only: the first shift needs no agent. In the shape of the group it keeps its part."""
    types = {"calls": calls(arrivals={"rates": [0, 60]})}
    shifts = [{"start": "0s", "end": "30m", "agents": 4}, {"start": "30m", "end": "1h", "agents": 4}]
    groups = {"late": {"shifts": shifts, "cost_per_hour": 10}}
    more: dict[str, Any] = {"groups": groups, "types": types, "duration": "1h", "replications": 2}
    whole, apart = search("80/20", **more).least, search("80/20", each_shift=True, **more).least
    assert list(whole.sizes) == ["late"]
    assert apart.sizes["late/1"] == 0
    assert apart.sizes["late/2"] == apart.agents > 3
    assert apart.cost < whole.cost


def test_a_target_that_no_staffing_reaches() -> None:
    """Agents accept offers later than the target allows."""
    slow = {"agents": 3, "answering": {"delay": always("15s")}}
    with pytest.raises(UnreachableError, match="more would not help"):
        search("80/10", groups={"a": slow}, types={"calls": calls(arrivals={"every": "2m"})})


def test_replications_are_added_until_the_answer_is_decided() -> None:
    """A clear answer needs few. One in doubt gets up to the limit, and the result says what is not decided. One replication stays one."""
    sparse = calls(handling=always("10s"), arrivals={"every": "5m"})
    clear = search("80/20", types={"calls": sparse}, replications=4)
    assert clear.decided
    assert len(clear.least.observed) < 20
    question = a_question(replications=5)
    with Laboratory(asked_of(question, target(["80/20"], question)), 1) as laboratory:
        [observed] = laboratory.run([Case(sizes=(("agents", 13),))], 20)
    level = estimate([one.whole["all/service_level_offered"] for one in observed], 0.95).value
    assert level is not None
    doubtful = search(f"{100 * level - 0.001:.3f}/20", replications=5)
    assert (doubtful.least.agents, len(doubtful.least.observed), doubtful.decided) == (13, 20, False)
    assert doubtful.sure is None or doubtful.sure.agents > 13
    once = search("80/20", replications=1)
    assert len(once.least.observed) == 1


sizes_of = st.lists(st.integers(0, 4), min_size=2, max_size=3).map(tuple)


@settings(max_examples=40)
@given(best=sizes_of, costs=st.lists(st.sampled_from([0, 1, 1.5, 3]), min_size=3, max_size=3), data=st.data())
def test_every_cheaper_staffing_is_within_one_of_the_greatest(best: Sizes, costs: list[float], data: Any) -> None:
    """So if all of these fail, all cheaper ones do. And no trade costs more."""
    groups = {
        name: {"agents": [1, 2], "cost_per_hour": cost} for name, cost in zip("abc"[: len(best)], costs, strict=False)
    }
    staffings = Staffings(a_scenario(groups=groups), list(groups))
    least = tuple(data.draw(st.integers(0, size)) for size in best)
    most = sum(best) + 1
    greatest = list(staffings.greatest_below(best, least, most))
    assert len(greatest) == len(set(greatest))
    for one in itertools.product(*(range(low, most + 1) for low in least)):
        cheaper = staffings.objective(one) < staffings.objective(best)
        assert cheaper == any(is_within(one, other) for other in greatest)
    assert all(staffings.objective(one) < staffings.objective(best) for one in staffings.trades(best))


def test_costs_are_those_of_the_planned_hours() -> None:
    """For numbers over the day, for shifts and for all the time; a group that is not varied costs too."""
    groups = {
        "day": {"agents": [2, 4], "cost_per_hour": 10},
        "late": {"shifts": [{"start": "30m", "end": "3h", "agents": 2}], "cost_per_hour": 20},
        "always": {"agents": 3, "cost_per_hour": 1},
    }
    staffings = Staffings(a_scenario(groups=groups, duration="2h"), ["day", "late"])
    assert staffings.cost(staffings.named((4, 2))) == 10 * 6 + 20 * 3 + 3 * 2
    assert staffings.cost(staffings.named((2, 1))) == 10 * 3 + 20 * 1.5 + 3 * 2
    assert staffings.objective((4, 2)) == (126, 6)
    assert sum(staffings.spread(9)) == 9
    warm = Staffings(a_scenario(groups=groups, duration="2h", warm_up="1h"), ["day", "late"])
    assert warm.cost(warm.named((4, 2))) == 10 * 3 + 20 * 2 + 3 * 1
