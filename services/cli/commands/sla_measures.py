"""`chapar sla measures`, `backlog`, `export`: volumes, times and open interactions, and the measures as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.sla.v1 import sla_pb2, sla_pb2_grpc
from services.chassis.durations import duration
from services.chassis.errors import ChaparError, ErrorKind
from services.cli.commands.options import Json
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.measures_export import require_writer, write
from services.cli.moments import parse_moment, shown
from services.cli.output import as_data, console, emit_json, table
from services.cli.reasons import Reason

_PAGE = 500


class By(StrEnum):
    """The grouping of rows, as people write it."""

    queue = "queue"
    channel = "channel"
    hour = "hour"
    day = "day"


Since = Annotated[
    str, typer.Option("--from", help="Start of the range: 2026-11-27, 1405/09/06, an ISO time, or 24h, 7d (ago).")
]
Until = Annotated[str, typer.Option("--to", help="End of the range, in the same forms; empty means now.")]
Zone = Annotated[str, typer.Option("--zone", help="IANA time zone of days and hours; empty means the tenant's.")]
Group = Annotated[list[By] | None, typer.Option("--by", help="Group rows by this; may be repeated.")]
Jalali = Annotated[
    bool | None,
    typer.Option(
        "--jalali/--gregorian", help="The calendar of the output; the default depends on the tenant's language."
    ),
]
Queue = Annotated[str, typer.Option("--queue", help="Only this queue.")]
Channel = Annotated[str, typer.Option("--channel", help="Only this channel.")]


def groups(by: list[By] | None) -> list[sla_pb2.MeasureGroup.ValueType]:
    """Convert the grouping to the contract's values."""
    return [sla_pb2.MeasureGroup.Value(f"MEASURE_GROUP_{one.upper()}") for one in by or ()]


async def in_range(
    stub: sla_pb2_grpc.SlaServiceAsyncStub, since: str, until: str, zone: str
) -> tuple[Timestamp | None, Timestamp | None, ZoneInfo, str]:
    """Return range, zone and language; first asks the service for the tenant's zone. Raises ChaparError INVALID."""
    about = await stub.GetMeasures(
        sla_pb2.GetMeasuresRequest(time_zone=zone, page=types_pb2.PageRequest(size=1)), timeout=30
    )
    try:
        where = ZoneInfo(about.time_zone)
        now = datetime.now(UTC)
        return _timestamp(since, now, where), _timestamp(until, now, where), where, about.language
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise ChaparError(ErrorKind.INVALID, Reason.INVALID_TIME, str(error)) from error


def _timestamp(text: str, now: datetime, zone: tzinfo) -> Timestamp | None:
    if not text:
        return None
    found = Timestamp()
    found.FromDatetime(parse_moment(text, now, zone))
    return found


def measures(
    since: Since = "7d",
    until: Until = "",
    by: Group = None,
    queue: Queue = "",
    channel: Channel = "",
    zone: Zone = "",
    jalali: Jalali = None,
    as_json: Json = False,
) -> None:
    """Show volumes, the times to pick-up, response and resolution, and the share of repeat contacts."""

    async def work() -> tuple[list[sla_pb2.MeasureRow], ZoneInfo, str]:
        async with channel_to(Workspace.here(), "sla") as connection:
            stub: sla_pb2_grpc.SlaServiceAsyncStub = sla_pb2_grpc.SlaServiceStub(connection)
            begin, end, where, language = await in_range(stub, since, until, zone)
            request = sla_pb2.GetMeasuresRequest(
                queue=queue, channel=channel, since=begin, until=end, group_by=groups(by), time_zone=where.key
            )
            return [row async for row in _rows(stub, request)], where, language

    rows, where, language = execute(work)
    if as_json:
        emit_json([as_data(row) for row in rows])
        return
    persian = language.startswith("fa") if jalali is None else jalali
    by_hour = By.hour in (by or ())
    keys = [name for name in ("when", "queue", "channel") if _asked(name, by)]
    columns = (*keys, "#contacts", "#again", "#left", "#pick-up", "#AFRT", "#ART", "#p90", "#resolution", "#breached")
    console.print(
        table("measures", columns, (_cells(row, keys, where, jalali=persian, by_hour=by_hour) for row in rows))
    )
    console.print(
        "AFRT, ART: mean time to the first and to each response; p90: of responses; breached: share of decided targets that were breached"
    )


def backlog(queue: Queue = "", channel: Channel = "", jalali: Jalali = None, as_json: Json = False) -> None:
    """Show open interactions by age; in brackets, the number of them that wait for our reply."""

    async def work() -> tuple[list[sla_pb2.BacklogRow], str, ZoneInfo]:
        async with channel_to(Workspace.here(), "sla") as connection:
            stub: sla_pb2_grpc.SlaServiceAsyncStub = sla_pb2_grpc.SlaServiceStub(connection)
            found: list[sla_pb2.BacklogRow] = []
            page = types_pb2.PageRequest(size=_PAGE)
            while True:
                request = sla_pb2.GetBacklogRequest(queue=queue, channel=channel, page=page)
                answer = await stub.GetBacklog(request, timeout=30)
                found += answer.rows
                page.cursor = answer.page.next_cursor
                if not page.cursor:
                    return found, answer.language, ZoneInfo(answer.time_zone)

    rows, language, where = execute(work)
    if as_json:
        emit_json([as_data(row) for row in rows])
        return
    persian = language.startswith("fa") if jalali is None else jalali
    heads = [_age(age) for age in rows[0].ages] if rows else []
    console.print(
        table(
            "open interactions by age",
            ("queue", "channel", "#open", "#no agent", *(f"#{head}" for head in heads), "oldest since"),
            (
                (
                    row.queue,
                    row.channel,
                    _of(row.open, row.unanswered),
                    row.waiting,
                    *(_of(age.open, age.unanswered) for age in row.ages),
                    shown(row.oldest_at.ToDatetime(UTC), where, jalali=persian),
                )
                for row in rows
            ),
        )
    )
    console.print("in brackets: the number of them that wait for our reply", markup=False)


def export(
    file: Annotated[Path, typer.Argument(help="The file to write: a name that ends in .csv or .parquet.")],
    since: Since = "7d",
    until: Until = "",
    by: Group = None,
    queue: Queue = "",
    channel: Channel = "",
    zone: Zone = "",
) -> None:
    """Write measures to a file, by hour, queue and channel unless `--by` names another grouping."""

    async def work() -> int:
        require_writer(file)
        async with channel_to(Workspace.here(), "sla") as connection:
            stub: sla_pb2_grpc.SlaServiceAsyncStub = sla_pb2_grpc.SlaServiceStub(connection)
            begin, end, where, _ = await in_range(stub, since, until, zone)
            chosen = [By.hour, By.queue, By.channel] if by is None else [*by, By.queue, By.channel]
            request = sla_pb2.GetMeasuresRequest(
                queue=queue,
                channel=channel,
                since=begin,
                until=end,
                group_by=groups(list(dict.fromkeys(chosen))),
                time_zone=where.key,
            )
            return write(file, [row async for row in _rows(stub, request)])

    console.print(f"{execute(work)} lines in {file}", markup=False)


async def _rows(
    stub: sla_pb2_grpc.SlaServiceAsyncStub, request: sla_pb2.GetMeasuresRequest
) -> AsyncIterator[sla_pb2.MeasureRow]:
    """Yield the rows of all pages."""
    request.page.size = _PAGE
    while True:
        answer = await stub.GetMeasures(request, timeout=60)
        for row in answer.rows:
            yield row
        if not answer.page.next_cursor:
            return
        request.page.cursor = answer.page.next_cursor


def _asked(name: str, by: list[By] | None) -> bool:
    chosen = set(by or ())
    return bool(chosen & {By.hour, By.day}) if name == "when" else name in chosen


def _cells(
    row: sla_pb2.MeasureRow, keys: list[str], zone: ZoneInfo, *, jalali: bool, by_hour: bool
) -> tuple[object, ...]:
    parts = {
        "when": shown(row.key.begins_at.ToDatetime(UTC), zone, jalali=jalali, with_time=by_hour),
        "queue": row.key.queue,
        "channel": row.key.channel,
    }
    breached = sum(p.breached for p in row.targets)
    decided = sum(p.breached + p.met_desired + p.met_adequate for p in row.targets)
    again = row.repeat_contacts
    return (
        *(parts[key] for key in keys),
        row.contacts,
        f"{again.value:.0%}" if again.n else "-",
        row.abandoned,
        *(_mean(times) for times in (row.pick_up, row.first_response, row.response)),
        duration(row.response.p90_ms) if row.response.mean_ms.n else "-",
        _mean(row.resolution),
        f"{breached / decided:.0%} of {decided}" if decided else "-",
    )


def _mean(times: sla_pb2.Durations) -> str:
    return duration(times.mean_ms.value) if times.mean_ms.n else "-"


def _of(count: int, unanswered: int) -> str:
    return f"{count} ({unanswered})" if count else "-"


def _age(age: sla_pb2.BacklogAge) -> str:
    units = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"))

    def short(ms: int) -> str:
        return next((f"{ms // size}{unit}" for size, unit in units if ms >= size), "0")

    return f"<{short(age.below_ms)}" if age.below_ms else f"{short(age.least_ms)}+"


def attainment_cells(row: sla_pb2.ServiceLevelRow, zone: ZoneInfo, *, jalali: bool, by_hour: bool) -> tuple[str, ...]:
    """Format one row of the service level table."""
    when = ""
    if row.key.HasField("begins_at"):
        when = shown(row.key.begins_at.ToDatetime(UTC), zone, jalali=jalali, with_time=by_hour)
    kept = row.attainment
    shares = (kept.over_offered, kept.over_answered, kept.desired_level, kept.breach_rate)
    return (when, row.key.queue, row.key.channel, str(kept.over_offered.n), *(_share(one) for one in shares))


def _share(estimate: types_pb2.Estimate) -> str:
    return f"{estimate.value:.1%}" if estimate.n else "-"


def target_kind(name: str) -> config_pb2.TargetKind.ValueType:
    """Return the contract's value for a name such as `first_response`."""
    return config_pb2.TargetKind.Value(f"TARGET_KIND_{name.upper()}")
