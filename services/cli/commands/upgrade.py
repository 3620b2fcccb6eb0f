"""`chapar upgrade`: which formats the changelogs have, and the end of an upgrade (docs/upgrading.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from services.chassis.clock import system_clock
from services.chassis.errors import ChaparError, ErrorKind
from services.cli.actor import Actor, actor_or_user
from services.cli.changelog_status import ChangelogStatus, finalise, statuses
from services.cli.commands.options import Json
from services.cli.connection import execute, kafka_of, tenant_of
from services.cli.local.workspace import Workspace
from services.cli.output import console, emit_json, table
from services.cli.reasons import Reason

app = typer.Typer(no_args_is_help=True, help="Formats of the changelogs, and the end of an upgrade.")
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("status")
def status_command(as_json: Json = False) -> None:
    """Show the format of each changelog, the versions of the replicas that own it, and what stops finalising."""
    found = execute(_look)
    if as_json:
        emit_json([_data(each) for each in found])
        return
    columns = ("changelog", "#finalised", "#possible", "entries by format", "versions")
    rows = [
        (each.changelog, each.finalised or "", each.possible or "", _counts(each), ", ".join(_named(each.versions)))
        for each in found
    ]
    console.print(table("changelogs", columns, rows))
    for sentence in (sentence for each in found for sentence in each.stops):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    console.print(_verdict(found), highlight=False, soft_wrap=True)


@app.command("finalise")
def finalise_command(yes: Yes = False, actor: Actor = "", as_json: Json = False) -> None:
    """Let replicas write the newest format that all of them read. After that, the version before cannot be started again. Asks."""

    async def look() -> dict[str, int]:
        found = await _look()
        if stops := [sentence for each in found for sentence in each.stops]:
            more = f" `chapar upgrade status` shows {len(stops) - 1} more." if len(stops) > 1 else ""
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION, Reason.UPGRADE_RUNS, f"{stops[0]} Nothing was changed.{more}"
            )
        return {each.changelog: each.to_finalise for each in found if each.to_finalise}

    chosen = execute(look)
    if chosen and not yes:
        for changelog, number in chosen.items():
            console.print(f"{changelog}: format {number}", markup=False, highlight=False)
        typer.confirm(
            "Let replicas write these formats? There is no way back to a version without them.", abort=True, err=as_json
        )
    if chosen:

        async def work() -> None:
            workspace = Workspace.here()
            tenant, who = tenant_of(workspace), actor_or_user(actor)
            await finalise(kafka_of(workspace), chosen, system_clock, tenant=tenant, actor=who)

        execute(work)
    if as_json:
        emit_json(chosen)
    else:
        console.print("finalised" if chosen else "nothing to finalise")


async def _look() -> list[ChangelogStatus]:
    return await statuses(kafka_of(Workspace.here()), system_clock)


def _data(status: ChangelogStatus) -> dict[str, object]:
    return {
        "changelog": status.changelog,
        "finalised": status.finalised,
        "possible": status.possible,
        "to_finalise": status.to_finalise,
        "entries": dict(status.entries),
        "versions": list(status.versions),
        "stops": list(status.stops),
    }


def _counts(status: ChangelogStatus) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in status.entries.items())


def _named(versions: Sequence[str]) -> list[str]:
    return [version or "not known" for version in versions]


def _verdict(found: Sequence[ChangelogStatus]) -> str:
    if any(each.stops for each in found):
        return "`chapar upgrade finalise` is refused as long as this is so."
    if any(each.to_finalise for each in found):
        return "`chapar upgrade finalise` would change formats: run it when you will not go back to the version before."
    return "There is nothing to finalise."
