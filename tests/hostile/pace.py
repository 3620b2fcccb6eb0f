"""Measures whether the CPU time of a function grows faster than its input. It compares ratios, never absolute times of a machine."""

import functools
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.hostile.entry import Entry

_FIRST = 4 << 10
_STEP = 4
_MOST_RATIO = 2.0 * _STEP
"""Four times the input may take eight times as long, because of caches and allocators; quadratic work takes sixteen times."""
_LOOP_SHARE = 2.5
"""Times the baseline, which takes 20 ms on the machine for which 50 ms are required."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One input for which a function is too slow. `size` in characters or bytes; `what`: the violation."""

    kind: str
    size: int
    what: str


def reference() -> float:
    """Return the CPU of a fixed piece of work, now."""
    return least(lambda: sum(range(1_000_000)), 5)


@functools.cache
def baseline() -> float:
    """Return the CPU time of a fixed piece of work, in seconds."""
    # After this the allocator keeps blocks of this size. Before it, the allocator requests and returns each block above 128 KB,
    # which costs more than the work on the block.
    block = bytes(24 << 20)
    del block
    return reference()


def least(work: Callable[[], object], times: int) -> float:
    """Return the least CPU time of several runs, in seconds, so that other load on the machine has no influence."""
    spent = []
    gc.disable()  # the cost of a collection depends on all objects of the process
    try:
        for _ in range(times):
            begun = time.thread_time()
            work()
            spent.append(time.thread_time() - begun)
    finally:
        gc.enable()
    return min(spent)


def sizes(most: int) -> Iterator[int]:
    """Yield growing sizes; the largest is the last."""
    size = min(_FIRST, most)
    while size < most:
        yield size
        size *= _STEP
    yield most


def faults_of(entry: Entry, kind: str, make: Callable[[int], str | bytes], largest: int) -> list[Fault]:
    """Return the faults of a function for one kind of input, at sizes up to `largest`.

    Stops at the first fault, because larger inputs could take hours.
    """

    def cost(size: int, times: int) -> float:
        given = make(size)
        return least(lambda: entry.feed(given), times)

    # Below this, the resolution of the clock and the pages of the allocator dominate.
    floor = baseline() / 3
    before, size_before = 0.0, 0
    for size in sizes(min(largest, entry.most)):
        spent = cost(size, 1)
        if size_before and _grows(before, spent, floor):
            before, spent = cost(size_before, 4), cost(size, 4)
            if _grows(before, spent, floor):
                times = spent / max(before, floor / _STEP)
                return [Fault(kind, size, f"{times:.0f} times the CPU for {size / size_before:.1f} times the input")]
        if entry.on_loop and spent > _LOOP_SHARE * baseline():
            # The machine may be slower now than when the baseline was taken: what else runs shares caches and clock.
            spent, beside = cost(size, 4), max(baseline(), reference())
            if spent > _LOOP_SHARE * beside:
                return [Fault(kind, size, f"holds the loop for {spent / beside:.1f} baselines")]
        before, size_before = spent, size
    return []


def _grows(before: float, spent: float, floor: float) -> bool:
    return spent > floor and spent > _MOST_RATIO * max(before, floor / _STEP)
