"""`chapar config diff`: what differs between versions, or between the version in force and files, and what that does to work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from services.cli.commands.config_versions import Tenant, versions
from services.cli.commands.config_work import Outlook, outlook, show
from services.cli.commands.options import Allow, Json, rules_of
from services.cli.config.differences import Difference, differences
from services.cli.config.files import Document
from services.cli.config.history import content_of, in_force, version_of
from services.cli.config.lint import checked
from services.cli.connection import execute, kafka_of
from services.cli.difference_lines import show_differences
from services.cli.local.workspace import Workspace
from services.cli.output import console, emit_json, errors


def diff_command(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="A [B] | FILES...",
            help="One or two versions of `chapar config history`; B is by default the one in force. Or YAML files, or directories of them.",
        ),
    ],
    tenant: Tenant = "",
    allow: Allow = "",
    as_json: Json = False,
) -> None:
    """Show what version B adds to version A, removes from it and changes in it; or what an apply of files would change.

    Of files it also says what the apply would do to work: each agent, queue, pool, skill and channel that is removed or moved, with the number
    of interactions that wait for it or are assigned. The router is asked for the numbers; nothing is changed.
    """
    if all(word.isdecimal() for word in what):
        if len(what) > 2:
            raise typer.BadParameter("compare two versions at most")
        _versions(int(what[0]), int(what[1]) if len(what) == 2 else None, tenant, as_json)
        return
    paths = [Path(word) for word in what]
    if missing := [str(path) for path in paths if not path.exists()]:
        raise typer.BadParameter(f"no such file: {', '.join(missing)}")
    documents = checked(paths, rules_of(allow))
    if refused := [str(f) for document in documents for f in document.findings if f.severity == "error"]:
        errors.print("\n".join(refused), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)
    _files(documents, as_json)


def _versions(first: int, second: int | None, tenant: str, as_json: bool) -> None:
    async def work() -> tuple[int, int, tuple[Difference, ...]]:
        known = await versions(tenant)
        last = max(known) if second is None else second
        before, after = (version_of(known, number).configuration for number in (first, last))
        return first, last, differences(before, after)

    from_, to, found = execute(work)
    if as_json:
        emit_json({"from": from_, "to": to, "differences": [each.data() for each in found]})
        return
    console.print(f"from version {from_} to version {to}:", highlight=False)
    show_differences(found, to_errors=False)


def _files(documents: Sequence[Document], as_json: bool) -> None:
    async def work() -> list[tuple[Outlook, tuple[Difference, ...]]]:
        now = await in_force(kafka_of(Workspace.here()))
        found = []
        for wanted in (document.configuration for document in documents):
            before = now.get(wanted.tenant)
            if before is None:
                found.append((Outlook(wanted.tenant, 0), differences(type(wanted)(tenant=wanted.tenant), wanted)))
            else:
                content = content_of(before.configuration)
                found.append((await outlook(before.configuration, wanted), differences(content, wanted)))
        return found

    compared = execute(work)
    if as_json:
        emit_json(
            [
                {
                    "tenant": one.tenant,
                    "from": one.version,
                    "differences": [each.data() for each in found],
                    "work": one.data(),
                }
                for one, found in compared
            ]
        )
        return
    for one, found in compared:
        console.print(f"{one.tenant}, from version {one.version}, which is in force:", highlight=False, soft_wrap=True)
        show_differences(found, to_errors=False)
        show(one)
        if found and not one.affected:
            console.print("no work is affected")
