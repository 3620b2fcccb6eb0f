"""A service as a process: signals, crashes, exit codes, the endpoints file."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[3]


@contextmanager
def process(tmp_path: Path, mode: str, *args: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    values = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("CHAPAR_", "KAFKA_"))},
        "PROBE_MODE": mode,
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "CHAPAR_PROBE_DRAIN_S": "0.05",
        "CHAPAR_ENDPOINTS_FILE": str(tmp_path / "endpoints.json"),
        **env,
    }
    command = [sys.executable, "-m", "tests.integration.chassis.process_under_test", *args]
    with subprocess.Popen(
        command, cwd=ROOT, env=values, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def read_until(running: subprocess.Popen[str], text: str) -> None:
    assert running.stdout is not None
    for line in running.stdout:
        if text in line:
            return
    pytest.fail(f"it ended before it said {text!r}: {running.stderr.read() if running.stderr else ''}")


def finish(running: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    out, err = running.communicate(timeout=20)
    return running.returncode, out.splitlines(), err


def logged(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_sigterm_drains_and_closes_in_reverse(tmp_path: Path) -> None:
    """Exit code 0; hooks run first, then the wiring's own clean-up; the supervisor could read the addresses."""
    with process(tmp_path, "run") as running:
        read_until(running, '"event": "started"')
        endpoints = json.loads((tmp_path / "endpoints.json").read_text())
        assert httpx.get(f"http://{endpoints['ops']}/readyz").status_code == 200
        running.send_signal(signal.SIGTERM)
        code, lines, err = finish(running)
    assert (code, err) == (0, "")
    assert [line for line in lines if line.startswith("hook:")] == ["hook: drain", "hook: closed"]
    assert logged(lines)[-1]["event"] == "stopped"


@pytest.mark.parametrize(("mode", "error"), [("crash", "RuntimeError"), ("end", "Ended")])
def test_a_task_that_fails_or_ends_takes_the_process_down(tmp_path: Path, mode: str, error: str) -> None:
    """One line names the task; everything else is closed; the exit code is 1."""
    with process(tmp_path, mode) as running:
        code, lines, err = finish(running)
    assert (code, err) == (1, "")
    assert "hook: closed" in lines
    crashes = [line for line in logged(lines) if line["level"] == "error"]
    assert [line["error"] for line in crashes] == [error]
    assert crashes[0]["service"] == "probe"


def test_a_signal_before_the_start_ends_the_process(tmp_path: Path) -> None:
    """A service that waits for its broker can be stopped."""
    with process(tmp_path, "hang") as running:
        read_until(running, "hook: starting")
        running.send_signal(signal.SIGINT)
        code, lines, _ = finish(running)
    assert code == 0
    assert "hook: closed" in lines


def test_settings_that_are_refused_are_one_sentence(tmp_path: Path) -> None:
    """Exit code 2, no stack trace, the nearest known name."""
    with process(tmp_path, "run", CHAPAR_PROBE_OPS_PROT="1") as running:
        code, lines, err = finish(running)
    assert (code, lines) == (2, [])
    assert err == "probe: CHAPAR_PROBE_OPS_PROT: no such setting; did you mean CHAPAR_PROBE_OPS_PORT?\n"


def test_a_port_in_use_is_one_line_without_a_stack(tmp_path: Path) -> None:
    """The line is for people: which port, and what to do."""
    with process(tmp_path, "run") as first:
        read_until(first, '"event": "started"')
        port = json.loads((tmp_path / "endpoints.json").read_text())["ops"].rpartition(":")[2]
        other = tmp_path / "other"
        other.mkdir()
        with process(other, "run", CHAPAR_PROBE_OPS_PORT=port) as second:
            code, lines, _ = finish(second)
    assert code == 1
    errors = [line for line in logged(lines) if line["level"] == "error"]
    assert errors[0]["reason"] == "PORT_IN_USE"
    assert "exception" not in errors[0]
