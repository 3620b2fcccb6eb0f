"""`chapar persons`: shows the identities of a person, and erases a person permanently."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.cli.commands.options import Json
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.output import as_data, console, emit_json, errors, moment, table

app = typer.Typer(no_args_is_help=True, help="Persons: show their identities, erase them.")
_DEADLINE_S = 60.0


@app.command("show")
def show(person: Annotated[str, typer.Argument(help="The person's id.")], as_json: Json = False) -> None:
    """Show the identities of a person. The output holds personal data."""

    async def work() -> ingest_pb2.GetPersonResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            stub = ingest_pb2_grpc.PersonServiceStub(channel)
            return await stub.GetPerson(ingest_pb2.GetPersonRequest(person_id=person))

    found = execute(work)
    if as_json:
        emit_json(as_data(found))
        return
    rows = ((i.identity_id, i.channel, i.account, i.native_id, i.display_name) for i in found.identities)
    console.print(table(f"person {person}", ("identity", "channel", "account", "native id", "name"), rows))


@app.command("erase")
def erase(
    person: Annotated[str, typer.Argument(help="The person's id; optional with --identity.")] = "",
    identity: Annotated[
        list[str] | None,
        typer.Option("--identity", help="An identity, in addition to those of the person; may be repeated."),
    ] = None,
    key: Annotated[
        str, typer.Option(help="Id of this erasure; the same id again shows the progress. Default: a new id.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a person permanently in all stores: messages, names, addresses, file names, survey responses. Exit code 2 while a store is pending."""
    if not person and not identity:
        errors.print("name a person, or an identity with --identity")
        raise typer.Exit(1)
    if not yes:
        typer.confirm("Erase this person in all stores? This can't be undone.", abort=True)
    chosen = key or f"cli-{uuid.uuid4()}"

    async def work() -> ingest_pb2.ErasePersonResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            stub = ingest_pb2_grpc.PersonServiceStub(channel)
            request = ingest_pb2.ErasePersonRequest(
                idempotency_key=chosen, person_id=person, identity_ids=identity or ()
            )
            if as_json:
                return await stub.ErasePerson(request, timeout=_DEADLINE_S)
            with console.status("erasing state, keys and history"):
                return await stub.ErasePerson(request, timeout=_DEADLINE_S)

    report = execute(work)
    if as_json:
        emit_json({"idempotency_key": chosen, **as_data(report)})
    else:
        _print(report, chosen)
    if not report.complete:
        raise typer.Exit(2)


def _print(report: ingest_pb2.ErasePersonResponse, key: str) -> None:
    identities, conversations = len(report.identity_ids), len(report.conversation_ids)
    console.print(
        f"erased: {identities} identities, {conversations} conversations; {report.keys_destroyed} keys destroyed",
        highlight=False,
    )
    rows = (
        (
            store.store,
            ", ".join(f"{name} {count}" for name, count in sorted(store.counts.items())) or "no data",
            f"{len(store.waiting_for)} parts" if store.waiting_for else "",
        )
        for store in report.stores
    )
    console.print(table("stores", ("store", "erased", "pending"), rows))
    left = ((topic.topic, topic.left, moment(topic.gone_by.ToMilliseconds())) for topic in report.topics)
    console.print(table("data still in topics", ("topic", "what", "gone by"), left))
    if not report.complete:
        console.print(
            f"some stores have not answered yet: run the command again with --key {key}", markup=False, highlight=False
        )
