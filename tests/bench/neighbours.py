"""How much of the machine other processes use while a bench measures (Linux: /proc).

A bench's own processes load the machine on purpose, so the load average does not show whether a figure is valid. The
CPU time of all processes, less that of the bench's own tree and its broker, does.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

VARIABLE: Final = "CHAPAR_BENCH_BEGAN"
SHARE: Final = 0.25
"""Other processes that use more than this share of the machine's CPUs spoil a figure."""
_PROC: Final = Path("/proc")
_COLUMNS: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_WORK: Final = ("user", "nice", "system", "irq", "softirq", "steal")


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU seconds so far, at one moment, of the whole machine and of the bench's own processes."""

    at_s: float
    """Monotonic."""
    all_s: float
    own_s: float
    roots: tuple[int, ...]
    """The processes whose trees are the bench's own."""
    load_1m: float

    @classmethod
    def take(cls, roots: Iterable[int], proc: Path = _PROC) -> Self:
        """Measure now."""
        own = tuple(roots)
        return cls(time.monotonic(), _all_s(proc), _own_s(own, proc), own, round(os.getloadavg()[0], 1))

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return the sample that another process encoded. The monotonic clock is that of the machine."""
        values = json.loads(text)
        return cls(**{**values, "roots": tuple(values["roots"])})


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What other processes used from one sample to another."""

    cores: float
    """Average number of CPUs."""
    load_before: float
    """The load average of one minute at the first sample."""
    cpus: int

    @property
    def spoil(self) -> bool:
        """Whether a figure taken meanwhile is not valid."""
        return self.cores > SHARE * self.cpus

    @classmethod
    def between(cls, begun: Sample, ended: Sample, cpus: int) -> Self:
        elapsed = max(ended.at_s - begun.at_s, 1e-9)
        others = (ended.all_s - begun.all_s) - (ended.own_s - begun.own_s)
        return cls(round(max(0.0, others / elapsed), 2), begun.load_1m, cpus)


def begin(*roots: int) -> None:
    """Mark the beginning of a bench, unless its parent did: of this process and its children, and of `roots` too."""
    if VARIABLE not in os.environ and (_PROC / "stat").exists():
        os.environ[VARIABLE] = Sample.take({os.getpid(), *roots}).encode()


def so_far(environment: Mapping[str, str] = os.environ) -> Neighbours | None:
    """Return what other processes used since the beginning; None if no beginning is known."""
    text = environment.get(VARIABLE)
    if text is None:
        return None
    begun = Sample.decode(text)
    return Neighbours.between(begun, Sample.take(begun.roots), os.cpu_count() or 1)


def _all_s(proc: Path) -> float:
    """Return the seconds that all CPUs worked, or another machine on the same host took from them."""
    values = dict(zip(_COLUMNS, (proc / "stat").read_text().split("\n", 1)[0].split()[1:], strict=False))
    return sum(int(values[name]) for name in _WORK) / os.sysconf("SC_CLK_TCK")


def _own_s(roots: Iterable[int], proc: Path) -> float:
    """Return the CPU seconds of the processes and of all their descendants, also those that have ended."""
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # After the name, which may contain anything but ends with the last bracket: state, parent, …; the 12th to
            # the 15th are its own user and system time, and those of its children that have ended.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile; its time is counted in its parent's
        parents[int(folder.name)] = int(fields[1])
        used[int(folder.name)] = sum(map(int, fields[11:15]))
    own = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    return sum(used.get(pid, 0) for pid in own) / os.sysconf("SC_CLK_TCK")
