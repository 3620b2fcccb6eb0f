"""CPU of a function on growing inputs, and whether it grows faster than they do. Ratios only; no clock of any machine."""

import functools
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.hostile.registry import Entry

_FIRST = 4 << 10
_STEP = 4
_MOST_RATIO = 2.0 * _STEP
"""Four times the input may take eight times as long: caches and allocators; quadratic work takes sixteen."""
_LOOP_SHARE = 2.5
"""Of the baseline, which takes 20 ms on the machine where 50 ms were promised."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One input that a function is not fit for."""

    kind: str
    size: int
    what: str


@functools.cache
def baseline() -> float:
    """CPU of a fixed piece of work."""
    # From now on the allocator keeps blocks of this size: before, a block above 128 KB is fetched and returned each time,
    # which costs more than what is done with it.
    block = bytes(24 << 20)
    del block
    return least(lambda: sum(range(1_000_000)), 5)


def least(work: Callable[[], object], times: int) -> float:
    """The least CPU of several runs: what else the machine does counts for nothing."""
    spent = []
    gc.disable()  # a collection costs by what the whole process holds
    try:
        for _ in range(times):
            begun = time.thread_time()
            work()
            spent.append(time.thread_time() - begun)
    finally:
        gc.enable()
    return min(spent)


def sizes(most: int) -> Iterator[int]:
    """Growing sizes, the largest last."""
    size = min(_FIRST, most)
    while size < most:
        yield size
        size *= _STEP
    yield most


def faults_of(entry: Entry, kind: str, make: Callable[[int], str | bytes], largest: int) -> list[Fault]:
    """What is wrong with a function for one kind of input, at sizes up to `largest`. Stops at the first fault, before it takes hours."""

    def cost(size: int, times: int) -> float:
        given = make(size)
        return least(lambda: entry.feed(given), times)

    # Below, the clock's own grain and the pages of the allocator are seen.
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
            spent = cost(size, 4)
            if spent > _LOOP_SHARE * baseline():
                return [Fault(kind, size, f"holds the loop for {spent / baseline():.1f} baselines")]
        before, size_before = spent, size
    return []


def _grows(before: float, spent: float, floor: float) -> bool:
    return spent > floor and spent > _MOST_RATIO * max(before, floor / _STEP)
