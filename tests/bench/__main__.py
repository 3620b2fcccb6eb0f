"""The benches, one after another, each in a process of its own: `python -m tests.bench [names…]`; `--list`; `--table`.

Without names, those run that together take at most 15 minutes on a quiet machine; the others have a make target of
their own. A bench that takes four times as long as it should is ended, and the next one begins.

Without KAFKA_BOOTSTRAP_SERVERS, one broker started here serves all benches that need one (CHAPAR_KAFKA_FULL_COMPILER
and CHAPAR_KAFKA_HEAP choose its Java options; see docs/performance.md). `--table` renders the newest value of each
figure in build/figures.jsonl into docs/performance.md.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from services.chassis.kafka_settings import KafkaSettings
from services.cli.local.broker.embedded import EmbeddedBroker
from services.cli.local.broker.settings import BrokerSettings
from tests.bench.figures import FILE, NO_GOAL, newest, reached
from tests.bench.neighbours import VARIABLE, Sample
from tests.bench.stand import a_home, broker_pid

PAGE: Final = Path("docs/performance.md")
BEGIN, END = "<!-- figures: python -m tests.bench --table -->", "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Bench:
    """One module of this package."""

    what: str
    kafka: bool = True
    minutes: float = 1
    """How long it takes on a quiet machine of two cores."""
    apart: str = ""
    """The command that runs it, if `make bench` does not."""


BENCHES: Final = {
    "lane_vs_raw": Bench("a lane over transactions by hand"),
    "edge_vs_bare": Bench("the webhook edge over bare HMAC and produce"),
    "hops": Bench("acknowledged to offered, over bare transactional hops", minutes=2.5),
    "costs": Bench("transactions, requests and CPU of one message (a broker of its own)", kafka=False, minutes=1.5),
    "sustained": Bench("the highest rate of messages that the whole product sustains", minutes=2),
    "path": Bench("life cycles a second through the router"),
    "scaling": Bench(
        "one, two and three replicas, and what `chapar size` predicts", minutes=4, apart="make scaling-check"
    ),
    "takeover": Bench("from SIGKILL of a router to decisions elsewhere"),
    "rolling": Bench("what customers wait while routers, then ingests, restart one after another", minutes=1.5),
    "footprint": Bench(
        "time until ready, idle CPU, memory of each process (a broker of its own)", kafka=False, minutes=2.5
    ),
    "router_engine": Bench("the router's decisions without Kafka", kafka=False),
    "engine": Bench("the engine in a pool of 15,000 agents", kafka=False, minutes=3, apart="make bench-engine"),
    "simulator": Bench("the what-if simulator over ciw and simpy", kafka=False),
    "estimates": Bench("the announced 90th percentile of the wait against what happened", kafka=False, minutes=0.5),
    "staffing": Bench(
        "the what-if simulator's search for staffing against an exhaustive one",
        kafka=False,
        minutes=6,
        apart="make bench-simulator",
    ),
    "goals": Bench(
        "several goals at once: the adaptive order against others",
        kafka=False,
        minutes=20,
        apart="make bench-simulator",
    ),
    "references": Bench(
        "the what-if simulator against Erlang's formulas", kafka=False, minutes=3, apart="make references"
    ),
    "sla_engine": Bench(
        "a million deadlines: memory, restore, lateness", kafka=False, minutes=2.5, apart="make bench-sla"
    ),
    "sla_prediction": Bench("forecasts of breaches on simulated days", kafka=False, apart="make bench-sla"),
    "sla_calendar": Bench("deadlines in business time", kafka=False, minutes=0.5),
    "hostile": Bench(
        "stalls, memory and refused neighbours under hostile input", minutes=5, apart="make bench-hostile"
    ),
    "hostile_fairness": Bench("one tenant floods, another is served", minutes=5, apart="make bench-hostile"),
    "privacy": Bench("the cost of encrypting personal data", kafka=False, minutes=0.5),
    "edge_with_files": Bench(
        "the webhook edge with a file in each call over bare HMAC and produce", apart="make bench-channels"
    ),
    "readable": Bench(
        "the new text of our own labelled mails, and what reading a mail costs",
        kafka=False,
        minutes=0.5,
        apart="make bench-channels",
    ),
    "automatic": Bench("the kinds of our own labelled mails", kafka=False, minutes=0.5, apart="make bench-channels"),
    "feedback": Bench("responses through the survey page, and reading scores"),
}
LIMIT: Final = 4.0
"""A bench is ended after its minutes times this."""
_TERMINATED_S: Final = 30.0


@contextlib.asynccontextmanager
async def a_shared_broker(needed: bool) -> AsyncIterator[tuple[dict[str, str], int | None]]:
    """Yield the environment variables by which benches find a broker, and the broker's process if it runs here."""
    if not needed:
        yield {}, None
        return
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield {}, broker_pid(KafkaSettings.from_environment())
        return
    with a_home() as home:
        async with EmbeddedBroker(BrokerSettings(home=home.home)) as broker:
            print(f"broker at {broker.bootstrap}, {broker.sizing}", flush=True)
            yield {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap}, broker.pid


async def run(names: list[str]) -> int:
    """Run all of them, even if one fails or does not end; return 1 then."""
    failed = []
    async with a_shared_broker(any(BENCHES[name].kafka for name in names)) as (environment, broker):
        for name in names:
            print(f"== {name}: {BENCHES[name].what}", flush=True)
            begun = Sample.take({os.getpid()} | ({broker} if broker is not None else set()))
            outcome = await run_one(
                [sys.executable, "-m", f"tests.bench.{name}"],
                {**environment, VARIABLE: begun.encode()},
                60 * LIMIT * BENCHES[name].minutes,
            )
            print(
                f"== {name} ended after {time.monotonic() - begun.at_s:.0f} s{outcome and f': {outcome}'}", flush=True
            )
            if outcome:
                failed.append(f"{name} ({outcome})")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


async def run_one(command: list[str], environment: dict[str, str], within_s: float) -> str:
    """Run a command, and end it after `within_s` seconds; return what was wrong, "" if nothing."""
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    try:
        async with asyncio.timeout(within_s):
            code = await process.wait()
        return f"exit code {code}" if code else ""
    except TimeoutError:
        return f"it did not end within {within_s:.0f} s"
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_TERMINATED_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def rendered(figures: dict[str, dict[str, Any]], kept: dict[str, str]) -> str:
    """Return the table. `kept`: rows of figures that were not measured again, by name; each shows when it was
    measured. A figure that other processes spoiled neither reaches its goal nor misses it."""
    words = {True: "yes", False: "no", None: ""}
    rows = dict(kept)
    for name, figure in figures.items():
        taken = (
            datetime.fromtimestamp(figure["at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M") if "at_ms" in figure else ""
        )
        goal = "" if figure["goal"] == NO_GOAL else figure["goal"]
        verdict = "spoiled" if figure.get("spoiled") else words[reached(figure["value"], figure["goal"])]
        row = (
            f"`{name}`",
            f"{figure['value']:g}",
            figure["unit"],
            goal,
            verdict,
            str(figure.get("load_before", "")),
            taken,
        )
        rows[name] = f"| {' | '.join(row)} |"
    head = "| Figure | Value | Unit | Goal | Reached | Load before | Taken |\n|---|---|---|---|---|---|---|"
    return "\n".join([head, *(rows[name] for name in sorted(rows))])


def table() -> int:
    """Write the newest figures between the markers."""
    page = PAGE.read_text()
    if BEGIN not in page or END not in page:
        print(f"{PAGE} lacks the markers {BEGIN} and {END}", file=sys.stderr)
        return 1
    figures = newest()
    if not figures:
        print(f"{FILE} holds no figure yet: python -m tests.bench", file=sys.stderr)
        return 1
    head, rest = page.split(BEGIN, 1)
    before, after = rest.split(END, 1)
    kept = {row.split("`")[1]: row for row in before.splitlines() if row.startswith("| `")}
    PAGE.write_text(f"{head}{BEGIN}\n{rendered(figures, kept)}\n{END}{after}")
    print(f"{len(figures)} figures in {PAGE}")
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help="which benches; default: those of make bench")
    parser.add_argument("--list", action="store_true", help="list the benches and how long they take")
    parser.add_argument("--table", action="store_true", help=f"write the newest figures into {PAGE}")
    given = parser.parse_args()
    if given.list:
        for name, bench in BENCHES.items():
            apart = f"; not in make bench: {bench.apart}" if bench.apart else ""
            print(f"{name:16} {bench.what}; about {bench.minutes:g} min{apart}")
        return 0
    if given.table:
        return table()
    if unknown := [name for name in given.names if name not in BENCHES]:
        parser.error(f"there is no bench {', '.join(unknown)}: see --list")
    return asyncio.run(run(given.names or [name for name, bench in BENCHES.items() if not bench.apart]))


if __name__ == "__main__":
    sys.exit(main())
