"""The services read one clock, which is bounded: no other module reads the machine's, and every lane's writer teaches it the brokers' time."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
READERS = {
    "services/chassis/clock.py": "the machine's clock itself",
    "services/chassis/ids.py": "the order of random ids",
    "services/chassis/logs.py": "log lines, next to those of other programs",
    "services/chassis/tokens/minting.py": "when a client of this process renews its token",
    "services/chassis/tokens/remote.py": "a gauge that Prometheus compares with its own time",
}
CLOCKS = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted((ROOT / "services").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("services/cli/"):  # commands run for a person at their machine
            yield from ((name, node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def test_the_machines_clock_is_read_in_few_places() -> None:
    found = {
        path
        for path, call in calls()
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and (call.func.value.id, call.func.attr) in CLOCKS
    }
    assert found == set(READERS)


def test_every_writer_of_a_service_teaches_its_clock() -> None:
    """Each wiring with lanes passes the service's clock to its lanes, and as what learns the brokers' time to their writer."""
    writers = [
        (path, call)
        for path, call in calls()
        if isinstance(call.func, ast.Name) and call.func.id == "Writer" and "/wiring" in path
    ]
    assert {path.split("/")[1] for path, _ in writers} == {"feedback", "ingest", "router", "sla"}
    for path, call in writers:
        assert "WriterTuning(times=service.clock" in ast.unparse(call), path


def test_every_lane_of_a_service_has_its_clock() -> None:
    """The runners are made in the wirings, and by functions to which the wirings pass the clock."""
    given = {"LaneRunner", "intake_lane", "sender_lane", "Relay"}
    for path, call in calls():
        if isinstance(call.func, ast.Name) and call.func.id in given and "/wiring" in path:
            clocks = [ast.unparse(word.value) for word in call.keywords if word.arg == "clock"]
            assert clocks == ["service.clock"], (path, call.func.id)
