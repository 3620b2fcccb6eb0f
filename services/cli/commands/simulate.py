"""`chapar simulate`: simulates another policy, staffing or demand with the router's own engine on a virtual clock.

The simulator is a process of the router (`python -m services.router.simulation`); this command finds the files and builds the policy.
"""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from chapar.config.v1 import config_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.tail import From, tail
from services.cli import scenario_policy
from services.cli.commands.options import Json
from services.cli.connection import execute, kafka_of
from services.cli.local.workspace import Workspace
from services.cli.output import console, errors
from services.cli.reasons import Reason
from services.cli.recorded_arrivals import Recorder, write_csv, write_json

EVENTS = "routing.events.v1"
MODULE = "services.router.simulation"


class _RunUnlessNamed(TyperGroup):
    """Treats `chapar simulate FILE` as `chapar simulate run FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunUnlessNamed, no_args_is_help=True, help="Simulate a scenario: `chapar simulate SCENARIO.yaml`."
)


@app.command("run")
def run(
    scenario: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="YAML; see docs/simulation.md.")],
    policy: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The configuration to simulate.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Another configuration to compare with, with the same customers."
        ),
    ] = None,
    staff: Annotated[list[str] | None, typer.Option(help="GROUP=N: set the size of a group; may be repeated.")] = None,
    against_staff: Annotated[list[str] | None, typer.Option(help="GROUP=N: compare with this staffing.")] = None,
    replications: Annotated[int | None, typer.Option(min=1, max=10_000)] = None,
    seed: Annotated[int | None, typer.Option(min=1)] = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="The confidence level of the intervals.")
    ] = 0.95,
    find_staff: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TYPE=]80/20", help="Find the cheapest staffing with 80 % within 20 s; may be repeated for types."
        ),
    ] = None,
    group: Annotated[str, typer.Option(help="With --find-staff: vary this group only.")] = "",
    each: Annotated[
        bool, typer.Option("--each", help="With --find-staff: for each type, not for all together.")
    ] = False,
    each_shift: Annotated[
        bool, typer.Option("--each-shift", help="With --find-staff: vary each shift on its own, not whole groups.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(dir_okay=False, help="Write a plot (PNG).")] = None,
    graph: Annotated[bool, typer.Option("--graph", help="Draw a graph in the terminal.")] = False,
    shortcut: Annotated[
        bool, typer.Option("--shortcut/--no-shortcut", help="Simulate simple pools without the engine.")
    ] = True,
    processes: Annotated[int | None, typer.Option(min=1, help="Default: one per core.")] = None,
    as_json: Json = False,
) -> None:
    """Run a scenario and print service level, waits, losses, occupancy, fairness and cost with their intervals."""
    _require_libraries()
    arguments = [str(scenario), "--confidence", str(confidence)]
    for name, value in (("replications", replications), ("seed", seed), ("processes", processes), ("plot", plot)):
        arguments += [f"--{name}={value}"] if value is not None else []
    arguments += [f"--group={group}"] if group else []
    arguments += [f"--find-staff={one}" for one in find_staff or ()]
    for name, flag in (
        ("each", each),
        ("each-shift", each_shift),
        ("graph", graph),
        ("no-shortcut", not shortcut),
        ("json", as_json),
    ):
        arguments += [f"--{name}"] if flag else []
    arguments += [f"--staff={one}" for one in staff or ()]
    arguments += [f"--against-staff={one}" for one in against_staff or ()]

    async def policies() -> tuple[config_pb2.TenantConfiguration | None, config_pb2.TenantConfiguration | None]:
        ours = scenario_policy.of_file(policy) if policy is not None else scenario_policy.of_scenario(scenario)
        return ours, scenario_policy.of_file(against) if against is not None else None

    ours, theirs = execute(policies)
    with tempfile.TemporaryDirectory(prefix="chapar-simulate-") as directory:
        for name, made, file in (("policy", ours, policy), ("against", theirs, against)):
            if made is not None:
                path = Path(directory, f"{name}.binpb")
                path.write_bytes(made.SerializeToString())
                arguments += [f"--{name}={path}", f"--{name}-name={file.stem if file is not None else scenario.stem}"]
        if against is None and against_staff:
            arguments += ["--against-name", ", ".join(against_staff)]
        raise typer.Exit(_call(arguments))


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a scenario, for editors."""
    _require_libraries()
    raise typer.Exit(_call(["--schema"]))


@app.command("record")
def record(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="The file to write: .csv or .jsonl.")],
    from_: Annotated[str, typer.Option("--from", help="Arrivals from 2025-03-01T08:00+03:30; default: all.")] = "",
    to: Annotated[str, typer.Option("--to", help="Arrivals before.")] = "",
    pool: Annotated[str, typer.Option(help="Only this pool.")] = "",
    tenant: Annotated[str, typer.Option(help="Only this tenant.")] = "",
    label: Annotated[list[str] | None, typer.Option(help="Labels to keep; default: tier.")] = None,
) -> None:
    """Write the arrivals in recorded topics to a file, for a scenario's `arrivals_file`. Ids and texts are not kept."""
    if file.suffix not in (".csv", ".jsonl"):
        errors.print("the file's name must end in .csv or .jsonl", markup=False)
        raise typer.Exit(1)

    async def work() -> int:
        since, until = _moment("--from", from_), _moment("--to", to)
        recorder = Recorder(tenant=tenant, pool=pool, from_ms=since or 0, to_ms=until or 1 << 62)
        await _read(recorder, since)
        rows = recorder.rows(set(label or ["tier"]))
        with file.open("w", encoding="utf-8", newline="") as out:
            return write_csv(rows, out) if file.suffix == ".csv" else write_json(rows, out)

    count = execute(work)
    console.print(
        f"{count} arrivals in {file}. For answered customers only a lower bound of their patience is known (censored); the simulation estimates it.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


async def _read(recorder: Recorder, since_ms: int | None) -> None:
    """Read all present records from that time on."""
    kafka = kafka_of(Workspace.here())
    caught_up = asyncio.Event()
    # An event is never older than the arrival of its interaction.
    begin: From = "beginning" if since_ms is None else max(0, round(time.time() * 1_000) - since_ms)

    async def collect() -> None:
        async with aclosing(tail(kafka, EVENTS, from_=begin, caught_up=caught_up.set)) as records:
            async for one in records:
                if one.value is not None:
                    recorder.add(one.value)

    async with asyncio.TaskGroup() as tasks:
        collector = tasks.create_task(collect())
        await caught_up.wait()
        collector.cancel()


def _moment(option: str, text: str) -> int | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        wanted = "must be a time with its zone, such as 2025-03-01T08:00+03:30"
        raise ChaparError(ErrorKind.INVALID, Reason.INVALID_TIME, f"{option} {wanted}, not {text!r}")
    return round(at.timestamp() * 1_000)


def _require_libraries() -> None:
    missing = [name for name in ("numpy", "scipy", "matplotlib", "plotext") if importlib.util.find_spec(name) is None]
    if missing:
        errors.print(f"simulating needs {', '.join(missing)}: `uv sync --group simulate` installs them", markup=False)
        raise typer.Exit(1)


def _call(arguments: list[str], module: str = MODULE) -> int:
    """Run the simulator in the foreground: it prints the results and the progress bar, and it handles Ctrl-C."""
    process = subprocess.Popen([sys.executable, "-m", module, *arguments])  # noqa: S603  # our own module
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if code >= 0:
        return code
    killed = signal.Signals(-code)
    why = ": perhaps there was too little memory (fewer --processes or --replications need less)"
    errors.print(
        f"{killed.name} ended the simulator before it was done{why if killed is signal.SIGKILL else ''}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 128 - code
