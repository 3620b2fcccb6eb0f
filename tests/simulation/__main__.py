"""`python -m tests.simulation --seeds 1000 [--first 0] [--jobs 2]`: runs many seeds with progress and reports the figure.

`--only SEED` runs one seed and prints its event log. Ends with 1 when a seed fails or a rare path was never reached.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Final

from tests.bench.figures import tell
from tests.simulation.campaign import Totals, explain, run_seeds
from tests.simulation.machinery import Machinery
from tests.simulation.rare_paths import RARE_PATHS, missing

_CHUNK: Final = 50
_EXPLAINED: Final = 5
"""The number of failing seeds that are explained in full."""
_ENOUGH: Final = 500
"""Fewer seeds need not reach every rare path."""


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes")
    parser.add_argument("--only", type=int, default=None, help="run this seed alone and print its event log")
    return parser.parse_args()


def alone(seed: int) -> int:
    """Run one seed and print everything."""
    print(explain(seed, Machinery()))
    return int(bool(run_seeds([seed], Machinery()).failed))


def chunk(first: int, many: int) -> Totals:
    """Run some seeds in a worker process."""
    return run_seeds(range(first, first + many), Machinery())


def many(seeds: int, first: int, jobs: int) -> int:
    """Run all seeds, with a line of progress after each chunk; return the exit code."""
    totals, begun = Totals(), time.perf_counter()
    with ProcessPoolExecutor(jobs) as pool:
        for done in as_completed(pool.submit(chunk, at, size) for at, size in _chunks(first, seeds)):
            totals.add(done.result())
            rate = totals.seeds / (time.perf_counter() - begun)
            print(f"{totals.seeds}/{seeds} seeds, {rate:.1f} a second, {len(totals.failed)} failed", flush=True)
    for path in RARE_PATHS:
        print(f"{totals.reached[path]:>9}  {path}")
    tell("dst_seeds_per_s", round(totals.seeds / (time.perf_counter() - begun), 1), "1/s", ">=20", seeds=totals.seeds)
    for seed in sorted(totals.failed)[:_EXPLAINED]:
        print(explain(seed, Machinery()))
    print(f"failed: {sorted(totals.failed)}" if totals.failed else "every invariant held")
    unreached = missing(totals.reached) if seeds >= _ENOUGH else []
    if unreached:
        print(f"never reached: {unreached}")
    return int(bool(totals.failed or unreached))


def _chunks(first: int, seeds: int) -> Iterator[tuple[int, int]]:
    for at in range(first, first + seeds, _CHUNK):
        yield at, min(_CHUNK, first + seeds - at)


if __name__ == "__main__":
    chosen = arguments()
    sys.exit(alone(chosen.only) if chosen.only is not None else many(chosen.seeds, chosen.first, chosen.jobs))
