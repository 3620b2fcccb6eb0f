"""Recorded arrivals: both formats, errors with their lines, and patience that was observed only in part."""

from pathlib import Path

import numpy as np
import pytest

from services.policy.model.routing import Operator, Selector
from services.router.simulation import recorded
from services.router.simulation.customers import draw
from services.router.simulation.plan import make
from services.router.simulation.reading import ScenarioError
from services.router.simulation.recorded import Recording, Survival, to_selectors
from tests.unit.router.simulation.questions import a_scenario, always

CSV = """\
time,type,queue,priority,labels,requirements,handling,patience,patience_censored
2025-03-01T08:00:30+03:30,sales,q,3,tier=gold;x=y,"[{""attribute"": ""persian"", ""number"": 3}]",60s,2s,true
2025-03-01T04:30:10Z,sales,,,,,90s,,
2025-03-01T08:01:00+03:30,,support,,,,,7s,false
"""
JSONL = """\
{"time": "10s", "type": "sales", "handling": "90s"}

{"time": "30s", "type": "sales", "queue": "q", "labels": {"tier": "gold"}, "handling": "60s", "patience": "2s", "patience_censored": true}
"""


def reading(
    tmp_path: Path, text: str, name: str = "a.csv", start: str | None = None, duration: float = 3.6e6
) -> Recording:
    """Read a file with this content."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return recorded.read(path, start=start, duration=duration)


def test_csv(tmp_path: Path) -> None:
    """Arrivals are in the order of time, in any zone; times count from the first arrival unless a start is given."""
    found = reading(tmp_path, CSV)
    assert found.times.tolist() == [0, 20_000, 50_000]
    assert found.types == ("sales", "support")
    first = found.looks[found.look[1]]
    assert (first.queue, first.priority, first.labels) == ("q", 3, (("tier", "gold"), ("x", "y")))
    assert to_selectors(first.requirements) == (Selector("persian", Operator.AT_LEAST, 3.0),)
    assert found.handling[:2].tolist() == [90_000, 60_000]
    assert np.isnan(found.handling[2])
    assert found.censored.tolist() == [False, True, False]
    from_eight = reading(tmp_path, CSV, start="2025-03-01T08:00:00+03:30", duration=40_000)
    assert from_eight.times.tolist() == [10_000, 30_000]
    assert from_eight.ignored == 1


def test_json_lines(tmp_path: Path) -> None:
    """The content is the same as in CSV; times count from the start."""
    found = reading(tmp_path, JSONL, "a.jsonl")
    assert found.times.tolist() == [10_000, 30_000]
    assert found.looks[1].labels == (("tier", "gold"),)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("time,type\n1s,a\nx,a\n", 3, "`time` must be like"),
        ("time,type\n2025-03-01T08:00,a\n", 2, "with its zone"),
        ("time,type\n1s,a\n2025-03-01T08:00Z,a\n", 3, "date in some lines"),
        ("time,type,tpye\n1s,a,b\n", 2, "`tpye` is not a column"),
        ("time,type\n1s,a,b\n", 2, "is not a column"),
        ("time,type\n1s,\n", 2, "needs a `type` or a `queue`"),
        ("time,type,priority\n1s,a,high\n", 2, "`priority` must be a whole number"),
        ("time,type,handling\n1s,a,60\n", 2, "`handling` must be a time such as"),
        ("time,type,labels\n1s,a,gold\n", 2, "`labels` must be like"),
        ("time,type,patience_censored\n1s,a,maybe\n", 2, "must be true or false"),
        ('time,type,requirements\n1s,a,"[{""operator"": ""about""}]"\n', 2, "`requirements.0.operator`"),
        ("time,type\n", 1, "holds no arrivals"),
        ("time,type\n1s," + "a" * 200_000 + "\n", 1, "longer than 100,000 characters"),
    ],
)
def test_errors_have_their_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    """The first error is reported."""
    with pytest.raises(ScenarioError) as raised:
        reading(tmp_path, text)
    assert f"a.csv:{line}: " in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"time": []}', '{"time": "1s", "type": 3}', '{"": 1}'])
def test_nonsense_is_reported_as_an_error(tmp_path: Path, text: str) -> None:
    """JSON of the wrong shape is reported as an error."""
    with pytest.raises(ScenarioError, match=r"a\.jsonl:1: "):
        reading(tmp_path, text, "a.jsonl")


def test_kaplan_meier() -> None:
    """Computed by hand: 5 observed, those who left at 2 and 4 of them, one answered at 3, two at 6."""
    waits, censored = np.array([2.0, 3.0, 4.0, 6.0, 6.0]), np.array([False, True, False, True, True])
    survival = Survival.of(waits, censored)
    assert survival.times.tolist() == [2, 4]
    assert survival.alive.tolist() == pytest.approx([4 / 5, 4 / 5 * 2 / 3])
    drawn = survival.quantile(np.array([0.1, 0.3, 0.6, 0.5]), np.array([-1.0, -1.0, -1.0, 4.5]))
    assert drawn.tolist() == [2, 4, np.inf, np.inf]
    given_three = survival.quantile(np.array([0.3, 0.4]), np.array([3.0, 3.0]))
    assert given_three.tolist() == [4, np.inf]


def test_censored_waits_do_not_shorten_patience() -> None:
    """Exponential patience of mean 1, observed only up to waits of about .7: the estimate is that of the patience, not of the waits."""
    numbers = np.random.default_rng(3)
    patience, waits = numbers.exponential(1.0, 20_000), numbers.uniform(0, 1.4, 20_000)
    survival = Survival.of(np.minimum(patience, waits), patience > waits)
    for share in (0.2, 0.4, 0.6):
        found = survival.quantile(np.array([share]), np.array([-1.0]))[0]
        assert found == pytest.approx(-np.log(1 - share), rel=0.05)


def test_one_replication_is_as_recorded(tmp_path: Path) -> None:
    """Known handling and patience are kept; the others are drawn from their type, never less than was observed."""
    scenario = a_scenario(types={}, arrivals_file="a.csv", replications=1)
    customers = draw(make(scenario, recording=reading(tmp_path, CSV)), 0)
    assert customers.arrived == [0, 20_000, 50_000]
    assert customers.handling[0][:2] == [90_000, 60_000]
    assert customers.patience[1:] == [float("inf"), 7_000]
    assert customers.handling[0][2] in (90_000, 60_000)


def test_several_replications_draw_again_from_the_records(tmp_path: Path) -> None:
    """The arrivals stay, the rest is drawn; the scenario's values for a type take precedence."""
    types = {"support": {"handling": always("11s"), "patience": always("12s")}}
    plan = make(a_scenario(types=types, arrivals_file="a.csv"), recording=reading(tmp_path, CSV))
    several = [draw(plan, n) for n in range(30)]
    assert {tuple(one.arrived) for one in several} == {(0, 20_000, 50_000)}
    assert {one.handling[0][0] for one in several} == {60_000, 90_000}
    assert {(one.handling[0][2], one.patience[2]) for one in several} == {(11_000, 12_000)}
