"""`chapar simulate`: policies from YAML, arrivals from recorded events, and the simulator in its own process."""

import csv
import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2
from services.chassis.errors import ChaparError
from services.cli import scenario_policy
from services.cli.__main__ import app
from services.cli.commands import simulate
from services.cli.recorded_arrivals import Recorder, write_csv, write_json
from services.router.simulation import recorded
from services.router.simulation.plan import make
from tests.unit.router.simulation.questions import a_scenario

START = 1_740_800_000_000
SCENARIO = """\
duration: 20m
replications: 2
types:
  calls: {queue: q, arrivals: {every: 18s}, handling: {distribution: exponential, mean: 3m}}
queues:
  - name: q
    wrap_up: 30s
groups:
  day: {agents: 8, capacity_profile: desk}
capacity_profiles:
  - {name: desk, total: 1, default_weight: 1}
"""


def event(interaction: str, at_s: float, tenant: str = "acme", pool: str = "default", **body: Any) -> bytes:
    """Return a record of routing.events.v1."""
    selector = types_pb2.Selector(
        attribute="persian", operator=types_pb2.SELECTOR_OPERATOR_GREATER, number=3, expires_after_ms=30_000,
        steps=[types_pb2.SelectorStep(after_ms=5_000, number=1)],
    )  # fmt: skip
    attributes = records_pb2.InteractionAttributes(
        interaction_id=interaction, person_id="secret", queue="q", channel="voice", priority=2, arrived_at_ms=START,
        labels={"tier": "gold", "phone": "secret"}, requirements=[selector],
    )  # fmt: skip
    at = START + round(at_s * 1_000)
    made = records_pb2.RoutingEvent(tenant=tenant, pool=pool, occurred_at_ms=at, interaction=attributes, **body)
    return made.SerializeToString()


def queued() -> records_pb2.InteractionQueued:
    """Return the body of a queued event."""
    return records_pb2.InteractionQueued()


def assigned(waited_s: float) -> records_pb2.InteractionAssigned:
    """Return the body of an assignment after a wait."""
    return records_pb2.InteractionAssigned(agent_id="a", waited_ms=round(waited_s * 1_000))


def rows(*events: bytes, **more: Any) -> list[dict[str, Any]]:
    """Return the recorded rows of these events."""
    recorder = Recorder(**more)
    for one in events:
        recorder.add(one)
    return list(recorder.rows({"tier"}))


ANSWERED = (
    event("i1", 0, queued=queued()),
    event("i1", 20, assigned=assigned(20)),
    event("i1", 80, completed=records_pb2.InteractionCompleted(agent_id="a")),
)
LEFT = (event("i2", 1, queued=queued()), event("i2", 31, abandoned=records_pb2.InteractionAbandoned(waited_ms=30_000)))


def test_a_customer_who_was_answered_is_recorded() -> None:
    """Handling lasts from assignment to completion; patience is censored; there are no ids, no names, and only labels that were asked for."""
    [row] = rows(*ANSWERED)
    assert row == {
        "time": "2025-03-01T03:33:20.000+00:00",
        "type": "q",
        "queue": "q",
        "channel": "voice",
        "priority": 2,
        "labels": {"tier": "gold"},
        "requirements": [
            {
                "attribute": "persian",
                "operator": "greater",
                "number": 3,
                "expires_after": "30000ms",
                "steps": [{"after": "5000ms", "number": 1}],
            }
        ],
        "handling": "60000ms",
        "patience": "20000ms",
        "patience_censored": True,
    }


def test_a_customer_who_left_is_recorded() -> None:
    """Their patience is known, their handling is not."""
    [row] = rows(*LEFT)
    assert (row["patience"], row["patience_censored"]) == ("30000ms", False)
    assert "handling" not in row


def test_the_order_of_partitions_changes_nothing() -> None:
    """Two customers who arrived in the same millisecond have the same order, whichever partition was read first."""
    assert rows(*ANSWERED, *LEFT) == rows(*LEFT, *ANSWERED)


def test_handling_is_the_sum_of_all_hands() -> None:
    """Transferred after 10 s, waited, taken by another agent for 30 s: 40 s; patience is that of the first wait."""
    [row] = rows(
        *ANSWERED[:2],
        event("i1", 30, transferred=records_pb2.InteractionTransferred()),
        event("i1", 30, queued=records_pb2.InteractionQueued(again=True)),
        event("i1", 90, assigned=assigned(80)),
        event("i1", 120, completed=records_pb2.InteractionCompleted(agent_id="b")),
    )
    assert (row["handling"], row["patience"]) == ("40000ms", "20000ms")


def test_only_selected_interactions_are_recorded() -> None:
    """Tenant, pool and time select; interactions that began before the record do not count; invalid records are ignored."""
    assert rows(*ANSWERED, tenant="other") == []
    assert rows(*ANSWERED, pool="other") == []
    assert rows(*ANSWERED, from_ms=START + 1) == []
    assert rows(*ANSWERED, to_ms=START) == []
    assert rows(*ANSWERED[1:]) == []
    assert len(rows(b"\xff\xff", records_pb2.RoutingEvent().SerializeToString(), *ANSWERED)) == 1


@pytest.mark.parametrize(("name", "write"), [("a.csv", write_csv), ("a.jsonl", write_json)])
def test_written_records_can_be_simulated(tmp_path: Path, name: str, write: Any) -> None:
    """This holds for both formats and all fields."""
    out = io.StringIO()
    assert write(rows(*ANSWERED, *LEFT), out) == 2
    (tmp_path / name).write_text(out.getvalue(), encoding="utf-8")
    found = recorded.read(tmp_path / name, start=None, duration=60_000)
    assert found.times.tolist() == [0, 0]
    assert (found.handling[0], found.patience.tolist(), found.censored.tolist()) == (
        60_000,
        [20_000, 30_000],
        [True, False],
    )
    [looks] = found.looks
    assert (looks.queue, looks.priority, looks.labels) == ("q", 2, (("tier", "gold"),))
    assert recorded.to_selectors(looks.requirements)[0].steps == ((5_000, 1.0),)
    make(a_scenario(types={}, arrivals_file=name), recording=found)


def test_columns_are_those_that_the_simulator_knows() -> None:
    """Neither module imports the other."""
    out = io.StringIO()
    write_csv([], out)
    assert tuple(next(csv.reader([out.getvalue()]))) == recorded.COLUMNS


def test_queues_in_the_scenario_itself(tmp_path: Path) -> None:
    """Queues are written as in a configuration; the rest of the scenario is not checked here."""
    path = tmp_path / "a.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    found = scenario_policy.of_scenario(path)
    assert found is not None
    assert [(queue.name, queue.wrap_up_ms) for queue in found.queues] == [("q", 30_000)]
    assert found.capacity_profiles[0].name == "desk"


def test_errors_in_queues_have_their_line(tmp_path: Path) -> None:
    """The line is that of the scenario."""
    path = tmp_path / "a.yaml"
    path.write_text(SCENARIO.replace("wrap_up: 30s", "wrap_upp: 30s"), encoding="utf-8")
    with pytest.raises(ChaparError) as raised:
        scenario_policy.of_scenario(path)
    [violation] = raised.value.violations
    assert violation.field == f"{path}:7"
    assert "did you mean `wrap_up`?" in violation.description


def test_a_policy_beside_the_scenario(tmp_path: Path) -> None:
    """The path is relative to the scenario. A scenario without a policy, or an invalid one, gives no policy here."""
    (tmp_path / "tenant.yaml").write_text("queues: [{name: sales}]\n", encoding="utf-8")
    path = tmp_path / "a.yaml"
    path.write_text("policy: tenant.yaml\n", encoding="utf-8")
    found = scenario_policy.of_scenario(path)
    assert found is not None
    assert found.queues[0].name == "sales"
    for text in ("duration: 1h\n", "[", "- a\n", ""):
        path.write_text(text, encoding="utf-8")
        assert scenario_policy.of_scenario(path) is None


def test_times_need_a_zone() -> None:
    """This applies to the bounds of `record`."""
    assert simulate._moment("--from", "2025-03-01T08:00:00+03:30") == 1_740_803_400_000
    with pytest.raises(ChaparError, match="with its zone"):
        simulate._moment("--from", "2025-03-01T08:00:00")
    done = CliRunner().invoke(app, ["simulate", "record", "a.txt"])
    assert (done.exit_code, "must end in .csv or .jsonl" in done.output) == (1, True)


@pytest.mark.parametrize(
    ("killed", "words"),
    [(signal.SIGKILL, "perhaps there was too little memory"), (signal.SIGTERM, "SIGTERM ended the simulator")],
)
def test_a_simulator_that_is_killed_is_reported(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    killed: signal.Signals,
    words: str,
) -> None:
    """The kernel kills a process for want of memory without a word. The command says so, and its exit code is that of a shell."""
    (tmp_path / "killed.py").write_text(f"import os\nos.kill(os.getpid(), {int(killed)})\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert simulate._call([], "killed") == 128 + killed
    assert words in capfd.readouterr().err


@pytest.mark.slow
def test_the_whole_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`chapar simulate FILE` with policy, comparison, JSON; and its exit code."""
    path, other = tmp_path / "a.yaml", tmp_path / "no-wrap-up.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    other.write_text(
        "queues: [{name: q}]\ncapacity_profiles: [{name: desk, total: 1, default_weight: 1}]\n", encoding="utf-8"
    )
    done = CliRunner().invoke(app, ["simulate", str(path), "--against", str(other), "--json"])
    found = json.loads(capfd.readouterr().out)
    assert done.exit_code == 0
    assert [case["label"] for case in found["cases"]] == ["a", "no-wrap-up"]
    assert found["differences"]["all"]["mean_wait_answered_s"]["value"] < 0
    assert CliRunner().invoke(app, ["simulate", str(path), "--staff", "night=2"]).exit_code == 1
    assert "`night` is not a group" in capfd.readouterr().err
