"""Says what a new version does to work, and asks before `chapar config apply` and `rollback` do it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from chapar.config.v1 import config_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.cli import present_work
from services.cli.config import impact
from services.cli.config.history import in_force
from services.cli.config.publishing import Decided, pools_of
from services.cli.connection import execute, kafka_of
from services.cli.local.workspace import Workspace
from services.cli.output import console, errors, table
from services.cli.reasons import Reason


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a version does to work. `unknown` says why the router could not be asked; empty when the numbers are known."""

    tenant: str
    version: int
    """The version in force; 0: none is."""
    changes: tuple[impact.Change, ...] = ()
    unknown: str = ""

    @property
    def affected(self) -> tuple[impact.Change, ...]:
        """The changes that touch work, or may do so."""
        return tuple(change for change in self.changes if change.affects_work)

    def decided(self) -> Decided | None:
        """Return what was shown, for an apply that affects work: it must not be put over another version."""
        return Decided(self.version) if self.affected else None

    def data(self) -> dict[str, Any]:
        """Return the outlook for JSON."""
        return {
            "known": not self.unknown,
            "reason": self.unknown,
            "affected": bool(self.affected),
            "changes": [change.data() for change in self.changes],
        }


async def look(wanted: Iterable[config_pb2.TenantConfiguration]) -> list[Outlook]:
    """Return what each of these configurations, if it was put in force now, would do to work."""
    workspace = Workspace.here()
    now = await in_force(kafka_of(workspace))
    return [
        await outlook(now[each.tenant].configuration, each) if each.tenant in now else Outlook(each.tenant, 0)
        for each in wanted
    ]


async def outlook(before: config_pb2.TenantConfiguration, after: config_pb2.TenantConfiguration) -> Outlook:
    """Return what a version does to work. The router is asked only when it removes or moves something."""
    found, unknown = impact.changes(before, after), ""
    if found:
        try:
            asked = pools_of(before)
            now = await present_work.read(Workspace.here(), before.tenant, asked, waiting=impact.needs_waiting(found))
            found = impact.counted(found, now)
        except (ChaparError, OSError) as error:
            unknown = str(error.message if isinstance(error, ChaparError) else error)
    return Outlook(before.tenant, before.version, found, unknown)


def show(one: Outlook, *, to_errors: bool = False) -> None:
    """Print the changes as a table, and the reason when the router could not be asked."""
    if not one.changes:
        return
    say = errors if to_errors else console
    rows = [
        (
            *(change.part, change.name, f"to {change.to_pool}" if change.to_pool else "removed"),
            *("?" if number is None else number for number in (change.waiting, change.assigned)),
            change.effect,
        )
        for change in one.changes
    ]
    columns = ("part", "name", "change", "#waiting", "#assigned", "what happens")
    say.print(table(f"work of {one.tenant} that is affected", columns, rows))
    if one.unknown:
        say.print(
            f"The router could not be asked how much work this touches: {one.unknown}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def agree(outlooks: Sequence[Outlook], *, yes: bool, to_errors: bool) -> None:
    """Show what touches work, and ask on a terminal. Exits with 1 and WORK_AFFECTED without a terminal, and with 1 after a no."""
    affecting = [one for one in outlooks if one.affected]
    for one in affecting:
        show(one, to_errors=to_errors)
    if not affecting or yes:
        return
    if sys.stdin.isatty():
        typer.confirm("Put it in force?", abort=True, err=to_errors)
        return

    async def refuse() -> None:
        named = "; ".join(f"{one.tenant}: {impact.total(one.changes)}" for one in affecting)
        message = f"{named}. Nothing was changed: give --yes to do it"
        raise ChaparError(ErrorKind.FAILED_PRECONDITION, Reason.WORK_AFFECTED, message)

    execute(refuse)
