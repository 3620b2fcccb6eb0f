"""`python -m tests.chaos.campaign [fault…]`: plays the faults, prints a table, and fails on any violation."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import random
import sys
import traceback
from collections.abc import Sequence

from tests.bench.figures import tell
from tests.chaos.campaign.fault import Fault
from tests.chaos.campaign.faults import FAULTS, cannot
from tests.chaos.campaign.play import EVIDENCE, Row, play
from tests.chaos.campaign.stage import a_stage
from tests.chaos.campaign.strikes.disk import small_disk
from tests.chaos.campaign.traffic import Traffic
from tests.chaos.history.model import Violation

_HEAD = (
    "fault",
    "inter-",
    "mes-",
    "lost",
    "doubled",
    "unknown",
    "false",
    "violations",
    "customers",
    "agents",
    "drained",
)
_UNDER = ("", "actions", "sages", "", "", "", "breaches", "", "s", "s", "s")
_SHOWN = 20
LOG = EVIDENCE / "campaign.log"
"""The warnings of the campaign's own clients: broken connections are what it is about."""


def line(cells: Sequence[object]) -> str:
    """Return one line of the table."""
    first, *rest = cells
    return f"{first!s:42}" + "".join(f"{cell!s:>11}" for cell in rest)


def cells(row: Row) -> tuple[object, ...]:
    """Return the cells of a row."""
    return (
        row.fault, row.interactions, row.messages, row.lost, row.doubled, row.unknown, row.false_breaches,
        row.violations, row.customers_s, row.agents_s, row.drained_s,
    )  # fmt: skip


def chosen(names: Sequence[str], pairs: int, seed: int) -> list[tuple[Fault, ...]]:
    """Return the runs: each named fault (all of them without names), then pairs of different ones, drawn with the seed."""
    singles = [FAULTS[name] for name in (names or FAULTS)]
    singles = [fault for fault in singles if not cannot(fault)]
    paired = [
        fault
        for fault in singles
        if fault.name != "none" and not (fault.alone or fault.small_disk or fault.processes.upgraded)
    ]
    both = list(itertools.combinations(paired, 2))
    drawn = random.Random(seed).sample(both, min(pairs, len(both)))
    return [*((fault,) for fault in singles), *drawn]


def unknown_after_kills(rows: Sequence[Row]) -> float | None:
    """Return the share of replies of unknown outcome in the runs in which only a service was killed; None without such a run."""
    kills = [row for row in rows if row.fault.startswith("kill") and "broker" not in row.fault and "+" not in row.fault]
    replies = sum(row.replies for row in kills)
    return round(sum(row.unknown for row in kills) / replies, 4) if replies else None


def show(row: Row, wrong: Sequence[Violation]) -> None:
    """Print a row, and the first violations of its run."""
    print(line(cells(row)), flush=True)
    if row.refused:
        print(f"    never acknowledged: {dict(row.refused)}", flush=True)
    for violation in wrong[:_SHOWN]:
        print(f"    {violation}", flush=True)
    if len(wrong) > _SHOWN:
        print(f"    and {len(wrong) - _SHOWN} more: build/chaos", flush=True)


async def campaign(runs: Sequence[tuple[Fault, ...]], traffic: Traffic, seed: int) -> tuple[list[Row], list[Violation]]:
    """Play the runs one after another on one broker, and print their rows as they come."""
    rows: list[Row] = []
    found: list[Violation] = []

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    print(f"{line(_HEAD)}\n{line(_UNDER)}", flush=True)
    for small, group in itertools.groupby(enumerate(runs), lambda run: any(fault.small_disk for fault in run[1])):
        with small_disk() if small else contextlib.nullcontext() as parent:
            async with a_stage(parent) as stage:
                for number, faults in group:
                    try:
                        row, wrong = await play(stage, faults, traffic, seed + number, say)
                    except Exception as error:  # noqa: BLE001 - the other runs are worth having; this one fails the campaign
                        name = " + ".join(fault.name for fault in faults)
                        print(f"{name}: the run failed", flush=True)
                        traceback.print_exception(error)
                        found.append(Violation("RUN", "failed", name, repr(error)))
                        continue
                    show(row, wrong)
                    rows.append(row)
                    found += wrong
    return rows, found


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.campaign", description=(__doc__ or "").split(": ")[1])
    parser.add_argument("faults", nargs="*", metavar="fault", help="which faults; default: all")
    parser.add_argument("--list", action="store_true", help="list the faults")
    parser.add_argument("--rate", type=float, default=12.0, help="customers a second")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long customers arrive in each run")
    parser.add_argument("--pairs", type=int, default=0, help="how many pairs of faults to play after the single ones")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.list:
        print("\n".join(FAULTS))
        return 0
    if unknown := [name for name in given.faults if name not in FAULTS]:
        parser.error(f"there is no fault {', '.join(unknown)}: see --list")
    runs = chosen(given.faults, given.pairs, given.seed)
    for name in given.faults or FAULTS:
        if why := cannot(FAULTS[name]):
            print(f"{name}: not injected, because {why}", flush=True)
    if not runs:
        return 1  # nothing was checked
    LOG.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=LOG, filemode="w", format="%(asctime)s %(name)s %(message)s")
    rows, found = asyncio.run(campaign(runs, Traffic(given.rate, given.seconds), given.seed))
    interactions = sum(row.interactions for row in rows)
    if (share := unknown_after_kills(rows)) is not None:
        tell("unknown_after_kill_share", share, "of replies", "<=0.005")
    tell("chaos_violations", len(found), "violations", "<=0", interactions=interactions, runs=[r.data() for r in rows])
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
