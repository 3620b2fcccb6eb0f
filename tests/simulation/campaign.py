"""Runs many seeds, and explains those that fail."""

import gc
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.simulation.machinery import Machinery
from tests.simulation.mutations import Mutation
from tests.simulation.simulation import run

KEPT: Final = Path(__file__).with_name("kept_seeds.txt")
LOGS: Final = Path("build/simulation")
_SHOWN: Final = 60


@dataclass(slots=True)
class Totals:
    """What became of a set of seeds."""

    seeds: int = 0
    seconds: float = 0.0
    records: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)

    def add(self, other: "Totals") -> None:
        """Add another set."""
        self.seeds += other.seeds
        self.seconds += other.seconds
        self.records += other.records
        self.reached.update(other.reached)
        self.failed += other.failed


def run_seeds(seeds: Iterable[int], machinery: Machinery) -> Totals:
    """Run seeds one after the other. A run that raises has failed too."""
    totals, begun = Totals(), time.perf_counter()
    gc.collect()
    gc.freeze()  # otherwise each collection visits everything that pytest has loaded
    try:
        for seed in seeds:
            _add(totals, seed, machinery)
    finally:
        gc.unfreeze()
    totals.seconds = time.perf_counter() - begun
    return totals


def _add(totals: Totals, seed: int, machinery: Machinery) -> None:
    totals.seeds += 1
    try:
        report = run(seed, machinery)
    except Exception:  # noqa: BLE001 - any exception is a finding; `explain` shows it
        totals.failed.append(seed)
        return
    totals.records += len(report.log.records)
    totals.reached.update(report.reached)
    if report.violations:
        totals.failed.append(seed)


def explain(seed: int, machinery: Machinery, mutation: Mutation | None = None) -> str:
    """Run a seed again with its event log; return what a person needs. The whole log goes to build/simulation."""
    lines: list[str] = []
    try:
        report = run(seed, machinery, mutation, lines=lines)
    except Exception as error:  # noqa: BLE001 - as above
        found = [f"{type(error).__name__}: {error}"]
    else:
        found = list(report.violations)
    LOGS.mkdir(parents=True, exist_ok=True)
    file = LOGS / f"seed-{seed}.log"
    file.write_text("\n".join([*lines, *found]) + "\n")
    shown = lines[-_SHOWN:]
    return "\n".join(
        [
            f"seed {seed}: {len(found)} violations. Run it alone: make simulate-faults ONLY={seed}",
            f"The whole event log is in {file}; its end:",
            *shown,
            *(f"VIOLATION {violation}" for violation in found),
        ]
    )


def kept_seeds() -> list[int]:
    """Return the seeds that have found something once."""
    lines = (line.partition("#")[0].strip() for line in KEPT.read_text().splitlines())
    return [int(line) for line in lines if line]
