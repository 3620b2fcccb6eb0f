"""The guide's blocks `by=guide`, one after another on one machine. Its disk and its database are lost between backup and restoration."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.architecture.guide import blocks_by
from tests.fixtures import one_interaction
from tests.integration.guide.machine import Machine, a_machine

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(600)]
CUSTOMERS: Final = 3
WITHIN_S: Final = 30.0
PROGRAMS: Final = ("bash", "curl", "jq", "openssl", "pg_dump", "pg_restore", "psql", "tail", "tar", "timeout")
"""Programs of the guide's commands."""


def _until(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + WITHIN_S
    while not (found := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)  # polling: only the history shows what it has
    return found


def _open(machine: Machine) -> dict[str, str]:
    """Return the interactions that wait, in their order, with their queues, as the router shows them."""
    waiting = [each["interaction"] for each in machine.chapar("interactions", "waiting")]
    return {each["interaction_id"]: each["queue"] for each in waiting}


def _story(machine: Machine, interaction: str) -> Any:
    """Return the events that history has. More may come while it is read: warnings and breaches of its targets."""
    return machine.chapar("interactions", "show", interaction)["story"]


async def _empty(database: str) -> None:
    """Lose the database: another one of the same name and without a table."""
    engine = create_async_engine(database)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("drop schema public cascade"))
            await connection.execute(text("create schema public"))
    finally:
        await engine.dispose()


def test_every_command_of_the_guide_works_and_a_lost_machine_comes_back(postgres_url: str, tmp_path: Path) -> None:
    """All interactions that were open at the backup are open after the restoration, with their history, their customers' names and their
    positions, and an agent completes one of them."""
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"the guide's commands need {', '.join(absent)}")
    database = make_url(postgres_url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    plain = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    backup = tmp_path / "backup"
    backup.mkdir()
    before: dict[str, str] = {}
    stories: dict[str, Any] = {}
    restored = False
    with a_machine(tmp_path / "home", database) as machine:
        for number in range(CUSTOMERS):
            machine.chapar(
                "send", f"What does it cost, number {number}?", "--customer", f"c{number}", "--name", f"N{number}"
            )
        before = _until(lambda: found if len(found := _open(machine)) == CUSTOMERS else None)
        _until(lambda: len(machine.chapar("interactions", "list", "--state", "queued")) == CUSTOMERS)
        stories = {name: _story(machine, name) for name in before}
        assert all(stories.values())
        for block in blocks_by("guide"):
            if "tar --extract" in block.text:
                machine.lose()
                asyncio.run(_empty(database))
                restored = True
            machine.run(block, _values(machine, backup, plain, next(iter(before))))
        assert restored, "the guide restores nothing"
        assert _until(lambda: found if len(found := _open(machine)) == CUSTOMERS else None) == before
        for name, events in stories.items():
            after = _story(machine, name)
            assert [event for event in events if event not in after] == []
        _complete_one(machine)
        completed = _until(lambda: machine.chapar("interactions", "list", "--state", "completed"))
        assert {each["interaction_id"] for each in completed} <= before.keys()


def _values(machine: Machine, backup: Path, database: str, interaction: str) -> Mapping[str, str]:
    return {
        "PID": str(machine.pid),
        "BACKUP": str(backup),
        "DIRECTORY": str(backup),
        "DATABASE": database,
        "INTERACTION": interaction,
        "OPS": machine.endpoints["router"]["ops"],
    }


def _complete_one(machine: Machine) -> None:
    one_interaction.work([sys.executable, "-m", "services.cli", *one_interaction.DESK], machine.environment())
