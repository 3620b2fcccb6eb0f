"""`chapar token`: prints a development token, for grpcurl and other clients of this copy; revokes tokens."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from chapar.common.v1.revocation_pb2 import Revocation
from services.chassis.clock import system_clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.tokens.roles import Role
from services.cli import revocations
from services.cli.actor import Actor, actor_or_user
from services.cli.commands.options import Json
from services.cli.connection import address_given, execute, kafka_of, tenant_of
from services.cli.local.development import minted, not_development, scopes_for
from services.cli.local.workspace import Workspace
from services.cli.output import console, emit_json, table
from services.cli.reasons import Reason

app = typer.Typer(help="Print a development token; `revoke` revokes tokens.", invoke_without_command=True)


@app.callback()
def token(
    context: typer.Context,
    role: Annotated[
        Role | None, typer.Option(help="Scopes of this role (docs/rights.md); default: all scopes.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="An additional scope; without --role, only these. May be repeated.")
    ] = None,
    agent: Annotated[
        str, typer.Option(help="The agent's id, required for a desk; alone it implies --role agent.")
    ] = "",
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="The token's lifetime, minutes.")] = 720,
) -> None:
    """Print a token signed with this copy's development key. Elsewhere tokens come from your identity provider."""
    if context.invoked_subcommand is not None:
        return

    async def work() -> str:
        workspace = Workspace.here()
        if (given := os.environ.get("CHAPAR_TOKEN")) and role is None and not scope and not agent:
            return given
        refuse_elsewhere()
        chosen = role or (Role.AGENT if agent and not scope else None)
        if chosen is Role.AGENT and not agent:
            raise ChaparError(
                ErrorKind.INVALID, Reason.AGENT_MISSING, "an agent's token must name the agent: add --agent ID"
            )
        subject = agent or (chosen.value if chosen is not None else "operator")
        scopes = scopes_for(chosen, scope or ())
        return minted(workspace, subject, tenant_of(workspace), scopes, agent_id=agent, ttl=minutes * 60)

    typer.echo(execute(work))


@app.command("revoke")
def revoke(
    given: Annotated[str, typer.Option("--token", help="This token; - reads it from standard input.")] = "",
    token_id: Annotated[str, typer.Option("--id", help="The token with this jti.")] = "",
    subject: Annotated[str, typer.Option(help="All tokens of this subject until now.")] = "",
    agent: Annotated[str, typer.Option(help="All tokens of this agent until now.")] = "",
    issuer: Annotated[str, typer.Option(help="Only tokens of this issuer.")] = "",
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="In all tenants, not only in this one.")] = False,
    reason: Annotated[str, typer.Option(help="The reason, for people.")] = "",
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Revoke tokens: within seconds every service refuses calls with them and ends their open streams."""

    async def work() -> Revocation:
        workspace = Workspace.here()
        if sum(map(bool, (given, token_id, subject, agent))) != 1:
            raise ChaparError(
                ErrorKind.INVALID, Reason.WHAT_TO_REVOKE, "give one of --token, --id, --subject and --agent"
            )
        if given:
            entry = revocations.of_token(sys.stdin.read().strip() if given == "-" else given)
        else:
            entry = Revocation(token_id=token_id, subject=subject, agent_id=agent, issuer=issuer)
            entry.tenant = "" if all_tenants or token_id else tenant_of(workspace)
        entry.reason, entry.revoked_by = reason, actor_or_user(actor)
        await revocations.revoke(kafka_of(workspace), entry, entry.tenant or tenant_of(workspace), system_clock)
        return entry

    entry = execute(work)
    if as_json:
        emit_json({"key": revocations.key_of(entry), "expires_at_ms": entry.expires_at_ms})
    else:
        console.print(f"revoked: {revocations.key_of(entry)}", markup=False)


@app.command("revoked")
def revoked(as_json: Json = False) -> None:
    """List the revocations in force."""

    async def work() -> dict[str, Revocation]:
        return await revocations.in_force(kafka_of(Workspace.here()), system_clock())

    found = execute(work)
    if as_json:
        emit_json(
            [
                {"key": key, "revoked_at_ms": e.revoked_at_ms, "revoked_by": e.revoked_by, "reason": e.reason}
                for key, e in found.items()
            ]
        )
        return
    rows = [(key, _at(e.revoked_at_ms), e.revoked_by, e.reason) for key, e in found.items()]
    console.print(table("revoked", ("what", "since", "by", "reason"), rows))


def refuse_elsewhere() -> None:
    """Raise an error if no token may be minted: CHAPAR_TOKEN is set, or calls go to services that this copy did not start."""
    if os.environ.get("CHAPAR_TOKEN"):
        raise ChaparError(
            ErrorKind.INVALID,
            Reason.TOKEN_GIVEN,
            "CHAPAR_TOKEN is set, so no token is minted: unset it, or omit the options",
        )
    if address_given():
        raise not_development()


def _at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
