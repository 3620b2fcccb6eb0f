"""All of Chapar as users start it: real processes, real Kafka, real messages through the real edges, agents on real sessions."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.alerts.demo import NOT_HERE, without_sample
from tests.alerts.exposition import recorded

ROOT = Path(__file__).parents[2]


NOT_IN_THE_DEMO = NOT_HERE | {
    "chapar_edge_refused_total",
    "chapar_records_stepped_over_total",
    "chapar_router_unroutable_total",
    "chapar_sender_dead_letters_total",
    "chapar_sender_retries_total",
    "chapar_sender_unknown_total",
    "chapar_token_keys",
    "chapar_token_keys_fetched_timestamp_seconds",
    "chapar_token_keys_fetches_total",
}
"""Metrics with labels of open sets that only faults, or an identity provider, produce: `make alert-check` sees them."""


def play(tmp_path: Path, *options: str) -> tuple[int, str, dict[str, object], set[str]]:
    """Run the demo in its own home. Returns exit code, output, the JSON report and the names of all series that its
    processes showed."""
    report = tmp_path / "report.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHAPAR_", "KAFKA_"))}
    environment |= {"CHAPAR_HOME": str(tmp_path / "home")}
    if cache := os.environ.get("CHAPAR_CACHE_DIR"):
        environment["CHAPAR_CACHE_DIR"] = cache
    log = tmp_path / "demo.log"
    with (
        log.open("w", encoding="utf-8") as output,
        subprocess.Popen(
            [sys.executable, "-m", "services.cli", "demo", "--json", str(report), *options],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        seen = scraped(tmp_path / "home/demo/run/running.json", process)
    return (
        process.returncode,
        log.read_text(encoding="utf-8"),
        json.loads(report.read_text()) if report.exists() else {},
        seen,
    )


def scraped(running: Path, process: subprocess.Popen[bytes]) -> set[str]:
    """Return the names of all series that the processes show until the demo ends."""
    seen: set[str] = set()
    with httpx.Client(timeout=5) as client:
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError, httpx.HTTPError):  # not yet, no longer, or killed just now
                for servers in json.loads(running.read_text())["endpoints"].values():
                    seen |= {name for name, _ in recorded(client.get(f"http://{servers['ops']}/metrics").text)}
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
    return seen


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    """The customers of every channel get replies and surveys and are counted; the last line is the audit's result. Every metric
    of the catalogue has a sample."""
    code, output, report, seen = play(tmp_path, "--size", "0.5")
    assert code == 0, output
    assert output.rstrip().splitlines()[-1] == "lost 0, doubled 0, misdelivered 0"
    channels = {row["channel"]: row for row in report["channels"]}  # type: ignore[attr-defined]  # a list of rows
    assert {"webchat", "telegram", "whatsapp", "email", "webhook", "grpc", "all"} <= channels.keys()
    assert all(row["completed"] for row in channels.values())
    assert channels["all"]["open"] == 0
    assert report["deliveries"]["as_templates"] >= 1, "a WhatsApp customer is outside the window"  # type: ignore[index]  # counts by name
    machines = {"bounces": 1, "bounces_tied": 1, "auto_replies": 1, "auto_replies_joined": 1, "clocks_touched": 0}
    assert report["machines"] == machines
    assert "1 bounce tied to its delivery, 1 auto-reply joined, no clock touched" in output
    sent, received = report["files"]["sent"], report["files"]["received"]  # type: ignore[index]  # counts by channel
    assert set(sent) == {"webchat", "telegram", "whatsapp", "email"}
    assert set(received) == {*sent, "webhook", "grpc"}
    assert report["csat"]["n"] > 0  # type: ignore[index]  # a score that has answers
    assert set(without_sample(seen)) <= NOT_IN_THE_DEMO, "every metric is observed"


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_doubled_while_services_are_killed(tmp_path: Path) -> None:
    """The result is the same while router, ingest, sla and feedback are killed repeatedly with SIGKILL."""
    code, output, report, _ = play(tmp_path, "--size", "0.5", "--chaos")
    assert code == 0, output
    assert output.rstrip().splitlines()[-1] == "lost 0, doubled 0, misdelivered 0"
    assert sum(report["restarts"].values()) >= 3  # type: ignore[attr-defined]  # counts by process
