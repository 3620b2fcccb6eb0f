"""`chapar block`: blocks senders, ends blocks, and lists who is blocked."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.cli.commands.options import Json, Limit
from services.cli.config.files import parse_duration_ms
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.moments import parse_moment
from services.cli.output import as_data, console, emit_json, moment, table

app = typer.Typer(
    no_args_is_help=True, help="The block list: senders whose messages are kept and not routed, each until a time."
)
_COLUMNS = ("identity", "channel", "native id", "until", "blocked by", "why", "kept", "newest conversation")


@app.command("add")
def add(
    identity: Annotated[
        str, typer.Argument(help="The identity to block; `chapar persons show` lists those of a person.")
    ],
    lasts: Annotated[str, typer.Option("--for", help="How long, e.g. 12h or 90d. Default: 30d; at most 366d.")] = "",
    until: Annotated[str, typer.Option(help="End of the block instead, e.g. 2026-12-24 or 1405/10/03 08:00.")] = "",
    note: Annotated[str, typer.Option(help="Why, for those who read the list.")] = "",
    as_json: Json = False,
) -> None:
    """Block a sender: their messages are kept and not routed. It replaces an earlier block of the identity."""
    request = ingest_pb2.BlockSenderRequest(idempotency_key=f"cli-{uuid.uuid4()}", identity_id=identity, note=note)
    end = _end(lasts, until, datetime.now(UTC))
    if end is not None:
        request.until.FromDatetime(end)

    async def work() -> ingest_pb2.BlockSenderResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            return await ingest_pb2_grpc.PersonServiceStub(channel).BlockSender(request)

    answer = execute(work)
    if as_json:
        emit_json({"identity_id": identity, **as_data(answer)})
    else:
        console.print(f"blocked until {moment(answer.until.ToMilliseconds())}", markup=False, highlight=False)


@app.command("remove")
def remove(identity: Annotated[str, typer.Argument(help="The blocked identity.")], as_json: Json = False) -> None:
    """End a block before its time. Messages after it are routed."""

    async def work() -> ingest_pb2.UnblockSenderResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            request = ingest_pb2.UnblockSenderRequest(idempotency_key=f"cli-{uuid.uuid4()}", identity_id=identity)
            return await ingest_pb2_grpc.PersonServiceStub(channel).UnblockSender(request)

    execute(work)
    if as_json:
        emit_json({"identity_id": identity})
    else:
        console.print(f"{identity} is not blocked", markup=False, highlight=False)


@app.command("list")
def blocked(limit: Limit = 50, as_json: Json = False) -> None:
    """List the senders that are blocked now, and how many of their messages were kept. The output holds personal data."""

    async def work() -> ingest_pb2.ListBlockedResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            request = ingest_pb2.ListBlockedRequest(page=types_pb2.PageRequest(size=limit))
            return await ingest_pb2_grpc.PersonServiceStub(channel).ListBlocked(request)

    answer = execute(work)
    if as_json:
        emit_json([as_data(sender) for sender in answer.senders])
        return
    rows = (
        (
            *(s.identity.identity_id, s.identity.channel, s.identity.native_id, moment(s.until.ToMilliseconds())),
            *(s.actor, s.note or s.disposition, str(s.kept_messages), s.conversation_id),
        )
        for s in answer.senders
    )
    console.print(table("blocked senders", _COLUMNS, rows))


def _end(lasts: str, until: str, now: datetime) -> datetime | None:
    """Return when the block ends; None for the default. Raises typer.BadParameter."""
    if lasts and until:
        raise typer.BadParameter("give --for or --until, not both", param_hint="--until")
    try:
        if lasts:
            return now + timedelta(milliseconds=parse_duration_ms(lasts))
        end = parse_moment(until, now, datetime.now().astimezone().tzinfo or UTC) if until else None
    except ValueError as error:
        name, wanted = ("--for", "a duration such as 12h or 30d") if lasts else ("--until", "a time")
        raise typer.BadParameter(f"{error}: not {wanted}", param_hint=name) from None
    except OverflowError:
        raise typer.BadParameter("too long: at most 366d", param_hint="--for") from None
    if end is not None and end <= now:
        raise typer.BadParameter(
            "the end of a block must be in the future; a duration is given with --for", param_hint="--until"
        )
    return end
