"""A wrong clock of the machine: no deadline is decided by it, the alert's metric shows it, and nothing is left of it afterwards."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chapar.router.v1 import records_pb2 as router
from services.chassis.clock import system_clock
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.sla.test_process import a_process
from tests.integration.sla.world import World, a_world, configuration, eventually, target

pytestmark = pytest.mark.kafka
HOUR_MS = 3_600_000
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


class Machine:
    """The machine's clock, and what is wrong with it."""

    def __init__(self, wrong_ms: int = 0) -> None:
        self.wrong_ms = wrong_ms

    def __call__(self) -> int:
        return system_clock() + self.wrong_ms


@pytest.fixture
async def world(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(kafka.settings(prefix), tmp_path) as made:
        yield made


def kinds(world: World, interaction: str) -> list[str]:
    return [kind for _, kind, level in world.told(interaction) if level != "DESIRED" or kind == "MET"]


async def queue(world: World, name: str) -> None:
    await world.route(name, queued=router.InteractionQueued())
    await eventually(lambda: kinds(world, name))


def all_near_the_true_time(world: World) -> bool:
    return all(abs(event.occurred_at_ms - system_clock()) < 60_000 for event in world.events)


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS])
async def test_a_clock_that_steps_decides_nothing(world: World, step_ms: int) -> None:
    """The machine's clock steps by an hour and back, before and after a lane has written since. No breach is reported for it; the deadline of
    the time after it is decided at its own time."""
    machine = Machine()
    await world.apply(configuration(target("PICK_UP", 3_000, 3_000)))
    async with world.replica(clock=machine) as service:

        def refused(clock: str = "machine") -> float | None:
            return service.metrics.value("chapar_clock_refused", clock)

        await queue(world, "i1")
        machine.wrong_ms = step_ms
        await queue(world, "i2")
        assert refused() == 1
        for name in ("i1", "i2"):
            await world.route(name, assigned=router.InteractionAssigned(agent_id="sara"))
            await eventually(lambda name=name: len(kinds(world, name)) > 1)  # type: ignore[misc]  # binds the name
        machine.wrong_ms = 0
        await queue(world, "i3")
        assert (refused(), refused("broker")) == (0, 0)
        await eventually(lambda: len(kinds(world, "i3")) > 1)
    assert all_near_the_true_time(world)
    assert kinds(world, "i1") == kinds(world, "i2") == ["DEADLINE_SET", "MET"]
    assert kinds(world, "i3") == ["DEADLINE_SET", "BREACHED"]
    breach = world.events[-1]
    assert 0 <= breach.occurred_at_ms - breach.adequate_at_ms < 2_000


async def test_a_process_that_starts_with_a_wrong_clock(world: World) -> None:
    """Its lane takes the broker's time before it decides anything."""
    machine = Machine(HOUR_MS)
    await world.apply(configuration(target("PICK_UP", 60_000, 60_000)))
    async with world.replica(clock=machine) as service:
        await queue(world, "i1")
        assert service.metrics.value("chapar_clock_refused", "machine") == 1
        machine.wrong_ms = 0
        await queue(world, "i2")
        assert service.metrics.value("chapar_clock_refused", "machine") == 0
    assert all_near_the_true_time(world)
    assert kinds(world, "i1") == kinds(world, "i2") == ["DEADLINE_SET"]


@pytest.mark.slow
@pytest.mark.skipif(not LIBRARY.exists(), reason="needs Debian's package faketime")
async def test_the_clock_of_a_real_process_steps(world: World, tmp_path: Path) -> None:
    """libfaketime sets the process's clock an hour ahead, and right again."""
    setting = tmp_path / "faketime"
    setting.write_text("+0")
    faked = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(setting),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    await world.apply(configuration(target("PICK_UP", 4_000, 4_000)))
    async with a_process(world, tmp_path, "sla-1", **faked):
        await queue(world, "i1")
        setting.write_text("+3600")
        await queue(world, "i2")
        for name in ("i1", "i2"):
            await world.route(name, assigned=router.InteractionAssigned(agent_id="sara"))
            await eventually(lambda name=name: len(kinds(world, name)) > 1)  # type: ignore[misc]  # binds the name
        setting.write_text("+0")
        await queue(world, "i3")
        await eventually(lambda: len(kinds(world, "i3")) > 1)
    assert "a clock is wrong and is refused" in (tmp_path / "sla-1.log").read_text()
    assert all_near_the_true_time(world)
    assert [kinds(world, name)[1] for name in ("i1", "i2", "i3")] == ["MET", "MET", "BREACHED"]
