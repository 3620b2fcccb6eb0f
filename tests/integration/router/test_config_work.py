"""`chapar config diff` and `apply` on a real router: what an apply does to work is said before it is done."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.router.stand import TENANT, Bench, a_bench, a_router, a_token, settings_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]
SHOP = """\
tenant: acme
default_language: en
time_zone: UTC
pools: [{name: default}]
queues: [{name: sales, pool: default}%s]
agents: [{agent_id: ali, display_name: Ali, pool: default}%s]
rules: [{name: all, queue: sales}]
"""
SUPPORT, MINA = ", {name: support, pool: default}", ", {agent_id: mina, display_name: Mina, pool: default}"


@pytest.fixture
def file(kafka: KafkaUnderTest, prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Set the variables by which commands find the cluster; return the tenant's file, with all parts."""
    settings = kafka.settings(prefix)
    for name, value in {
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "CHAPAR_TOPIC_PREFIX": prefix,
        "CHAPAR_TENANT": TENANT,
        "CHAPAR_TOKEN": a_token(),
        "CHAPAR_HOME": str(tmp_path / "home"),
    }.items():
        monkeypatch.setenv(name, value)
    found = tmp_path / "shop.yaml"
    write(found, SUPPORT, MINA)
    return found


def write(file: Path, queue: str, agent: str) -> None:
    """Write the tenant's file, with these parts."""
    file.write_text(SHOP % (queue, agent))


def answered(file: Path, answer: str) -> tuple[str, int]:
    """Apply a file at a terminal, and answer its question; return the output and the exit code."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "services.cli", "config", "apply", str(file)]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True) as process:
        os.write(ours, f"{answer}\n".encode())
        said, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    return said, process.returncode


async def chapar(*words: str, code: int = 0) -> str:
    """Run a command in a thread; there is no terminal."""
    done = await asyncio.to_thread(CliRunner().invoke, app, list(words))
    assert done.exit_code == code, done.output
    return done.output


async def difference(file: Path) -> Any:
    """Return what the diff of a file says about work."""
    (found,) = json.loads(await chapar("config", "diff", str(file), "--json"))
    return found["work"]


def story(bench: Bench, interaction: str) -> list[str]:
    return [event.reason for event in bench.events if event.interaction.interaction_id == interaction]


async def test_an_apply_that_touches_work_is_said_before_and_refused_without_a_yes(
    kafka: KafkaUnderTest, prefix: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue `support` is removed while a customer waits in it; then their interaction waits in `sales`."""
    settings = kafka.settings(prefix)
    async with a_bench(settings) as bench:
        await chapar("config", "apply", str(file))
        async with a_router(settings_for(settings, tmp_path)) as router:
            monkeypatch.setenv("CHAPAR_ADDRESS_ROUTER", router.endpoints["grpc"])
            waiting = await bench.enqueue("support")
            await bench.until(lambda: bench.story(waiting) == ["queued"])
            write(file, "", "")

            work = await difference(file)
            assert (work["known"], work["affected"]) == (True, True)
            assert [(c["part"], c["name"], c["change"], c["waiting"], c["assigned"]) for c in work["changes"]] == [
                ("queue", "support", "removed", 1, 0),
                ("agent", "mina", "removed", 0, 0),
            ]
            assert "its work goes to queue sales, in order" in await chapar("config", "diff", str(file))
            refused = await chapar("config", "apply", str(file), code=1)
            assert "WORK_AFFECTED: acme: queue support is removed (1 waiting, 0 assigned)" in refused
            assert story(bench, waiting) == ["ENQUEUED"]

            await chapar("config", "apply", str(file), "--yes")
            await bench.until(lambda: story(bench, waiting) == ["ENQUEUED", "QUEUE_REMOVED"])
            assert bench.events[-1].interaction.queue == "sales"

            write(file, SUPPORT, "")  # adds a queue: no work is affected, so there is no question
            assert (await difference(file))["changes"] == []
            await chapar("config", "apply", str(file))


async def test_parts_without_work_are_removed_without_a_question(
    kafka: KafkaUnderTest, prefix: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = kafka.settings(prefix)
    async with a_bench(settings):
        await chapar("config", "apply", str(file))
        async with a_router(settings_for(settings, tmp_path)) as router:
            monkeypatch.setenv("CHAPAR_ADDRESS_ROUTER", router.endpoints["grpc"])
            write(file, "", "")

            assert not (await difference(file))["affected"]
            assert "no work is affected" in await chapar("config", "diff", str(file))
            assert "version 2" in await chapar("config", "apply", str(file))


async def test_without_a_router_the_work_is_not_known_and_that_is_said(
    kafka: KafkaUnderTest, prefix: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of another tenant would show the work of that tenant, so it is as good as no router."""
    async with a_bench(kafka.settings(prefix)):
        await chapar("config", "apply", str(file))
        write(file, "", MINA)
        monkeypatch.setenv("CHAPAR_ADDRESS_ROUTER", "127.0.0.1:1")
        said = await chapar("config", "apply", str(file), code=1)
        assert "The router could not be asked" in said
        assert "queue support is removed (work not known)" in said
        monkeypatch.setenv("CHAPAR_TENANT", "other")
        work = await difference(file)
        assert (work["known"], work["reason"]) == (False, "CHAPAR_TOKEN is of tenant other, not of acme")
        assert (work["changes"][0]["waiting"], work["affected"]) == (None, True)
        assert "version 2" in await chapar("config", "apply", str(file), "--yes")


@pytest.mark.parametrize(("answer", "version"), [("n", 1), ("y", 2)])
async def test_on_a_terminal_it_asks(kafka: KafkaUnderTest, prefix: str, file: Path, answer: str, version: int) -> None:
    """A no changes nothing."""
    async with a_bench(kafka.settings(prefix)):
        await chapar("config", "apply", str(file))
        write(file, "", MINA)
        said, code = await asyncio.to_thread(answered, file, answer)
        assert "Put it in force? [y/N]" in said
        assert code == (0 if answer == "y" else 1)
        assert int(json.loads(await chapar("config", "show", "--json"))["acme"]["version"]) == version
