"""`chapar sla`: SLA targets: open deadlines, deadlines at risk, and service levels reached."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.sla.v1 import sla_pb2, sla_pb2_grpc
from services.chassis.durations import duration
from services.cli.commands import sla_measures
from services.cli.commands.options import Json, Limit
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.output import as_data, console, emit_json, emit_line, moment, table

app = typer.Typer(no_args_is_help=True, help="SLA targets, deadlines and measures.")
app.command("measures")(sla_measures.measures)
app.command("backlog")(sla_measures.backlog)
app.command("export")(sla_measures.export)
Queue = Annotated[str, typer.Option("--queue", help="Only this queue.")]
JalaliDates = Annotated[bool, typer.Option("--jalali", help="Show Jalali dates.")]


class TargetKind(StrEnum):
    """The kinds of targets, as people write them."""

    pick_up = "pick_up"
    first_response = "first_response"
    next_response = "next_response"
    resolution = "resolution"


def short(enum_name: str) -> str:
    """Return the short form of an enum name: first_response for TARGET_KIND_FIRST_RESPONSE."""
    for prefix in ("TARGET_KIND_", "DEADLINE_STATE_", "SLA_EVENT_KIND_", "SLA_LEVEL_"):
        enum_name = enum_name.removeprefix(prefix)
    return enum_name.lower()


@app.command("show")
def show(interaction_id: str, as_json: Json = False, jalali_dates: JalaliDates = False) -> None:
    """Show the deadlines of an interaction."""

    async def work() -> sla_pb2.GetDeadlinesResponse:
        async with channel_to(Workspace.here(), "sla") as channel:
            request = sla_pb2.GetDeadlinesRequest(interaction_id=interaction_id)
            return await sla_pb2_grpc.SlaServiceStub(channel).GetDeadlines(request)

    _deadlines("deadlines", list(execute(work).deadlines), as_json, jalali=jalali_dates)


@app.command("at-risk")
def at_risk(
    queue: Queue = "",
    minutes: Annotated[float, typer.Option(help="Due within this number of minutes.")] = 15,
    likeliest: Annotated[
        bool, typer.Option("--likeliest", help="Sort by probability of a breach, highest first.")
    ] = False,
    least: Annotated[
        float, typer.Option("--least", min=0, max=1, help="Only deadlines with at least this probability of a breach.")
    ] = 0,
    limit: Limit = 50,
    as_json: Json = False,
    jalali_dates: JalaliDates = False,
) -> None:
    """List open deadlines, the nearest or the likeliest to be breached first."""

    async def work() -> sla_pb2.ListAtRiskResponse:
        async with channel_to(Workspace.here(), "sla") as channel:
            request = sla_pb2.ListAtRiskRequest(
                queue=queue,
                within_ms=int(minutes * 60_000),
                page=types_pb2.PageRequest(size=limit),
                order=sla_pb2.AT_RISK_ORDER_PROBABILITY if likeliest else sla_pb2.AT_RISK_ORDER_DUE,
                least_probability=least,
            )
            return await sla_pb2_grpc.SlaServiceStub(channel).ListAtRisk(request)

    _deadlines(f"due within {minutes:g} min", list(execute(work).deadlines), as_json, jalali=jalali_dates)


@app.command("level")
def level(
    target: Annotated[TargetKind, typer.Option(help="The kind of target.")] = TargetKind.pick_up,
    queue: Queue = "",
    channel_name: Annotated[str, typer.Option("--channel", help="Only this channel.")] = "",
    since: sla_measures.Since = "",
    until: sla_measures.Until = "",
    by: sla_measures.Group = None,
    zone: sla_measures.Zone = "",
    jalali: sla_measures.Jalali = None,
    as_json: Json = False,
) -> None:
    """Show the service level with its three denominators, each with sample size and interval; for all stored counts or for a range."""

    async def work() -> tuple[sla_pb2.GetServiceLevelResponse, ZoneInfo, str]:
        async with channel_to(Workspace.here(), "sla") as channel:
            stub: sla_pb2_grpc.SlaServiceAsyncStub = sla_pb2_grpc.SlaServiceStub(channel)
            begin, end, where, language = await sla_measures.in_range(stub, since, until, zone)
            request = sla_pb2.GetServiceLevelRequest(
                queue=queue,
                channel=channel_name,
                target=sla_measures.target_kind(target),
                since=begin,
                until=end,
                group_by=sla_measures.groups(by),
                time_zone=where.key,
                page=types_pb2.PageRequest(size=500),
            )
            return await stub.GetServiceLevel(request), where, language

    answer, where, language = execute(work)
    if as_json:
        emit_json(as_data(answer))
        return
    measures = (
        *("over_offered", "over_offered_less_short_abandons", "over_answered"),
        *("desired_level", "adequate_level", "breach_rate"),
    )
    rows = ((name.replace("_", " "), share(getattr(answer, name)), getattr(answer, name).n) for name in measures)
    console.print(table("service level", ("measure", "share [95 % interval]", "#n"), rows))
    console.print(f"{target.replace('_', ' ')}: {answer.breaches} breaches, {answer.open} deadlines open")
    if by:
        persian = language.startswith("fa") if jalali is None else jalali
        by_hour = sla_measures.By.hour in by
        columns = ("when", "queue", "channel", "#n", "#of offered", "#of answered", "#desired", "#broken")
        cells = (sla_measures.attainment_cells(row, where, jalali=persian, by_hour=by_hour) for row in answer.rows)
        console.print(table("by " + ", ".join(by), columns, cells))


class What(StrEnum):
    """The kinds of events, as people write them."""

    deadline_set = "deadline_set"
    paused = "paused"
    resumed = "resumed"
    warned = "warned"
    desired_passed = "desired_passed"
    breached = "breached"
    met = "met"
    cancelled = "cancelled"
    escalated = "escalated"
    changed = "changed"
    predicted = "predicted"
    corrected = "corrected"
    rearmed = "rearmed"


@app.command("watch")
def watch(
    queue: Queue = "",
    kind: Annotated[list[What] | None, typer.Option("--kind", help="Only these kinds; may be repeated.")] = None,
    as_json: Json = False,
    jalali_dates: JalaliDates = False,
) -> None:
    """Print events as they occur, until Ctrl-C; `--kind escalated` is the supervisors' watch list."""
    kinds = [sla_pb2.SlaEventKind.Value(f"SLA_EVENT_KIND_{each.upper()}") for each in kind or ()]

    async def work() -> None:
        async with channel_to(Workspace.here(), "sla") as channel:
            request = sla_pb2.WatchEventsRequest(queue=queue, kinds=kinds)
            async for answer in sla_pb2_grpc.SlaServiceStub(channel).WatchEvents(request):
                if as_json:
                    emit_line(as_data(answer.event))
                else:
                    console.print(event_line(answer.event, jalali=jalali_dates), markup=False)

    execute(work)


def event_line(event: sla_pb2.SlaEvent, *, jalali: bool = False) -> str:
    """Format an event for people, on one line."""
    kind = short(sla_pb2.SlaEventKind.Name(event.kind))
    target = short(config_pb2.TargetKind.Name(event.target))
    at = moment(event.occurred_at_ms, jalali=jalali)
    asked = asked_for(event.action) if event.HasField("action") else ""
    return f"{at}  {kind:12} {target:15} {event.queue:10} {event.interaction_id}  {asked}".rstrip()


def asked_for(action: sla_pb2.SlaAction) -> str:
    """Format the actions of an escalation: `priority +5, needs senior, to rescue, notifies duty, for supervisors`."""
    parts = (
        f"priority {action.add_priority:+}" if action.add_priority else "",
        f"needs {', '.join(requirement.attribute for requirement in action.requirements)}"
        if action.requirements
        else "",
        f"to {action.queue}" if action.queue else "",
        f"notifies {action.webhook}" if action.webhook else "",
        "for supervisors" if action.supervisor else "",
    )
    return ", ".join(filter(None, parts))


def share(estimate: types_pb2.Estimate) -> str:
    """Format a share with its interval; a dash if there is no sample."""
    return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]" if estimate.n else "-"


def _deadlines(title: str, deadlines: list[sla_pb2.DeadlineView], as_json: bool, *, jalali: bool = False) -> None:
    if as_json:
        emit_json([as_data(deadline) for deadline in deadlines])
        return
    rows = (
        (
            *(
                d.interaction_id,
                short(config_pb2.TargetKind.Name(d.target)),
                d.epoch,
                short(sla_pb2.DeadlineState.Name(d.state)),
            ),
            *(d.queue, moment(d.adequate_at.ToMilliseconds(), jalali=jalali) if d.HasField("adequate_at") else ""),
            *(duration(d.used_ms), duration(d.remaining_ms) if d.remaining_ms > 0 else "past"),
            f"{d.breach_probability:.0%}" if d.HasField("breach_probability") else "",
        )
        for d in deadlines
    )
    columns = ("interaction", "target", "#instance", "state", "queue", "due", "used", "left", "#risk")
    console.print(table(title, columns, rows))
