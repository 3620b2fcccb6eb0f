"""`chapar deliveries`: what became of a message to a customer, and sending one again that did not arrive."""

from __future__ import annotations

from typing import Annotated

import typer

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.cli.commands.options import Json
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.output import as_data, console, emit_json, moment

app = typer.Typer(no_args_is_help=True, help="Messages to customers: what became of them.")


@app.command("show")
def show(delivery_id: str, as_json: Json = False) -> None:
    """Show the state of a delivery, with its reason, and who states it."""

    async def work() -> ingest_pb2.GetDeliveryResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            request = ingest_pb2.GetDeliveryRequest(delivery_id=delivery_id)
            return await ingest_pb2_grpc.OutboundServiceStub(channel).GetDelivery(request)

    found = execute(work).delivery
    if as_json:
        emit_json(as_data(found))
        return
    state = records_pb2.DeliveryState.Name(found.state).removeprefix("DELIVERY_STATE_")
    source = records_pb2.DeliverySource.Name(found.source).removeprefix("DELIVERY_SOURCE_").lower()
    again = ", may be accepted later" if found.retryable else ""
    console.print(
        f"{found.delivery_id}: {state} {found.reason}".rstrip()
        + f"{again}, {moment(found.stated_at_ms or found.occurred_at_ms)}, stated by the {source}",
        markup=False,
        highlight=False,
    )
    if found.resends_delivery_id:
        console.print(f"sends {found.resends_delivery_id} again", markup=False, highlight=False)


@app.command("resend")
def resend(
    delivery_id: str,
    key: Annotated[
        str, typer.Option(help="Idempotency key. Without one, a repeated command is the same new delivery.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Send a message again that is FAILED or UNKNOWN. A message of unknown outcome may reach the customer twice."""

    async def work() -> ingest_pb2.ResendResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            request = ingest_pb2.ResendRequest(idempotency_key=key or f"resend/{delivery_id}", delivery_id=delivery_id)
            return await ingest_pb2_grpc.OutboundServiceStub(channel).Resend(request)

    answer = execute(work)
    if as_json:
        emit_json(as_data(answer))
    else:
        console.print(f"new delivery {answer.delivery_id}", markup=False, highlight=False)
