"""`chapar interactions`: history (one interaction, lists, search), the interactions that wait now, and the actions of supervisors on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.router.v1 import records_pb2, router_pb2, router_pb2_grpc
from services.chassis.clock import system_clock
from services.chassis.durations import duration
from services.chassis.ids import random_id
from services.cli.commands.files import conversation_of, files_table
from services.cli.commands.options import AnyId, Epoch, Json, Limit, Pool
from services.cli.config.files import parse_duration_ms
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.message_files import files_of
from services.cli.output import as_data, console, emit_json, moment, table
from services.policy.reading.requirement_text import parse_requirement

app = typer.Typer(no_args_is_help=True, help="Interactions and conversations.")


@app.command("show")
def show(
    any_id: AnyId, as_json: Json = False, jalali: Annotated[bool, typer.Option(help="Jalali dates.")] = False
) -> None:
    """Show the events of one interaction, in order, across services."""

    async def work() -> tuple[ingest_pb2.GetInteractionResponse, ingest_pb2.GetConversationResponse]:
        async with channel_to(Workspace.here(), "ingest") as channel:
            ingest = ingest_pb2_grpc.IngestServiceStub(channel)
            found = await ingest.GetInteraction(ingest_pb2.GetInteractionRequest(interaction_id=any_id))
            return found, await conversation_of(ingest, found.interaction.conversation_id)

    answer, conversation = execute(work)
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
    if any(True for view in conversation.messages for _ in files_of(view.message)):
        console.print(files_table(conversation))


@app.command("list")
def list_command(
    state: Annotated[
        str, typer.Option(help="open, scheduled, queued, offered, assigned, completed, abandoned, cancelled.")
    ] = "",
    queue: Annotated[str, typer.Option()] = "",
    channel_name: Annotated[str, typer.Option("--channel")] = "",
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List interactions, newest first."""

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
    """Find conversations that contain these words; forms of yeh, kaf and digits are treated as equal."""

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


@app.command("waiting")
def waiting(
    queue: Annotated[str, typer.Option(help="Only this queue.")] = "",
    pool: Pool = "default",
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List the interactions that wait now, in the order in which they would be served, and why they wait.

    `waits` is the waiting time: since the arrival, without the time with an agent. `in queue` is the time since it entered this queue.
    """

    async def work() -> router_pb2.ListWaitingResponse:
        async with channel_to(Workspace.here(), "router") as channel:
            request = router_pb2.ListWaitingRequest(pool=pool, queue=queue, page=types_pb2.PageRequest(size=limit))
            return await router_pb2_grpc.RoutingServiceStub(channel).ListWaiting(request)

    answer = execute(work)
    if as_json:
        emit_json([as_data(one) for one in answer.waiting])
        return
    now = system_clock()
    rows = (
        (
            *(w.position, w.interaction.interaction_id, w.interaction.queue, w.interaction.channel),
            *(f"{w.effective_priority:.1f}", duration(w.waited_ms), duration(max(0, now - w.queued_at_ms)), w.reason),
        )
        for w in answer.waiting
    )
    columns = ("#", "interaction", "queue", "channel", "#priority", "waits", "in queue", "why")
    console.print(table("waiting", columns, rows))


@app.command("reroute")
def reroute(
    interaction_id: str,
    queue: Annotated[str, typer.Option(help="Move to this queue; default: the present one.")] = "",
    require: Annotated[
        list[str] | None,
        typer.Option("--require", help="'persian >= 5', 'city = qom', 'has vip'; replaces its own. May be repeated."),
    ] = None,
    require_nothing: Annotated[bool, typer.Option("--require-nothing", help="Drop its own requirements.")] = False,
    epoch: Epoch = 0,
    pool: Pool = "default",
    as_json: Json = False,
) -> None:
    """Move an interaction to another queue, or change its requirements; also while an agent holds it."""
    if require and require_nothing:
        raise typer.BadParameter("give either --require or --require-nothing")
    try:
        requirements = [parse_requirement(text) for text in require or ()]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    change = records_pb2.Reroute(
        interaction_id=interaction_id,
        queue=queue,
        requirements=requirements,
        replace_requirements=bool(require) or require_nothing,
    )
    request = router_pb2.RerouteRequest(reroute=change, **_envelope(pool, epoch))
    _order(interaction_id, "rerouted", as_json, lambda stub: stub.Reroute(request))


@app.command("reprioritise")
def reprioritise(
    interaction_id: str,
    add: Annotated[int, typer.Option(help="Added to its priority; may be negative.")] = 0,
    due_in: Annotated[str, typer.Option(help="Pick-up deadline as a time from now, e.g. 5m.")] = "",
    reason: Annotated[str, typer.Option()] = "",
    epoch: Epoch = 0,
    pool: Pool = "default",
    as_json: Json = False,
) -> None:
    """Raise or lower an interaction's priority, or set its pick-up deadline."""
    change = records_pb2.Reprioritise(
        interaction_id=interaction_id, add=add, reason=reason, due_at_ms=_from_now(due_in)
    )
    request = router_pb2.ReprioritiseRequest(reprioritise=change, **_envelope(pool, epoch))
    _order(interaction_id, "reprioritised", as_json, lambda stub: stub.Reprioritise(request))


@app.command("cancel")
def cancel(
    interaction_id: str,
    reason: Annotated[str, typer.Option(help="A reason code, e.g. SPAM.")] = "",
    epoch: Epoch = 0,
    pool: Pool = "default",
    as_json: Json = False,
) -> None:
    """Cancel an interaction, also when an agent holds it."""
    change = records_pb2.CancelInteraction(interaction_id=interaction_id, reason=reason)
    request = router_pb2.CancelRequest(cancel=change, **_envelope(pool, epoch))
    _order(interaction_id, "cancelled", as_json, lambda stub: stub.Cancel(request))


@app.command("callback")
def callback(
    interaction_id: str,
    after: Annotated[
        str, typer.Option("--in", help="Not before this time from now, e.g. 30m; default: in its turn.")
    ] = "",
    epoch: Epoch = 0,
    pool: Pool = "default",
    as_json: Json = False,
) -> None:
    """Request a callback: the customer hangs up and keeps their place in the queue."""
    change = records_pb2.RequestCallback(interaction_id=interaction_id, at_ms=_from_now(after))
    request = router_pb2.RequestCallbackRequest(callback=change, **_envelope(pool, epoch))
    _order(interaction_id, "to be called back", as_json, lambda stub: stub.RequestCallback(request))


def _envelope(pool: str, epoch: int) -> dict[str, Any]:
    return {"idempotency_key": random_id(), "pool": pool, "expected_epoch": epoch}


def _from_now(text: str) -> int:
    """Convert a duration from now, such as 5m, to milliseconds since the epoch; 0 for an empty text."""
    if not text:
        return 0
    try:
        return system_clock() + parse_duration_ms(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a duration such as 30s, 5m or 1h30m") from None


def _order(
    interaction_id: str,
    done: str,
    as_json: bool,
    call: Callable[[router_pb2_grpc.RoutingServiceAsyncStub], Awaitable[object]],
) -> None:
    async def work() -> None:
        async with channel_to(Workspace.here(), "router") as channel:
            await call(router_pb2_grpc.RoutingServiceStub(channel))

    execute(work)
    if as_json:
        emit_json({"interaction_id": interaction_id, "result": done})
    else:
        console.print(f"{interaction_id} is {done}", markup=False)
