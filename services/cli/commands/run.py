"""`chapar run`: runs everything on this machine until Ctrl-C, and prints the exact commands for a first message and its reply."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from services.cli.connection import execute, token_for
from services.cli.local.hints import hints
from services.cli.local.stack import EXAMPLE, Stack, StackOptions, running_stack
from services.cli.local.workspace import Workspace
from services.cli.output import console, emit_line, errors


def run(
    config: Annotated[Path, typer.Option(help="Tenant configuration to apply first.")] = EXAMPLE,
    routers: Annotated[int, typer.Option(min=1, max=4, help="Replicas of the router.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line when ready.")] = False,
) -> None:
    """Start Kafka (or use KAFKA_BOOTSTRAP_SERVERS), topics, configuration and the four services; stop them at Ctrl-C."""

    async def work() -> None:
        began = time.monotonic()
        workspace = Workspace.here()
        say = (lambda text: None) if as_json else (lambda text: errors.print(text, markup=False, highlight=False))
        async with running_stack(workspace, StackOptions(config=config, routers=routers), say) as stack:
            ready_s = time.monotonic() - began
            if as_json:
                emit_line(
                    {
                        "ready_s": round(ready_s, 2),
                        "endpoints": {n: dict(e) for n, e in stack.running.endpoints.items()},
                    }
                )
            else:
                _welcome(workspace, stack, ready_s)
            await _until_asked_to_stop()

    execute(work)


async def _until_asked_to_stop() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for what in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(what, stop.set)
    await stop.wait()


def _welcome(workspace: Workspace, stack: Stack, ready_s: float) -> None:
    running = stack.running
    console.print(f"\n[bold green]Chapar is ready[/] after {ready_s:.1f} s. Ctrl-C stops it.\n")
    for name, servers in running.endpoints.items():
        listed = "  ".join(f"{server} {address}" for server, address in servers.items())
        console.print(f"  {name:10} {listed}", markup=False, highlight=False)
    console.print(f"  {'kafka':10} {running.bootstrap_servers}", highlight=False)
    console.print(f"  {'logs':10} {workspace.directory('logs')}\n", highlight=False)
    for line in hints(stack.configuration, running.endpoints["ingest"]):
        console.print(
            line, markup=False, highlight=False, soft_wrap=True, style="dim" if line.startswith("#") else None
        )
    (workspace.directory("run") / "operator.token").write_text(token_for(workspace, running.tenant))
