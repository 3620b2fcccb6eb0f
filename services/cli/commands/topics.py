"""`chapar topics`: creates missing topics on the cluster, or shows the differences from the table in the code."""

from __future__ import annotations

from typing import Annotated

import typer

from services.chassis.cluster_topics import Change, apply, diff
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.topics import wanted
from services.cli.commands.options import Json
from services.cli.connection import execute, kafka_of
from services.cli.local.workspace import Workspace
from services.cli.output import console, emit_json, table

app = typer.Typer(no_args_is_help=True, help="Topics on the cluster.")


@app.command("apply")
def apply_command(as_json: Json = False) -> None:
    """Create missing topics and correct settings; never delete a topic or change a partition count."""
    _show(execute(lambda: apply(_kafka())), as_json, "changed")


@app.command("diff")
def diff_command(
    as_json: Json = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 if there is a difference.")] = False,
) -> None:
    """Show the changes that `apply` would make."""
    changes = execute(lambda: diff(_kafka()))
    _show(changes, as_json, "differs")
    if check and changes:
        raise typer.Exit(1)


def _kafka() -> KafkaSettings:
    return kafka_of(Workspace.here())


def _show(changes: list[Change], as_json: bool, word: str) -> None:
    if as_json:
        emit_json([{"topic": c.topic, "kind": c.kind, "detail": c.detail} for c in changes])
    elif not changes:
        console.print(f"nothing {word}: {len(wanted())} topics are as they should be")
    else:
        console.print(
            table(f"what {word}", ("topic", "kind", "detail"), ((c.topic, c.kind, c.detail) for c in changes))
        )
