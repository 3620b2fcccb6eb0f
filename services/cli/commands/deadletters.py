"""`chapar deadletters`: shows refused records and their reasons, and puts records back when the cause is fixed."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated

import typer
from aiokafka import AIOKafkaProducer

from chapar.common.v1 import dead_letter_pb2
from services.chassis.kafka.headers import RELAYED_FROM, REPLAYED
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.topics import TOPICS, full_name
from services.cli.actor import Actor
from services.cli.commands import lanes
from services.cli.commands.options import Json, Limit
from services.cli.connection import execute, kafka_of
from services.cli.local.workspace import Workspace
from services.cli.output import as_data, console, emit_json, errors, moment, table
from services.cli.topic_reader import decoded, read_all

app = typer.Typer(no_args_is_help=True, help="Refused records.")
TOPIC = "deadletters.v1"
Letter = tuple[str, dead_letter_pb2.DeadLetter]
Id = Annotated[str, typer.Argument(help="partition:offset, as `list` shows it.")]


@app.command("list")
def list_command(limit: Limit = 50, as_json: Json = False) -> None:
    """List the newest dead letters, without their content."""
    letters = execute(_letters)[-limit:]
    if as_json:
        emit_json([_described(identity, letter) for identity, letter in letters])
        return
    rows = (
        (identity, moment(letter.occurred_at_ms), letter.reason, letter.refused_by, _origin(letter), len(letter.value))
        for identity, letter in reversed(letters)
    )
    console.print(table("dead letters", ("id", "when", "reason", "refused by", "origin", "#bytes"), rows))
    counts = Counter(letter.reason for _, letter in letters)
    console.print(", ".join(f"{reason}: {count}" for reason, count in counts.most_common()), markup=False)


@app.command("show")
def show(
    identity: Id,
    raw: Annotated[bool, typer.Option("--raw", help="Write the record's bytes to standard output.")] = False,
    as_json: Json = False,
) -> None:
    """Show one dead letter. The record's bytes may hold personal data and are written only with --raw."""
    letter = _one(identity)
    if raw:
        typer.echo(letter.value, nl=False)
    elif as_json:
        emit_json(_described(identity, letter))
    else:
        facts = _described(identity, letter)
        console.print(table(f"dead letter {identity}", ("what", "value"), facts.items()))


@app.command("replay")
def replay(
    identities: Annotated[list[str] | None, typer.Argument(help="partition:offset of each.")] = None,
    reason: Annotated[str, typer.Option(help="Put back all records with this reason instead.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put records back into their original topic, with the same key. Services handle each id once, so a second replay does no harm."""
    chosen = [
        pair for pair in execute(_letters) if pair[0] in (identities or ()) or (reason and pair[1].reason == reason)
    ]
    if not chosen:
        errors.print("no such dead letter: `chapar deadletters list` shows them")
        raise typer.Exit(1)
    if not yes:
        typer.confirm(f"Put {len(chosen)} records back?", abort=True)

    async def work() -> None:
        kafka = kafka_of(Workspace.here())
        await _put_back(kafka, [letter for _, letter in chosen])

    execute(work)
    console.print(f"{len(chosen)} put back")


@app.command("skip")
def skip(
    lane: Annotated[str, typer.Argument(help="The lane, as `chapar lanes list` names it.")],
    partition: Annotated[int, typer.Argument(min=0, help="The partition of its input.")],
    offset: Annotated[int, typer.Argument(min=0, help="The record.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Let a lane leave a record out that ends or blocks it: the record becomes a dead letter. The lane may be working."""
    lanes.skip_record(lane, partition, offset, yes=yes, actor=actor, as_json=as_json)


async def _put_back(kafka: KafkaSettings, letters: list[dead_letter_pb2.DeadLetter]) -> None:
    producer = AIOKafkaProducer(**kafka.client_options(), enable_idempotence=True, acks="all")
    await producer.start()
    try:
        futures = []
        for letter in letters:
            attempts = sum(1 for header in letter.headers if header.key == REPLAYED)
            # A record that a relay wrote counts as a repetition as long as it names its origin.
            headers = [(h.key, h.value) for h in letter.headers if h.key not in (REPLAYED, RELAYED_FROM)]
            futures.append(
                await producer.send(
                    _full_name(kafka, letter.origin_topic),
                    key=letter.key if letter.HasField("key") else None,
                    value=letter.value if letter.HasField("value") else None,
                    headers=[*headers, (REPLAYED, str(attempts + 1).encode())],
                )
            )
        await asyncio.gather(*futures)
    finally:
        await producer.stop()


def _full_name(kafka: KafkaSettings, origin: str) -> str:
    """Return the full name of a topic: dead letters from lanes name it without the installation's prefix."""
    return full_name(kafka.topic_prefix, origin) if origin in TOPICS else origin


async def _letters() -> list[Letter]:
    kafka = kafka_of(Workspace.here())
    return [
        (f"{record.partition}:{record.offset}", letter)
        for record, letter in decoded(await read_all(kafka, TOPIC), dead_letter_pb2.DeadLetter.FromString)
    ]


def _one(identity: str) -> dead_letter_pb2.DeadLetter:
    found = dict(execute(_letters)).get(identity)
    if found is None:
        errors.print(f"no dead letter {identity}: `chapar deadletters list` shows them", markup=False)
        raise typer.Exit(1)
    return found


def _origin(letter: dead_letter_pb2.DeadLetter) -> str:
    name = next((topic for topic in TOPICS if letter.origin_topic.endswith(topic)), letter.origin_topic)
    return f"{name}[{letter.origin_partition}]@{letter.origin_offset}"


def _described(identity: str, letter: dead_letter_pb2.DeadLetter) -> dict[str, object]:
    """Return a dead letter without its key, value and headers, which may hold personal data."""
    data = as_data(letter)
    for secret in ("key", "value", "headers"):
        data.pop(secret, None)
    return {"id": identity, **data, "bytes": len(letter.value)}
