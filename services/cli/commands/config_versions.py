"""`chapar config history` and `rollback`: the versions of a tenant's configuration."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from services.chassis.clock import system_clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka_settings import KafkaSettings
from services.cli.actor import Actor, actor_or_user
from services.cli.commands.config_work import Outlook, outlook, show
from services.cli.commands.options import Allow, Json, rules_of
from services.cli.config import publishing
from services.cli.config.differences import Difference, differences
from services.cli.config.files import Document
from services.cli.config.history import KEPT, Versions, content_of, in_force, version_of, versions_of
from services.cli.config.lint import lint
from services.cli.connection import execute, kafka_of
from services.cli.difference_lines import show_differences
from services.cli.local.workspace import Workspace
from services.cli.output import console, emit_json, errors, moment, table
from services.cli.reasons import Reason

Tenant = Annotated[
    str, typer.Option("--tenant", envvar="CHAPAR_TENANT", help="The tenant. Needed when several have a configuration.")
]
Keep = Annotated[
    int,
    typer.Option(
        "--keep",
        envvar="CHAPAR_CONFIG_KEEP",
        min=2,
        max=10_000,
        help="How many versions of a tenant the history keeps.",
    ),
]
_DIGEST: Final = 12


def history_command(tenant: Tenant = "", as_json: Json = False) -> None:
    """List the versions that can be compared and restored, the newest first: time, actor, digest, and what each changed."""
    found = execute(lambda: versions(tenant))
    listed = [_listed(version, found) for version in reversed(list(found))]
    if as_json:
        emit_json(listed)
        return
    columns = ("#version", "time", "actor", "digest", "changed")
    rows = [
        (f"{each['version']}{' *' if each['in_force'] else ''}", moment(each["applied_at_ms"]), each["actor"],
         each["digest"][:_DIGEST], each["summary"])
        for each in listed
    ]  # fmt: skip
    console.print(table("versions, * is in force", columns, rows))


def rollback_command(
    version: Annotated[int, typer.Argument(metavar="VERSION", help="A version of `chapar config history`.")],
    tenant: Tenant = "",
    allow: Allow = "",
    keep: Keep = KEPT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Put the content of an earlier version in force again, as a new version, after the checks of `config apply`. Says what changes, and asks."""
    rules = rules_of(allow)

    async def look() -> tuple[Document, Outlook, tuple[Difference, ...]]:
        known = await versions(tenant)
        now = known[max(known)].configuration
        content = content_of(version_of(known, version).configuration)
        document = Document(f"version {version} of {now.tenant}", content, rules=rules)
        lint(document)
        return document, await outlook(now, content), differences(now, content)

    document, one, found = execute(look)
    expected = one.version
    if refused := [str(each) for each in document.findings if each.severity == "error"]:
        errors.print("\n".join(refused), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)
    if found:
        say = errors if as_json else console
        say.print(
            f"Version {expected + 1} of {document.configuration.tenant} will have the content of version {version}."
            f" It differs from version {expected}, which is in force:",
            highlight=False,
            soft_wrap=True,
        )
        show_differences(found, to_errors=as_json)
        show(one, to_errors=as_json)
        if not yes:
            typer.confirm("Put it in force?", abort=True, err=as_json)

    async def work() -> publishing.Applied:
        return await publishing.apply(
            _kafka(),
            document.configuration,
            system_clock,
            actor_or_user(actor),
            keep=keep,
            decided=publishing.Decided(expected, version),
        )

    applied = execute(work)
    if as_json:
        emit_json(
            {"tenant": applied.tenant, "version": applied.version, "changed": applied.changed, "restores": version}
        )
    elif applied.changed:
        console.print(f"{applied.tenant}: version {applied.version}, with the content of version {version}")
    else:
        console.print(f"{applied.tenant}: version {applied.version} has this content already; nothing was changed")


async def versions(tenant: str) -> Versions:
    """Return the versions of a tenant, or of the only one. Raises INVALID NO_TENANT when there are several."""
    return await versions_of(_kafka(), tenant or await _only_tenant())


async def _only_tenant() -> str:
    tenants = sorted(await in_force(_kafka()))
    if len(tenants) != 1:
        raise ChaparError(
            ErrorKind.INVALID,
            Reason.NO_TENANT,
            f"name one with --tenant: {', '.join(tenants) or 'none has a configuration'}",
        )
    return tenants[0]


def _kafka() -> KafkaSettings:
    return kafka_of(Workspace.here())


def _listed(number: int, known: Versions) -> dict[str, Any]:
    version = known[number]
    summary = version.summary or "from before the history"
    return {
        "tenant": version.configuration.tenant,
        "version": number,
        "in_force": number == max(known),
        "applied_at_ms": version.applied_at_ms,
        "actor": version.actor,
        "digest": version.configuration.content_hash,
        "summary": f"version {version.restores} again: {summary}" if version.restores else summary,
        "restores": version.restores,
    }
