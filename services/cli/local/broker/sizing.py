"""How much of the machine the embedded broker takes: Java's heap, and which of its compilers.

Measured: the full compiler halves the broker's CPU of a transaction after a minute, but until then it needs a core for
itself, so a machine with fewer than four CPUs begins twice as slowly. A heap larger than the least one costs memory and
saves garbage collections. Settings override both.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.cli.local.broker.machine import Machine

GIB = 1 << 30
LEAST_HEAP = "160m"
"""Keeps the whole process below 260 MB."""
HEAPS = ((8 * GIB, "512m"), (4 * GIB, "256m"))
"""The heap for at least this amount of free memory, the largest first."""
CPUS_OF_FULL_COMPILER = 4


@dataclass(frozen=True)
class Sizing:
    """The choice for one start."""

    heap: str
    """Java's -Xmx."""
    full_compiler: bool
    """Whether Java's second compiler is on as well."""
    reason: str
    """What it was chosen by, e.g. "8 CPUs, 20.1 GB of memory free"."""

    def __str__(self) -> str:
        compiler = "full compiler" if self.full_compiler else "first compiler only"
        return f"heap {self.heap}, {compiler}; {self.reason}"


def choose(machine: Machine, heap: str | None = None, full_compiler: bool | None = None) -> Sizing:
    """Choose by the machine. `heap` and `full_compiler` are the user's settings; None leaves the choice open."""
    if heap is not None and full_compiler is not None:
        return Sizing(heap, full_compiler, "as set")
    free = machine.free_bytes or 0
    fitting = next((size for least, size in HEAPS if free >= least), LEAST_HEAP)
    cpus = f"{machine.cpus:g} CPU{'' if machine.cpus == 1 else 's'}"
    memory = f"{free / GIB:.1f} GB of memory free" if machine.free_bytes is not None else "free memory not known"
    return Sizing(
        heap or fitting,
        machine.cpus >= CPUS_OF_FULL_COMPILER if full_compiler is None else full_compiler,
        f"{cpus}, {memory}",
    )
