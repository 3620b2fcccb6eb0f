"""What this process may use of the machine: CPUs and memory, within the limits of its control groups (versions 1 and 2)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
_NO_LIMIT = 1 << 60
"""Version 1 of control groups writes a number near 2**63 for "no limit"."""


@dataclass(frozen=True)
class Machine:
    """What a new process could use now."""

    cpus: float
    """CPUs, or parts of them, by affinity and quota."""
    free_bytes: int | None
    """Memory that is free or can be freed; None when the system does not say."""


def measure(root: Path = ROOT) -> Machine:
    """Measure this machine. `root`: the directory that contains `proc` and `sys`."""
    quotas = (_quota(group) for group in _groups(root, "cpu"))
    free = (_available(root), *(_free(group) for group in _groups(root, "memory")))
    known = [each for each in free if each is not None]
    return Machine(
        min([float(_affinity()), *(each for each in quotas if each is not None)]),
        max(0, min(known)) if known else None,
    )


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _available(root: Path) -> int | None:
    value = _values(root / "proc" / "meminfo").get("MemAvailable:")
    return value * 1024 if value is not None else None


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the directories of this process's group and of all groups above it: the limits of each of them hold."""
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys" / "fs" / "cgroup" / ("" if number == "0" else controller)
        # In a container the path may be that of the host, which does not exist there: the group is then at the top.
        group = top / path.strip("/")
        yield from (each for each in (group, *group.parents) if each == top or top in each.parents)


def _quota(group: Path) -> float | None:
    """Return the CPUs that the group may use on average; None without a quota."""
    quota, _, period = _text(group / "cpu.max").partition(" ")
    if not quota:
        quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
    limited = (
        quota.strip().isdigit() and period.strip().isdigit()
    )  # "max", or -1 in version 1, means that there is not a quota
    return int(quota) / int(period) if limited else None


def _free(group: Path) -> int | None:
    """Return the bytes that the group may still use; None without a limit."""
    for limit_file, used_file in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        limit, used = _text(group / limit_file).strip(), _text(group / used_file).strip()
        if limit.isdigit() and used.isdigit() and int(limit) < _NO_LIMIT:
            # Pages of files that were not read lately are given back at once when a process needs memory.
            cached = _values(group / "memory.stat")
            return int(limit) - int(used) + cached.get("total_inactive_file", cached.get("inactive_file", 0))
    return None


def _values(file: Path) -> dict[str, int]:
    """Return the numbers of a file with a name and a number on each line."""
    lines = (line.split() for line in _text(file).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) >= 2 and words[1].isdigit()}


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""  # not Linux, or without this controller
