"""`chapar transactions`: shows transactions that hold readers back, and ends those that no coordinator will end (docs/operating.md)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.chassis.clock import system_clock
from services.chassis.kafka_settings import KafkaSettings
from services.cli.actor import Actor, actor_or_user
from services.cli.commands.options import Json
from services.cli.connection import execute, kafka_of, tenant_of
from services.cli.hanging_transactions import Seen, carry_out, plan, seen
from services.cli.local.workspace import Workspace
from services.cli.output import console, emit_json, errors, table

app = typer.Typer(
    no_args_is_help=True, help="Transactions that are open, and those that hang after a crash of the only broker."
)


@app.command("list")
def list_command(as_json: Json = False) -> None:
    """List the open transactions that readers of committed records wait for, and what their coordinators say."""
    now = system_clock()
    rows = [_described(each, now) for each in execute(lambda: seen(_kafka()))]
    if as_json:
        emit_json(rows)
        return
    columns = ("topic", "partition", "first_offset", "producer_id", "epoch", "age_s", "coordinator", "hangs", "outcome")
    heads = ("topic", "#partition", "#first offset", "#producer", "#epoch", "#age s", "coordinator", "hangs", "outcome")
    shown = (tuple("" if row[name] is None else row[name] for name in columns) for row in rows)
    console.print(table("open transactions", heads, shown))


@app.command("end")
def end_command(
    topic: Annotated[str, typer.Argument(help="Only this topic, as `chapar transactions list` names it.")] = "",
    partition: Annotated[int | None, typer.Argument(min=0, help="Only this partition.")] = None,
    abort: Annotated[
        bool,
        typer.Option("--abort", help="Also end transactions without a recorded outcome: their records are dropped."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """End transactions that hang, with the outcome that the coordinator recorded. Says what each means, and asks."""

    async def look() -> Any:
        return plan(await seen(_kafka()), topic=topic, partition=partition, abort=abort)

    planned = execute(look)
    for sentence in planned.says:
        (errors if as_json else console).print(sentence, markup=False, highlight=False, soft_wrap=True)
    if planned.ends and not yes:
        typer.confirm("Write these markers?", abort=True, err=as_json)

    async def work() -> None:
        await carry_out(_kafka(), planned, system_clock, tenant=tenant_of(Workspace.here()), actor=actor_or_user(actor))

    if planned.ends:
        execute(work)
    if as_json:
        emit_json(
            [
                {
                    "topic": each.found.open.place[0],
                    "partition": each.found.open.place[1],
                    "first_offset": each.found.open.first_offset,
                    "producer_id": each.found.open.producer_id,
                    "outcome": outcome.word,
                }
                for each, outcome in planned.ends
            ]
        )
    elif planned.ends:
        console.print("written")
    if planned.undecided:
        raise typer.Exit(1)


def _kafka() -> KafkaSettings:
    return kafka_of(Workspace.here())


def _described(each: Seen, now_ms: int) -> dict[str, Any]:
    found = each.found.open
    return {
        "topic": found.place[0],
        "partition": found.place[1],
        "first_offset": found.first_offset,
        "producer_id": found.producer_id,
        "epoch": found.epoch,
        "age_s": max(0, now_ms - found.last_ms) // 1000,
        "transactional_id": each.found.transactional_id,
        "coordinator": each.found.state,
        "hangs": each.found.hangs,
        "outcome": each.outcome.word if each.outcome is not None else None,
    }
