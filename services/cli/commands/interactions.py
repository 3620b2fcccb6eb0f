"""`chapar interactions`: the whole story of one, lists, and search; from the history projection."""

from __future__ import annotations

from typing import Annotated

import typer

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.cli.commands.options import Json, Limit
from services.cli.connection import channel_to, execute
from services.cli.output import as_data, console, emit_json, moment, table
from services.cli.workspace import Workspace

app = typer.Typer(no_args_is_help=True, help="Interactions and conversations.")


@app.command("show")
def show(
    interaction_id: str, as_json: Json = False, jalali: Annotated[bool, typer.Option(help="Jalali dates.")] = False
) -> None:
    """What happened to one interaction, in order, across services."""

    async def work() -> ingest_pb2.GetInteractionResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            request = ingest_pb2.GetInteractionRequest(interaction_id=interaction_id)
            return await ingest_pb2_grpc.IngestServiceStub(channel).GetInteraction(request)

    answer = execute(work)
    if as_json:
        emit_json(as_data(answer))
        return
    i = answer.interaction
    console.print(
        f"{i.interaction_id}: {i.channel}, queue {i.queue}, {i.state}{', agent ' + i.agent_id if i.agent_id else ''}",
        markup=False,
        style="bold",
    )
    rows = (
        (
            *(moment(e.occurred_at.ToMilliseconds(), jalali=jalali), e.service, e.kind, e.reason),
            ", ".join(f"{k}: {v}" for k, v in sorted(e.details.items())),
        )
        for e in answer.story
    )
    console.print(table("story", ("when", "service", "what", "reason", "details"), rows))


@app.command("list")
def list_command(
    state: Annotated[str, typer.Option(help="open, queued, offered, assigned, completed, abandoned, cancelled.")] = "",
    queue: Annotated[str, typer.Option()] = "",
    channel_name: Annotated[str, typer.Option("--channel")] = "",
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Interactions, newest first."""

    async def work() -> ingest_pb2.ListInteractionsResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            request = ingest_pb2.ListInteractionsRequest(
                state=state, queue=queue, channel=channel_name, page=types_pb2.PageRequest(size=limit)
            )
            return await ingest_pb2_grpc.IngestServiceStub(channel).ListInteractions(request)

    answer = execute(work)
    if as_json:
        emit_json([as_data(one) for one in answer.interactions])
        return
    rows = (
        (moment(i.opened_at.ToMilliseconds()), i.interaction_id, i.channel, i.queue, i.state, i.agent_id)
        for i in answer.interactions
    )
    console.print(table("interactions", ("opened", "interaction", "channel", "queue", "state", "agent"), rows))


@app.command("search")
def search(words: str, limit: Limit = 20, as_json: Json = False) -> None:
    """Conversations in which these words were said; yeh, kaf and digits are folded."""

    async def work() -> ingest_pb2.SearchConversationsResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            request = ingest_pb2.SearchConversationsRequest(words=words, page=types_pb2.PageRequest(size=limit))
            return await ingest_pb2_grpc.IngestServiceStub(channel).SearchConversations(request)

    answer = execute(work)
    if as_json:
        emit_json([as_data(one) for one in answer.conversations])
        return
    rows = (
        (
            moment(c.last_message_at.ToMilliseconds()),
            c.conversation_id,
            c.identity.channel,
            c.identity.display_name,
            " ".join(c.interaction_ids),
        )
        for c in answer.conversations
    )
    console.print(table("conversations", ("last message", "conversation", "channel", "name", "interactions"), rows))
