"""`chapar replay`: proves that the router would make the same decisions again. The replay is part of the router; this module only starts it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli.commands.options import Json
from services.cli.connection import execute, kafka_of
from services.cli.local.broker.settings import CHECKOUT
from services.cli.local.workspace import Workspace

NOT_COMPARED = 2
CLEANING_UP_S = 1.0
When = "a time (ISO, Persian digits too), a time ago (2h), or with --shard an offset"


def replay(
    begin: Annotated[str, typer.Option("--from", help=f"{When}; default: the start.")] = "",
    end: Annotated[str, typer.Option("--to", help="The same forms, exclusive; default: the journal's end.")] = "",
    shard: Annotated[int | None, typer.Option(min=0, help="Only this shard.")] = None,
    state: Annotated[Path | None, typer.Option(help="Begin from this state file.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the state at the end, if there is no difference.")] = None,
    capture: Annotated[Path | None, typer.Option(help="Write the running shards' state, without a comparison.")] = None,
    as_json: Json = False,
) -> None:
    """Feed the journaled commands to the router's engine again, compare every effect by hash, and show the first difference.

    Exit code 0: identical; 1: different; 2: no comparison was possible, with the reason.
    """
    options = {"--from": begin, "--to": end, "--shard": shard, "--state": state, "--save": save, "--capture": capture}
    arguments = [part for name, value in options.items() if value not in (None, "") for part in (name, _text(value))]
    if as_json:
        arguments.append("--json")

    async def work() -> int:
        kafka = kafka_of(Workspace.here())
        # TLS and SASL settings are in this process's environment, which the child inherits.
        cluster = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "CHAPAR_TOPIC_PREFIX": kafka.topic_prefix}
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.router.replay", *arguments, cwd=CHECKOUT, env={**os.environ, **cluster}
        )
        try:
            return await child.wait()
        except asyncio.CancelledError:
            # On Ctrl-C a terminal signals the child as well; a signal to this process alone does not reach it.
            # Not `asyncio.timeout`: inside a cancelled task it behaves differently in the first versions of Python 3.11.
            await asyncio.wait({asyncio.ensure_future(child.wait())}, timeout=CLEANING_UP_S)
            if child.returncode is None:
                child.send_signal(signal.SIGINT)
            await child.wait()
            raise

    try:
        code = execute(work)
    except typer.Exit as ended:
        # Exit code 1 would mean a difference.
        raise typer.Exit(NOT_COMPARED if ended.exit_code == 1 else ended.exit_code) from ended
    raise typer.Exit(code)


def _text(value: object) -> str:
    """Make paths absolute: they are relative to the user's directory, and the child runs in another."""
    return str(value.absolute()) if isinstance(value, Path) else str(value)
