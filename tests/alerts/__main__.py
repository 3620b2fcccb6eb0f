"""`python -m tests.alerts`: watches the demo, then provokes every shipped alert. Prints a table.

Exit codes: 0 all right; 1 the complaints are printed; 3 the check cannot run here, and the output says what is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.alerts.brokers import record_broker
from tests.alerts.check import missing_rows, provoke
from tests.alerts.demo import NOT_HERE, watch_demo, without_sample
from tests.alerts.monitoring import CannotRunError, require_programs
from tests.alerts.rows import ROWS, Row
from tests.alerts.shipped import BROKERS

DIRECTORY: Final = Path("build/alerts").absolute()
CANNOT_RUN: Final = 3
FACTOR: Final = 30
"""Durations are divided by it: two minutes are four seconds, a day is 48 minutes."""


async def _run(rows: Sequence[Row], factor: int, patience: float) -> list[str]:
    complaints: list[str] = []
    began_s = time.monotonic()
    watched = await watch_demo(DIRECTORY / "demo", factor)
    print(f"demo watched: {time.monotonic() - began_s:.0f} s", flush=True)
    fired = [f"fired in the demo: {alert}" for alert in watched.fired]
    if watched.judged:
        complaints += fired
    elif fired:
        print(f"not judged, because a scrape failed on this busy machine: {fired}", flush=True)
    recordings = {**watched.recordings, BROKERS: await record_broker(DIRECTORY / "broker")}
    findings = await provoke(DIRECTORY / "faults", recordings, factor, rows, patience)
    complaints += findings.complaints
    unseen = set(without_sample(watched.names | findings.names)) - NOT_HERE
    complaints += [f"no sample, neither in the demo nor in the faults: {name}" for name in sorted(unseen)]
    empty = [panel for panel in watched.empty if panel in findings.empty]
    complaints += [f"no data, neither in the demo nor in the faults: {panel}" for panel in empty]
    complaints += [f"{each.row.name}: {each.complaint}" for each in findings.results if each.complaint]
    print(f"{len(findings.results)} rows, {time.monotonic() - began_s:.0f} s", flush=True)
    return complaints


def main(arguments: Sequence[str]) -> int:
    """Run the check. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Provoke every shipped alert.")
    parser.add_argument("alerts", nargs="*", help="only these; without any, all")
    parser.add_argument("--patience", type=float, default=1.0, help="times allowed are multiplied by it")
    parser.add_argument("--factor", type=int, default=FACTOR, help="durations are divided by it")
    chosen = parser.parse_args(arguments)
    rows = [row for row in ROWS if not chosen.alerts or row.alert in chosen.alerts]
    try:
        require_programs()
    except CannotRunError as error:
        print(f"alert-check cannot run here: {error}", file=sys.stderr)
        return CANNOT_RUN
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    complaints = missing_rows() + asyncio.run(_run(rows, chosen.factor, chosen.patience))
    for complaint in complaints:
        print(f"FAILED: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
