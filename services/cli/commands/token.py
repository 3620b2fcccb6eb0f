"""`chapar token`: a development token, for grpcurl and other clients of this copy."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.connection import execute, tenant_of, token_for
from services.cli.workspace import Workspace


def token(
    agent: Annotated[str, typer.Option(help="An agent's id: a desk's token instead of an operator's.")] = "",
) -> None:
    """Prints a token signed with this copy's development secret, valid for twelve hours."""

    async def work() -> str:
        workspace = Workspace.here()
        return token_for(workspace, tenant_of(workspace), agent_id=agent)

    typer.echo(execute(work))
