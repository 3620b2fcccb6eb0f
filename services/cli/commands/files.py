"""`chapar files`: the files of a conversation, and links to them."""

from __future__ import annotations

import typer
from rich.table import Table

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.cli.commands.options import Json
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.message_files import file_link, files_of
from services.cli.message_lines import file_line
from services.cli.output import as_data, console, emit_json, moment, table

app = typer.Typer(no_args_is_help=True, help="Files of customers: what came, and links to it.")
_MOST = 200


@app.command("list")
def list_command(conversation_id: str, as_json: Json = False) -> None:
    """List the files of a conversation, with the messages as they arrived."""

    async def work() -> ingest_pb2.GetConversationResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            return await conversation_of(ingest_pb2_grpc.IngestServiceStub(channel), conversation_id)

    answer = execute(work)
    if as_json:
        emit_json([as_data(each) for view in answer.messages for each in files_of(view.message)])
        return
    console.print(files_table(answer))


@app.command("link")
def link(conversation_id: str, message_id: str, file_id: str, as_json: Json = False) -> None:
    """Print a link with which a file can be downloaded until the link expires. Everyone who has the link can use it."""

    async def work() -> ingest_pb2.GetFileLinkResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            return await file_link(ingest_pb2_grpc.IngestServiceStub(channel), conversation_id, message_id, file_id)

    answer = execute(work)
    if as_json:
        emit_json(as_data(answer))
        return
    console.print(answer.url, markup=False, highlight=False, soft_wrap=True)


async def conversation_of(
    ingest: ingest_pb2_grpc.IngestServiceAsyncStub, conversation_id: str
) -> ingest_pb2.GetConversationResponse:
    """Return a conversation with its first messages."""
    page = types_pb2.PageRequest(size=_MOST)
    return await ingest.GetConversation(ingest_pb2.GetConversationRequest(conversation_id=conversation_id, page=page))


def files_table(answer: ingest_pb2.GetConversationResponse) -> Table:
    """Return the files of a conversation as a table."""
    rows = (
        (moment(view.occurred_at.ToMilliseconds()), view.message.message_id, file_line(each), each.file_id)
        for view in answer.messages
        for each in files_of(view.message)
    )
    return table("files", ("when", "message", "file", "id"), rows)
