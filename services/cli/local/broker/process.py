"""Which process is ours. A pid alone proves nothing: after a crash or a reboot another process may have it, so the start time is kept too."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def identity(pid: int) -> str | None:
    """Return a text that differs from that of every other process with the same pid; None if the process does not run (as a zombie)."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name in parentheses may hold anything: fields are counted after the last ')'. State is the 3rd, start time the 22nd.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        # The first thread of a killed process may be a zombie while others still end: until the last one (the 20th field counts
        # them) its ports are taken.
        return None if fields[0] in "ZX" and int(fields[17]) <= 1 else f"{boot}/{fields[19]}"
    shown = subprocess.run(  # noqa: S603 - macOS and the BSDs
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return None if len(shown) < 2 or shown[0].startswith("Z") else shown[1].strip()


def resident_bytes(pid: int) -> int | None:
    """Return the memory that the process really occupies, in bytes; None when it is unknown."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def end(pid: int, known_as: str, grace_s: float, reap: Callable[[], object] = lambda: None) -> bool:
    """Send SIGTERM, and SIGKILL after `grace_s`. Return False if SIGKILL was needed. `reap` waits for the process if it is our child."""
    if identity(pid) != known_as:
        return True
    os.kill(pid, signal.SIGTERM)
    if wait_gone(pid, known_as, grace_s, reap):
        return True
    if identity(pid) == known_as:
        os.kill(pid, signal.SIGKILL)
    wait_gone(pid, known_as, 10.0, reap)
    return False


def wait_gone(pid: int, known_as: str, within_s: float, reap: Callable[[], object] = lambda: None) -> bool:
    """Wait until the process has ended. Return whether it did so within `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        reap()
        if identity(pid) != known_as:
            return True
        time.sleep(0.02)  # polling: a process that is not our child cannot be waited for
    return False
