"""The command line of the replay: what it refuses, its exit codes, and its output."""

import asyncio
import os
import signal
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.router.replay.__main__ import arguments, main
from services.router.replay.report import tell
from services.router.replay.window import Offset
from tests.fakes.lane import finish
from tests.unit.router.replay.recorded import an_event
from tests.unit.router.replay.test_differences import a_life, events_of, replace


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (["--from", "soon"], "'soon' is not a time"),
        (["--to", "120"], "add --shard"),
        (["--capture", "x", "--save", "y"], "--capture can be combined only with --shard"),
        (["--shard", "x"], "invalid int value"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_is_read(
    line: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 2, as for every run without a comparison."""
    with pytest.raises(SystemExit) as ended:
        arguments(line)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


def test_an_offset_goes_with_a_shard() -> None:
    """With a shard the offset counts the shard's commands."""
    assert arguments(["--shard", "1", "--from", "۱۲۰"]).window.begin == Offset(120)


def test_a_cluster_that_is_not_named_or_not_reachable_is_reported_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 2: nothing was compared."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    assert main([]) == 2
    assert "KAFKA_BOOTSTRAP_SERVERS" in capsys.readouterr().err
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert main([]) == 2
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_chapar_replay_without_a_cluster_does_not_exit_as_for_a_difference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exit code 1 would mean that something differs."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("CHAPAR_HOME", str(tmp_path))
    answer = CliRunner().invoke(app, ["replay"])
    assert answer.exit_code == 2


# A shell that starts the tests in the background makes every process below it ignore SIGINT. The child restores it itself: code
# between fork and exec could hang, because the tests of gRPC before this one have left threads in this process.
_HEARS_CTRL_C = (
    "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "del sys.argv[0]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


@pytest.mark.parametrize("command", [("services.router.replay",), ("services.cli", "replay")])
async def test_ctrl_c_ends_it_without_a_trace(command: tuple[str, ...], tmp_path: Path) -> None:
    """Ctrl-C while it waits for a broker that never answers: exit code 130, one line, no file. `chapar` passes the signal on."""
    called = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _HEARS_CTRL_C, *command, "--save", str(tmp_path / "state"),
            env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": f"{host}:{port}"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(30):
            await called.wait()
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert err.decode().strip() == "interrupted; no state was saved"
    assert os.listdir(tmp_path) == []


def test_the_report_shows_figures_and_both_sides() -> None:
    """Identical shards have one line each; a difference has its place, time and fields, and both records."""
    log = a_life().log()
    text = StringIO()
    tell(Console(file=text, width=160), [finish(log.replayed())])
    assert ": identical" in text.getvalue().splitlines()[0]
    number = 3
    victim = events_of(log, number)[0]
    event = an_event(victim)
    event.reason = "TAMPERED"
    replace(log, victim, [victim._replace(value=event.SerializeToString(deterministic=True))])
    log.rewrite(number, effects_sha256=bytes(32))
    report = finish(log.replayed())
    text = StringIO()
    tell(Console(file=text, width=160), [report])
    told = text.getvalue()
    assert "DIFFERENT" in told
    assert f"The first difference: shard 0, batch {number + 1} (journal offset {number}, owner 1)" in told
    assert f'reason: "TAMPERED" in the original, "{an_event(victim).reason}" in the re-run' in told
    assert told.count(event.event_id) == 2
    assert report.as_data()["difference"]["found"]["fields"][0][1] == "TAMPERED"
