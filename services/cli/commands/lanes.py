"""`chapar lanes`: shows the partitions of the lanes, and decides about those that a lane refuses (docs/operating.md)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

import typer

from services.chassis.clock import system_clock
from services.chassis.kafka.intervention import Situation
from services.chassis.kafka_settings import KafkaSettings
from services.cli.actor import Actor, actor_or_user
from services.cli.commands.options import Json
from services.cli.connection import execute, kafka_of, tenant_of
from services.cli.lane_decisions import Plan, rebuild, reset, skip
from services.cli.lane_repairs import Planner, carry_out, planned, situations
from services.cli.lane_table import LANES, lane_of
from services.cli.local.workspace import Workspace
from services.cli.output import console, emit_json, errors, table

app = typer.Typer(
    no_args_is_help=True, help="Partitions of the lanes: positions, owners, and decisions about lost data."
)
Lane = Annotated[str, typer.Argument(help="The lane, as `chapar lanes list` names it.")]
Partition = Annotated[int, typer.Argument(min=0, help="The partition of its input.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_command(
    lane: Annotated[str, typer.Argument(help="Only this lane.")] = "",
    as_json: Json = False,
) -> None:
    """List each partition: its state, the lane's position, the input's offsets, the owner."""

    async def work() -> list[dict[str, Any]]:
        chosen = [lane_of(lane)] if lane else list(LANES.values())
        kafka = kafka_of(Workspace.here())
        return [
            _described(each.name, situation)
            for each in chosen
            for situation in await situations(kafka, each, system_clock)
        ]

    found = execute(work)
    if as_json:
        emit_json(found)
        return
    columns = ("lane", "partition", "state", "position", "begin", "end", "entries", "epoch", "owner")
    rows = (tuple("" if each[name] is None else each[name] for name in columns) for each in found)
    console.print(
        table(
            "lanes", ("lane", "#partition", "state", "#position", "#begin", "#end", "#entries", "#epoch", "owner"), rows
        )
    )
    for each in found:
        if each["detail"]:
            console.print(f"{each['lane']}/{each['partition']}: {each['detail']}", markup=False, soft_wrap=True)


@app.command("reset")
def reset_command(
    lane: Lane,
    partition: Partition,
    to: Annotated[str, typer.Option("--to", help="start, end, or an offset of the input.")],
    yes: Yes = False,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Let a lane continue at another offset of its input; its state stays. Says what is left out or repeated, and asks."""
    spec = lane_of_or_exit(lane)

    def as_shown(plan: Plan) -> Planner:  # the end of the input may move on meanwhile, the decision may not
        return functools.partial(reset, spec, to=str(plan.repair.offset))

    planner = functools.partial(reset, spec, to=to)
    decide("reset", lane, partition, planner, yes=yes, actor=actor, as_json=as_json, as_shown=as_shown)


@app.command("rebuild")
def rebuild_command(
    lane: Lane, partition: Partition, yes: Yes = False, actor: Actor = "", as_json: Json = False
) -> None:
    """Forget the state of a partition and read its input again. Refused for lanes that would repeat what people see."""
    spec = lane_of_or_exit(lane)
    decide("rebuild", lane, partition, functools.partial(rebuild, spec), yes=yes, actor=actor, as_json=as_json)


def skip_record(lane: str, partition: int, offset: int, *, yes: bool, actor: str, as_json: bool) -> None:
    """Leave one record out: `chapar deadletters skip`."""
    planner = functools.partial(skip, lane_of_or_exit(lane), offset=offset)
    decide("skip", lane, partition, planner, yes=yes, actor=actor, as_json=as_json, group="deadletters")


def lane_of_or_exit(name: str) -> Any:
    """Return a lane; without one of this name, print the names and exit with code 1."""

    async def work() -> Any:
        return lane_of(name)

    return execute(work)


def decide(
    word: str,
    lane: str,
    partition: int,
    planner: Planner,
    *,
    yes: bool,
    actor: str,
    as_json: bool,
    group: str = "lanes",
    as_shown: Callable[[Plan], Planner] | None = None,
) -> None:
    """Show a plan, ask, and carry it out. `as_shown`: returns the planner of the plan that was shown, if it is another one."""
    spec, method = lane_of(lane), f"chapar {group} {word}"

    def kafka() -> KafkaSettings:
        return kafka_of(Workspace.here())

    async def look() -> Plan:
        return await planned(kafka(), spec, partition, planner, system_clock)

    plan = execute(look)
    for sentence in plan.says:
        (errors if as_json else console).print(sentence, markup=False, highlight=False, soft_wrap=True)
    if not yes:
        typer.confirm("Write this decision?", abort=True, err=as_json)

    async def work() -> None:
        await carry_out(
            kafka(),
            spec,
            partition,
            planner if as_shown is None else as_shown(plan),
            plan,
            system_clock,
            method=method,
            tenant=tenant_of(Workspace.here()),
            actor=actor_or_user(actor),
        )

    execute(work)
    if as_json:
        emit_json(
            {
                "lane": lane,
                "partition": partition,
                "decision": word,
                "position": plan.position,
                "continues_at": plan.repair.offset,
                "skips": list(plan.repair.skips),
                "left_out": plan.left_out,
                "again": plan.again,
                "forgotten": plan.forgotten,
            }
        )
    else:
        console.print("written")


def _described(lane: str, situation: Situation) -> dict[str, Any]:
    found, now, loss = situation.found, situation.input, situation.loss
    return {
        "lane": lane,
        "partition": situation.partition,
        "state": _state(situation),
        "position": None if found.position is None else found.position.offset,
        "begin": now.begin,
        "end": now.end,
        "entries": len(found.entries),
        "epoch": None if found.claim is None else found.claim.epoch,
        "owner": situation.owner,
        "input_id": now.id,
        "skips": [] if found.claim is None else list(found.claim.skips),
        "reason": "" if loss is None else str(loss.reason),
        "detail": "" if loss is None else loss.detail,
    }


def _state(situation: Situation) -> str:
    """Return a word: refused, lost (a lane would refuse it), new, works, or stopped."""
    if situation.refused:
        return "refused"
    if situation.loss is not None:
        return "lost"
    if situation.works:
        return "works"
    return "new" if situation.found.position is None else "stopped"
