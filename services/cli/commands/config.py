"""`chapar config`: checks a tenant's configuration and puts it in force."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from services.chassis.clock import system_clock
from services.cli.actor import Actor, actor_or_user
from services.cli.commands import config_diff, config_versions
from services.cli.commands.config_versions import Keep
from services.cli.commands.config_work import agree, look
from services.cli.commands.options import Allow, Json, rules_of
from services.cli.config import publishing
from services.cli.config.files import schema
from services.cli.config.history import KEPT
from services.cli.config.lint import checked
from services.cli.connection import execute, kafka_of
from services.cli.local.kept_secrets import DEMO_ADDRESSES, GENERATED
from services.cli.local.workspace import Workspace
from services.cli.output import as_data, console, emit_json, table

app = typer.Typer(no_args_is_help=True, help="Tenants' configuration.")
app.command("history")(config_versions.history_command)
app.command("diff")(config_diff.diff_command)
app.command("rollback")(config_versions.rollback_command)
Files = Annotated[list[Path], typer.Argument(exists=True, dir_okay=True, help="YAML files, or directories of them.")]


@app.command("lint")
def lint_command(
    files: Files,
    allow: Allow = "",
    elsewhere: Annotated[
        bool,
        typer.Option(
            "--elsewhere", help="The services run elsewhere: do not warn about variables that are not set here."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Print file and line of every error and warning; exit 1 if there is an error."""
    documents = checked(files, rules_of(allow), None if elsewhere else _is_set)
    findings = [finding for document in documents for finding in document.findings]
    if as_json:
        emit_json(
            [
                {"file": f.file, "line": f.line, "code": f.code, "severity": f.severity, "message": f.message}
                for f in findings
            ]
        )
    else:
        for finding in findings:
            console.print(str(finding), markup=False, highlight=False, soft_wrap=True)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)
    if not as_json:
        console.print(f"{len(documents)} file{'s' if len(documents) > 1 else ''}: no errors")


@app.command("apply")
def apply_command(
    files: Files,
    allow: Allow = "",
    actor: Actor = "",
    keep: Keep = KEPT,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask, although the change removes or moves parts that have work.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check the files, then put them in force for all services at once; unchanged content keeps its version.

    Where parts that have work are removed or moved, it shows them and asks; without a terminal it is refused, unless --yes is given.
    """
    documents = checked(files, rules_of(allow))
    errors = [str(f) for document in documents for f in document.findings if f.severity == "error"]
    if errors:
        console.print("\n".join(errors), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)
    outlooks = execute(lambda: look([document.configuration for document in documents]))
    agree(outlooks, yes=yes, to_errors=as_json)

    async def work() -> list[publishing.Applied]:
        who = actor_or_user(actor)
        kafka = kafka_of(Workspace.here())
        return [
            await publishing.apply(
                kafka, document.configuration, system_clock, who, keep=keep, decided=outlook.decided()
            )
            for document, outlook in zip(documents, outlooks, strict=True)
        ]

    applied = execute(work)
    if as_json:
        emit_json(
            [{"tenant": a.tenant, "version": a.version, "changed": a.changed, "hints": list(a.hints)} for a in applied]
        )
        return
    for one in applied:
        console.print(f"{one.tenant}: version {one.version}{'' if one.changed else ', unchanged'}")
        for hint in one.hints:
            console.print(f"  {hint}", markup=False, highlight=False, soft_wrap=True)


@app.command("show")
def show_command(
    tenant: Annotated[str, typer.Argument(help="Tenant; empty means all.")] = "", as_json: Json = False
) -> None:
    """Print the configuration in force."""
    found = execute(lambda: publishing.current(kafka_of(Workspace.here())))
    chosen = {name: c for name, c in found.items() if not tenant or name == tenant}
    if as_json:
        emit_json({name: as_data(c) for name, c in chosen.items()})
        return
    rows = (
        (name, c.version, len(c.queues), len(c.agents), len(c.rules), len(c.sla_policies)) for name, c in chosen.items()
    )
    console.print(table("in force", ("tenant", "#version", "#queues", "#agents", "#rules", "#SLA policies"), rows))


@app.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of a configuration file, for editors."""
    typer.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


def _is_set(variable: str) -> bool:
    """Return whether services that this machine starts have a variable: `chapar run` sets those of the example tenant."""
    return bool(os.environ.get(variable)) or variable in GENERATED | DEMO_ADDRESSES
