"""`chapar persons`: shows and suggests the identities of a person, sets how they want to be reached, joins another channel, and erases a
person permanently."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.cli.commands.options import Json
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.output import as_data, console, emit_json, errors, moment, table

app = typer.Typer(no_args_is_help=True, help="Persons: identities, preferences, erasure.")
_DEADLINE_S = 60.0


@app.command("show")
def show(person: Annotated[str, typer.Argument(help="The person's id.")], as_json: Json = False) -> None:
    """Show the identities of a person, and how they want to be reached. The output holds personal data."""

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
    if found.preferred_channel:
        console.print(f"preferred channel: {found.preferred_channel}", markup=False, highlight=False)
    if found.blocks:
        blocks = ((b.identity.identity_id, moment(b.until.ToMilliseconds()), b.actor, b.note) for b in found.blocks)
        console.print(table("blocked", ("identity", "until", "blocked by", "why"), blocks))
    if found.opt_outs:
        outs = ((o.channel or "all", _scope(o), moment(o.since.ToMilliseconds()), o.actor) for o in found.opt_outs)
        console.print(table("opt-outs", ("channel", "does not want", "since", "set by"), outs))


@app.command("suggest")
def suggest(person: Annotated[str, typer.Argument(help="The person's id.")], as_json: Json = False) -> None:
    """Suggest identities of other persons that may be the same customer, with the evidence. The output holds personal data."""

    async def work() -> ingest_pb2.SuggestIdentitiesResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            stub = ingest_pb2_grpc.PersonServiceStub(channel)
            return await stub.SuggestIdentities(ingest_pb2.SuggestIdentitiesRequest(person_id=person))

    found = execute(work)
    if as_json:
        emit_json(as_data(found))
        return
    rows = (
        (s.identity.identity_id, s.identity.channel, s.identity.account, s.identity.native_id, s.person_id, s.evidence)
        for s in found.suggestions
    )
    columns = ("identity", "channel", "account", "native id", "person", "evidence")
    console.print(table(f"may be person {person}", columns, rows))


@app.command("prefer")
def prefer(
    identity: Annotated[str, typer.Argument(help="An identity of the person.")],
    channel: Annotated[
        str, typer.Option(help="Channel on which Chapar begins a conversation; empty: the newest.")
    ] = "",
    opt_out: Annotated[
        list[str] | None,
        typer.Option(
            "--opt-out", help="surveys, proactive or all_but_replies; with a channel: email:surveys. May be repeated."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Set the preferred channel and all opt-outs of a person. Values that are not given are removed."""
    opt_outs = [_opt_out(each) for each in opt_out or ()]

    async def work() -> ingest_pb2.SetPreferencesResponse:
        async with channel_to(Workspace.here(), "ingest") as grpc_channel:
            stub = ingest_pb2_grpc.PersonServiceStub(grpc_channel)
            request = ingest_pb2.SetPreferencesRequest(
                idempotency_key=f"cli-{uuid.uuid4()}",
                identity_id=identity,
                opt_outs=opt_outs,
                preferred_channel=channel,
            )
            return await stub.SetPreferences(request)

    execute(work)
    if as_json:
        emit_json({"identity_id": identity, "preferred_channel": channel, "opt_outs": opt_out or []})
    else:
        console.print(f"set for the person of {identity}", markup=False, highlight=False)


@app.command("join-link")
def join_link(
    identity: Annotated[str, typer.Argument(help="The identity to which the link is shown.")],
    minutes: Annotated[int, typer.Option(help="How long it works.", min=1, max=1440)] = 15,
    as_json: Json = False,
) -> None:
    """Make a text that the customer sends on another channel, so that both become one person. It works once."""

    async def work() -> ingest_pb2.CreateJoinLinkResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            stub = ingest_pb2_grpc.PersonServiceStub(channel)
            request = ingest_pb2.CreateJoinLinkRequest(
                idempotency_key=f"cli-{uuid.uuid4()}", identity_id=identity, valid_for_ms=minutes * 60_000
            )
            return await stub.CreateJoinLink(request)

    answer = execute(work)
    if as_json:
        emit_json(as_data(answer))
    else:
        console.print(answer.text, markup=False, highlight=False)


def _opt_out(text: str) -> records_pb2.OptOut:
    channel, _, scope = text.rpartition(":")
    name = f"OPT_OUT_SCOPE_{scope.upper()}"
    if name not in dict(records_pb2.OptOutScope.items()):
        raise typer.BadParameter(f"`{scope}` is not one of surveys, proactive, all_but_replies", param_hint="--opt-out")
    return records_pb2.OptOut(channel=channel, scope=records_pb2.OptOutScope.Value(name))


def _scope(held: ingest_pb2.PersonOptOut) -> str:
    return records_pb2.OptOutScope.Name(held.scope).removeprefix("OPT_OUT_SCOPE_").lower()


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
