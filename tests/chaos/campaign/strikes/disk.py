"""A full disk: the broker's data are on a small file system in memory, which the campaign fills."""

import asyncio
import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.chaos.campaign.stage import Scene

SIZE_MB: Final = 384
FULL_S: Final = 8.0


def may_mount() -> bool:
    """Return whether this process may mount a file system."""
    return os.geteuid() == 0


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a small file system in memory for the duration of the block. Raises CalledProcessError when that is not allowed."""
    with tempfile.TemporaryDirectory(prefix="chapar-small-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


async def full_disk(scene: Scene) -> None:
    """Fill the broker's disk, wait, free it, and start the broker again: Kafka ends itself when its only log directory fails."""
    ballast = scene.stage.home / "ballast"
    await asyncio.to_thread(_fill, ballast)
    try:
        await asyncio.sleep(FULL_S)
    finally:
        ballast.unlink()
    if not await scene.stage.broker.ended():
        await scene.stage.broker.kill()
    await scene.stage.broker.start()
    await scene.stack.supervisor.wait_ready(90)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # ENOSPC: the disk is full
        while True:
            file.write(b"\0" * (1 << 20))
