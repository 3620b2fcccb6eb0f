"""How much of a machine the broker takes, and how a machine is measured."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.cli.local.broker.machine import Machine, measure
from services.cli.local.broker.sizing import choose

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("cpus", "free_gib", "heap", "full_compiler"),
    [
        (1, 0.5, "160m", False),
        (2, 3.9, "160m", False),
        (2, 4, "256m", False),
        (2, 23, "512m", False),  # two cores: the second compiler would take one from the services for a minute
        (3.5, 16, "512m", False),
        (4, 2, "160m", True),
        (4, 7.9, "256m", True),
        (16, 64, "512m", True),
    ],
)
def test_the_choice_follows_the_machine(cpus: float, free_gib: float, heap: str, full_compiler: bool) -> None:
    """CPUs decide about the compiler, free memory about the heap."""
    chosen = choose(Machine(cpus, int(free_gib * GIB)))
    assert (chosen.heap, chosen.full_compiler) == (heap, full_compiler)


def test_unknown_memory_gives_the_least_heap() -> None:
    """A system that does not say what is free may have nothing to spare."""
    chosen = choose(Machine(8, None))
    assert (chosen.heap, chosen.full_compiler) == ("160m", True)
    assert str(chosen) == "heap 160m, full compiler; 8 CPUs, free memory not known"


def test_settings_override_the_choice() -> None:
    """Each for itself; the other is still chosen."""
    small, large = Machine(1, 0), Machine(16, 64 * GIB)
    assert choose(small, heap="2g").heap == "2g"
    assert choose(small, full_compiler=True).full_compiler
    assert not choose(large, full_compiler=False).full_compiler
    assert choose(large, full_compiler=False).heap == "512m"
    assert str(choose(large, "160m", False)) == "heap 160m, first compiler only; as set"


def test_the_reason_names_what_was_measured() -> None:
    """So that a user sees why their broker is small."""
    assert str(choose(Machine(1, int(1.5 * GIB)))) == "heap 160m, first compiler only; 1 CPU, 1.5 GB of memory free"


def a_machine(root: Path, files: dict[str, str]) -> Machine:
    """Measure a machine with 8 GB available and these files."""
    everything = {"proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n", **files}
    for name, text in everything.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return measure(root)


def own_cpus() -> float:
    return float(len(os.sched_getaffinity(0)))


V2, V1 = "0::/pod/app\n", "4:memory:/pod/app\n3:cpu,cpuacct:/pod/app\n0::/\n"
CGROUP = "sys/fs/cgroup"


def test_without_limits_the_whole_machine_counts(tmp_path: Path) -> None:
    """Memory that can be freed counts as free."""
    assert a_machine(tmp_path, {}) == Machine(own_cpus(), 8 * GIB)


def test_a_system_without_proc_says_nothing_about_memory(tmp_path: Path) -> None:
    """For example macOS."""
    assert measure(tmp_path) == Machine(own_cpus(), None)


@pytest.mark.parametrize(
    "files",
    [
        {  # version 2: the group's own limits
            "proc/self/cgroup": V2,
            f"{CGROUP}/pod/app/cpu.max": "50000 100000\n",
            f"{CGROUP}/pod/app/memory.max": f"{GIB}\n",
            f"{CGROUP}/pod/app/memory.current": f"{512 * MIB}\n",
            f"{CGROUP}/pod/app/memory.stat": f"anon 5\ninactive_file {128 * MIB}\n",
        },
        {  # version 2: the limits of a group above it, its own are larger or absent
            "proc/self/cgroup": V2,
            f"{CGROUP}/pod/app/cpu.max": "max 100000\n",
            f"{CGROUP}/pod/cpu.max": "50000 100000\n",
            f"{CGROUP}/pod/app/memory.max": "max\n",
            f"{CGROUP}/pod/app/memory.current": f"{100 * MIB}\n",
            f"{CGROUP}/pod/memory.max": f"{GIB}\n",
            f"{CGROUP}/pod/memory.current": f"{384 * MIB}\n",
        },
        {  # version 2 in a container: the path is the host's, the limits are at the top
            "proc/self/cgroup": V2,
            f"{CGROUP}/cpu.max": "50000 100000\n",
            f"{CGROUP}/memory.max": f"{GIB}\n",
            f"{CGROUP}/memory.current": f"{384 * MIB}\n",
        },
        {  # version 1
            "proc/self/cgroup": V1,
            f"{CGROUP}/cpu/pod/app/cpu.cfs_quota_us": "50000\n",
            f"{CGROUP}/cpu/pod/app/cpu.cfs_period_us": "100000\n",
            f"{CGROUP}/memory/pod/app/memory.limit_in_bytes": f"{GIB}\n",
            f"{CGROUP}/memory/pod/app/memory.usage_in_bytes": f"{512 * MIB}\n",
            f"{CGROUP}/memory/pod/app/memory.stat": f"inactive_file 7\ntotal_inactive_file {128 * MIB}\n",
            f"{CGROUP}/memory/memory.limit_in_bytes": "9223372036854771712\n",
            f"{CGROUP}/memory/memory.usage_in_bytes": f"{2 * GIB}\n",
        },
    ],
)
def test_limits_of_control_groups_hold(tmp_path: Path, files: dict[str, str]) -> None:
    """Half a CPU, and 1 GB of which 640 MB can be had."""
    assert a_machine(tmp_path, files) == Machine(0.5, 640 * MIB)


@pytest.mark.parametrize(
    "files",
    [
        {
            "proc/self/cgroup": V2,
            f"{CGROUP}/pod/app/cpu.max": "max 100000\n",
            f"{CGROUP}/pod/app/memory.max": "max\n",
            f"{CGROUP}/pod/app/memory.current": "5\n",
        },
        {
            "proc/self/cgroup": V1,
            f"{CGROUP}/cpu/pod/app/cpu.cfs_quota_us": "-1\n",
            f"{CGROUP}/cpu/pod/app/cpu.cfs_period_us": "100000\n",
            f"{CGROUP}/memory/pod/app/memory.limit_in_bytes": "9223372036854771712\n",
            f"{CGROUP}/memory/pod/app/memory.usage_in_bytes": "5\n",
        },
    ],
)
def test_a_group_without_limits_limits_nothing(tmp_path: Path, files: dict[str, str]) -> None:
    """Both versions have a value that means "no limit"."""
    assert a_machine(tmp_path, files) == Machine(own_cpus(), 8 * GIB)


def test_a_group_over_its_limit_has_no_memory_free(tmp_path: Path) -> None:
    """The limit may be lowered below what is in use."""
    files = {
        "proc/self/cgroup": V2,
        f"{CGROUP}/pod/app/memory.max": "5\n",
        f"{CGROUP}/pod/app/memory.current": "9\n",
    }
    assert a_machine(tmp_path, files).free_bytes == 0
