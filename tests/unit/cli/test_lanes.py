"""What `chapar lanes` prints."""

import json

import pytest
from typer.testing import CliRunner

from services.chassis.clock import Clock
from services.chassis.kafka.changelog import Position, Restored
from services.chassis.kafka.claims import Claim
from services.chassis.kafka.contract import LaneSpec
from services.chassis.kafka.intervention import Situation
from services.chassis.kafka.witness import InputState, Witness
from services.chassis.kafka_settings import KafkaSettings
from services.cli.__main__ import app

NOW = InputState("one", 0, 20, "log", 10, Witness("one", 3, 10))
POSITION, CLAIM = Position(10, 0, 3), Claim("w", 3, 3, "one", log="log")
REFUSED = Claim("", 3, 4, "one", "INPUT_TAIL_LOST", log="log")
PARTITIONS = (
    Situation(0, NOW, Restored({b"k": b"v"}, POSITION, CLAIM), "sla@10.0.0.7:7001"),
    Situation(1, NOW, Restored({}, POSITION, CLAIM), ""),
    Situation(2, NOW, Restored({}, POSITION, REFUSED), "sla@10.0.0.7:7001"),
    Situation(3, NOW, Restored(), ""),
    Situation(4, InputState("one", 0, 20, "log"), Restored(), ""),
)
STATES = ["works", "stopped", "refused", "lost", "new"]


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def found(kafka: KafkaSettings, lane: LaneSpec, clock: Clock) -> list[Situation]:
        return list(PARTITIONS) if lane.name == "sla" else []

    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setattr("services.cli.commands.lanes.situations", found)


@pytest.mark.usefixtures("listing")
def test_each_partition_has_a_state() -> None:
    """The table is for people, with a sentence for each partition that needs a decision; JSON is for programs."""
    shown = CliRunner().invoke(app, ["lanes", "list"])
    assert shown.exit_code == 0, shown.output
    assert [state for state in STATES if state not in shown.output] == []
    assert "sla@10.0.0.7:7001" in shown.output
    assert "sla/3: it has no position, and its group knows position 10" in shown.output
    rows = json.loads(CliRunner().invoke(app, ["lanes", "list", "sla", "--json"]).stdout)
    assert [row["state"] for row in rows] == STATES
    assert [row["reason"] for row in rows] == ["", "", "INPUT_TAIL_LOST", "CHANGELOG_LOST", ""]
    assert (rows[0]["position"], rows[0]["end"], rows[0]["entries"], rows[3]["position"]) == (10, 20, 1, None)


@pytest.mark.parametrize(
    "words", [("list", "shards"), ("reset", "shards", "0", "--to", "end"), ("rebuild", "shards", "0")]
)
def test_an_unknown_lane_is_refused(words: tuple[str, ...]) -> None:
    refused = CliRunner().invoke(app, ["lanes", *words])
    assert refused.exit_code == 1
    assert "UNKNOWN_LANE" in refused.stderr
