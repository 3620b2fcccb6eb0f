"""`chapar demo`: runs all of Chapar with simulated customers and agents, and an audit at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from services.cli.connection import execute
from services.cli.demo.director import DemoOptions, demonstrate
from services.cli.local.workspace import Workspace
from services.cli.output import console, errors


def demo(
    chaos: Annotated[bool, typer.Option("--chaos", help="Kill services while the demo runs.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed repeats the same demo.")] = 7,
    size: Annotated[float, typer.Option(min=0.1, max=20, help="A factor on the usual number of customers.")] = 1.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON to this file.")] = None,
) -> None:
    """Send real messages through the real edges to agents on real sessions; exit 1 if anything was lost or doubled."""
    usual = DemoOptions(seed=seed, chaos=chaos)
    customers = {channel: max(1, round(count * size)) for channel, count in usual.customers.items()}
    options = DemoOptions(seed=seed, chaos=chaos, customers=customers)
    home = Workspace(Workspace.here().home / "demo")
    report = execute(lambda: demonstrate(home, options, lambda text: errors.print(text, markup=False, highlight=False)))
    if json_file is not None:
        json_file.write_text(json.dumps(report.data(), ensure_ascii=False, indent=2) + "\n")
    report.show()
    if not report.audit.clean:
        console.file.flush()
        raise typer.Exit(1)
