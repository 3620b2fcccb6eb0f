"""`chapar persons`: who a person is, and erasing one for good."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.cli.commands.options import Json
from services.cli.connection import channel_to, execute
from services.cli.output import as_data, console, emit_json, errors, moment, table
from services.cli.workspace import Workspace

app = typer.Typer(no_args_is_help=True, help="Persons: who they are, and erasing them.")
_DEADLINE_S = 60.0


@app.command("show")
def show(person: Annotated[str, typer.Argument(help="The person's id.")], as_json: Json = False) -> None:
    """The identities of a person. Shows personal data."""

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
    person: Annotated[str, typer.Argument(help="The person's id; may be left out with --identity.")] = "",
    identity: Annotated[
        list[str] | None, typer.Option("--identity", help="An identity, besides those of the person; may be repeated.")
    ] = None,
    key: Annotated[
        str, typer.Option(help="Id of this erasure: the same again shows what has been done since. Default: a new one.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erases a person: messages, names, addresses, files' names, answers, everywhere and for good. Exit code 2 while a store is waited for."""
    if not person and not identity:
        errors.print("name a person, or an identity with --identity")
        raise typer.Exit(1)
    if not yes:
        typer.confirm("Erase this person in all stores? This can't be taken back.", abort=True)
    chosen = key or f"cli-{uuid.uuid4()}"

    async def work() -> ingest_pb2.ErasePersonResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            stub = ingest_pb2_grpc.PersonServiceStub(channel)
            request = ingest_pb2.ErasePersonRequest(
                idempotency_key=chosen, person_id=person, identity_ids=identity or ()
            )
            if as_json:
                return await stub.ErasePerson(request, timeout=_DEADLINE_S)
            with console.status("the lanes forget, keys are destroyed, history is emptied"):
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
            ", ".join(f"{name} {count}" for name, count in sorted(store.counts.items())) or "nothing was there",
            f"{len(store.waiting_for)} parts" if store.waiting_for else "",
        )
        for store in report.stores
    )
    console.print(table("stores", ("store", "what was done", "waits for"), rows))
    left = ((topic.topic, topic.left, moment(topic.gone_by.ToMilliseconds())) for topic in report.topics)
    console.print(table("what topics still hold", ("topic", "what", "gone by"), left))
    if not report.complete:
        console.print(f"not every store has answered: ask again with --key {key}", markup=False, highlight=False)
