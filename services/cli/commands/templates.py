"""`chapar templates`: the approved templates of the tenant's accounts."""

from __future__ import annotations

from typing import Annotated

import typer

from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.cli.commands.options import Json
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.output import as_data, console, emit_json, table

app = typer.Typer(
    no_args_is_help=True, help="Templates that a provider has approved, for messages after its time for free replies."
)


@app.command("list")
def list_command(
    channel: Annotated[str, typer.Option(help="Only of this channel.")] = "",
    account: Annotated[str, typer.Option(help="Only of this account.")] = "",
    as_json: Json = False,
) -> None:
    """List the approved templates that the configuration has, with the number of their parameters."""

    async def work() -> ingest_pb2.ListTemplatesResponse:
        async with channel_to(Workspace.here(), "ingest") as grpc_channel:
            request = ingest_pb2.ListTemplatesRequest(channel=channel, account=account)
            return await ingest_pb2_grpc.OutboundServiceStub(grpc_channel).ListTemplates(request)

    answer = execute(work)
    if as_json:
        emit_json([as_data(each) for each in answer.templates])
        return
    rows = (
        (each.channel, each.account, each.name, each.language, each.parameters, category(each.category), each.body)
        for each in answer.templates
    )
    columns = ("channel", "account", "template", "language", "#parameters", "category", "text")
    console.print(table("approved templates", columns, rows))


def category(number: int) -> str:
    """Return the word for a category."""
    named = config_pb2.TemplateCategory.Name(number)  # type: ignore[arg-type]  # an int is a value
    return named.removeprefix("TEMPLATE_CATEGORY_").lower()
