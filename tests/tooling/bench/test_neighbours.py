"""A figure says whether other processes spoiled it, and a bench that does not end is ended."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.bench.__main__ import rendered, run_one
from tests.bench.neighbours import Neighbours, Sample


def a_proc(folder: Path, busy: int, processes: dict[int, tuple[int, int, int]]) -> Path:
    """Write the parts of /proc that are read: `busy` ticks of work, and by process id its parent, its ticks and those
    of its children that have ended."""
    folder.mkdir()
    (folder / "stat").write_text(f"cpu  {busy} 0 0 999999 5 0 0 0 0 0\ncpu0 1 1 1 1\n")
    for pid, (parent, own, ended) in processes.items():
        (folder / str(pid)).mkdir()
        fields = ["S", str(parent), *["0"] * 9, str(own), "0", str(ended), "0", "20", "0"]
        (folder / str(pid) / "stat").write_text(f"{pid} (a (strange) name) {' '.join(fields)}\n")
    return folder


def test_the_benches_own_tree_is_not_a_neighbour(tmp_path: Path) -> None:
    """Of 10 s of work, 7 s are of the bench, its child, a child that has ended, and its broker: 3 s are of others."""
    before = a_proc(tmp_path / "before", 1000, {1: (0, 50, 0), 10: (1, 100, 0), 20: (1, 100, 0), 30: (1, 500, 0)})
    after = a_proc(
        tmp_path / "after",
        2000,
        {1: (0, 50, 0), 10: (1, 200, 100), 11: (10, 300, 0), 20: (1, 300, 0), 30: (1, 800, 0)},
    )
    begun, ended = Sample.take({10, 20}, before), Sample.take({10, 20}, after)
    assert (ended.all_s - begun.all_s, ended.own_s - begun.own_s) == pytest.approx((10.0, 7.0))


def at(at_s: float, all_s: float, own_s: float) -> Sample:
    return Sample(at_s, all_s, own_s, (1,), 0.3)


@pytest.mark.parametrize(
    ("all_s", "own_s", "cores", "spoiled"),
    [
        (20.0, 20.0, 0.0, False),  # the bench fills both cores itself
        (20.0, 15.0, 0.5, False),  # exactly a quarter of two CPUs
        (20.0, 14.0, 0.6, True),
        (5.0, 5.1, 0.0, False),  # two clocks read one after the other
    ],
)
def test_others_spoil_a_figure(all_s: float, own_s: float, cores: float, spoiled: bool) -> None:
    """Only what others use counts, not how busy the bench is itself."""
    others = Neighbours.between(at(100.0, 50.0, 10.0), at(110.0, 50.0 + all_s, 10.0 + own_s), 2)
    assert (others.cores, others.spoil, others.load_before) == (cores, spoiled, 0.3)


def test_a_sample_reaches_the_bench_whole() -> None:
    """The parent takes it, and the bench reads it from its environment."""
    sample = at(1.5, 2.5, 0.5)
    assert Sample.decode(sample.encode()) == sample


def test_the_table_marks_a_spoiled_figure() -> None:
    """A spoiled value shows neither success nor failure."""
    line = {"value": 3, "unit": "s", "goal": "<=4", "load_before": 0.4}
    table = rendered({"good_s": {**line, "spoiled": False}, "spoiled_s": {**line, "spoiled": True}}, {})
    assert "| `good_s` | 3 | s | <=4 | yes | 0.4 |  |" in table
    assert "| `spoiled_s` | 3 | s | <=4 | spoiled | 0.4 |  |" in table


def test_a_bench_that_does_not_end_is_ended() -> None:
    """Also one that ignores SIGTERM would be killed; the next bench begins."""
    waits = [sys.executable, "-c", "import signal; signal.pause()"]
    assert asyncio.run(run_one(waits, {}, 0.2)) == "it did not end within 0 s"


def test_a_bench_that_fails_is_named() -> None:
    """The exit code is in the last line of the output."""
    assert asyncio.run(run_one([sys.executable, "-c", "raise SystemExit(3)"], {}, 60.0)) == "exit code 3"
    assert not asyncio.run(run_one([sys.executable, "-c", ""], {}, 60.0))
