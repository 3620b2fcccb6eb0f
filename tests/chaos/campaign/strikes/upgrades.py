"""An upgrade and its way back, one process after another, while customers write: old, mixed, new, mixed, old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from services.chassis.build import version
from services.chassis.clock import system_clock
from services.cli.changelog_status import ChangelogStatus, statuses
from services.cli.local.supervisor import Program
from tests.chaos.campaign.stage import Scene
from tests.chaos.campaign.version_before import version_before

PHASE_S: Final = 5.0
"""How long customers write to each mixture of versions."""
_WITHIN_S: Final = 180.0
"""Much more than a start takes on a quiet machine (4 s)."""


async def rolling_upgrade(scene: Scene) -> None:
    """Replace each process by the new version, then each by the version before."""
    names = list(scene.stack.running.endpoints)
    second = [name for name in names if "-" in name]
    first = [name for name in names if "-" not in name]
    before, new = version_before(), frozenset({version()})
    with scene.crowd.kept_arriving():
        old = await _settled(scene, "old", lambda found: all(len(each.versions) == 1 for each in found))
        await _phase(scene, "mixed", second, None, old | new)
        await _phase(scene, "new", first, None, new)
        await _phase(scene, "mixed again", second, before, old | new)
        await _phase(scene, "old again", first, before, old)


async def _phase(
    scene: Scene, name: str, moved: Sequence[str], program: Program | None, expected: frozenset[str]
) -> None:
    """Move processes, wait until `chapar upgrade status` shows these versions for every lane, and let customers write for a while."""
    begun = time.monotonic()
    async with (
        asyncio.TaskGroup() as moves
    ):  # as Kubernetes does, which rolls out all Deployments of a release together
        for process in moved:
            moves.create_task(_move(scene, process, program), name=f"move {process}")
    await _settled(scene, name, lambda found: all({*each.versions} == expected for each in found))
    scene.say(f"upgrade: {name} after {time.monotonic() - begun:.0f} s")


async def _settled(scene: Scene, name: str, is_so: Callable[[Sequence[ChangelogStatus]], bool]) -> frozenset[str]:
    """Wait until each partition has an owner and `is_so`; then let customers write for a while. Returns the versions of all owners."""
    until = time.monotonic() + _WITHIN_S
    while not is_so(found := await statuses(scene.direct, system_clock)) or _unowned(found):
        assert time.monotonic() < until, f"{name}: {[(each.changelog, each.versions, each.stops) for each in found]}"
        await asyncio.sleep(0.5)
    versions = frozenset(version for each in found for version in each.versions)
    # A version that does not say its formats stops finalising, and nothing else does.
    assert any(each.stops for each in found) == ("" in versions), name
    await asyncio.sleep(PHASE_S)
    return versions


def _unowned(found: Sequence[ChangelogStatus]) -> bool:
    return any("has no owner now" in sentence for each in found for sentence in each.stops)


async def _move(scene: Scene, process: str, program: Program | None) -> None:
    supervisor = scene.stack.supervisor
    before = supervisor.restarts()[process]
    supervisor.move(process, program)
    async with asyncio.timeout(_WITHIN_S):
        while supervisor.restarts()[process] == before:  # noqa: ASYNC110 - the supervisor has no event
            await asyncio.sleep(0.05)
    await supervisor.wait_ready(_WITHIN_S)
