"""`chapar queues`: waiting and assigned interactions and the agents of each queue, now or live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from chapar.router.v1 import router_pb2, router_pb2_grpc
from services.chassis.durations import duration
from services.cli.commands.options import Json, Pool
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.output import as_data, console, emit_json, emit_line, moment, table

COLUMNS = (
    "queue",
    "#waits",
    "#offered",
    "#held",
    "oldest",
    "#agents",
    "#free",
    "wait est.",
    "#in time",
    "#answered",
    "#left",
)


def queues(
    pool: Pool = "default",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Show the queues of a pool; live with --watch. `oldest` is the longest waiting time, as in `chapar interactions waiting`."""
    execute(lambda: _watch(pool, as_json) if watch else _once(pool, as_json))


def queue_table(views: Iterable[router_pb2.QueueView]) -> Table:
    """Build the table of queues that `chapar queues` shows."""
    return table(
        "queues",
        COLUMNS,
        (
            (
                *(q.queue, q.waiting, q.offered, q.assigned, duration(q.oldest_waiting_ms) if q.waiting else ""),
                *(q.agents_signed_in, q.agents_available, _wait(q)),
                *(q.answered_in_threshold, q.answered, q.abandoned),
            )
            for q in views
        ),
    )


def _wait(queue: router_pb2.QueueView) -> str:
    """Return the estimated wait; of a closed queue, when it opens."""
    if not queue.closed:
        return duration(queue.estimated_wait_ms)
    return f"closed until {moment(queue.opens_at_ms)}" if queue.opens_at_ms else "closed"


async def _once(pool: str, as_json: bool) -> None:
    async with channel_to(Workspace.here(), "router") as channel:
        stub = router_pb2_grpc.RoutingServiceStub(channel)
        answer = await stub.ListQueues(router_pb2.ListQueuesRequest(pool=pool))
    if as_json:
        emit_json([as_data(queue) for queue in answer.queues])
    else:
        console.print(queue_table(answer.queues))


async def _watch(pool: str, as_json: bool) -> None:
    async with channel_to(Workspace.here(), "router") as channel:
        stub = router_pb2_grpc.RoutingServiceStub(channel)
        stream = stub.WatchQueues(router_pb2.WatchQueuesRequest(pool=pool))
        if as_json:
            async for answer in stream:
                emit_line(as_data(answer))
            return
        with Live(console=console, auto_refresh=False) as live:
            async for answer in stream:
                live.update(queue_table(answer.queues), refresh=True)
