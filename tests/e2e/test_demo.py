"""All of Chapar as users start it: real processes, real Kafka, real messages through the real edges, agents on real sessions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def play(tmp_path: Path, *options: str) -> tuple[int, str, dict[str, object]]:
    """Run the demo in its own home. Returns exit code, output and the JSON report."""
    report = tmp_path / "report.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHAPAR_", "KAFKA_"))}
    environment |= {"CHAPAR_HOME": str(tmp_path / "home")}
    if cache := os.environ.get("CHAPAR_CACHE_DIR"):
        environment["CHAPAR_CACHE_DIR"] = cache
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "demo", "--json", str(report), *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return done.returncode, done.stderr + done.stdout, json.loads(report.read_text()) if report.exists() else {}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    """The customers of every channel get replies and surveys and are counted; the last line is the audit's result."""
    code, output, report = play(tmp_path, "--size", "0.5")
    assert code == 0, output
    assert output.rstrip().splitlines()[-1] == "lost 0, doubled 0"
    channels = {row["channel"]: row for row in report["channels"]}  # type: ignore[attr-defined]  # a list of rows
    assert {"webchat", "telegram", "whatsapp", "email", "webhook", "grpc", "all"} <= channels.keys()
    assert all(row["completed"] for row in channels.values())
    assert channels["all"]["open"] == 0
    assert report["csat"]["n"] > 0  # type: ignore[index]  # a score that has answers


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_doubled_while_services_are_killed(tmp_path: Path) -> None:
    """The result is the same while router, ingest, sla and feedback are killed repeatedly with SIGKILL."""
    code, output, report = play(tmp_path, "--size", "0.5", "--chaos")
    assert code == 0, output
    assert output.rstrip().splitlines()[-1] == "lost 0, doubled 0"
    assert sum(report["restarts"].values()) >= 3  # type: ignore[attr-defined]  # counts by process
