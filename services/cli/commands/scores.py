"""`chapar scores`: the scores from customers' responses, always with sample size and interval, and whether they have changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from chapar.common.v1 import types_pb2
from chapar.feedback.v1 import feedback_pb2, feedback_pb2_grpc
from services.chassis.jalali import JalaliDay
from services.cli.commands.options import Json
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.output import as_data, console, emit_json, table

PAGE = 500


class Window(StrEnum):
    """The lengths of windows."""

    minute = "minute"
    hour = "hour"
    day = "day"
    week = "week"
    all = "all"

    @property
    def number(self) -> feedback_pb2.ScoreWindow.ValueType:
        """The contract's value."""
        return feedback_pb2.ScoreWindow.Value(f"SCORE_WINDOW_{self.upper()}")


By = Annotated[str, typer.Option("--by", help="all, channel, queue, agent, skill, tier, language or category.")]
Jalali = Annotated[bool, typer.Option("--jalali", help="Dates in the Iranian calendar.")]


def scores(
    by: By = "all",
    value: Annotated[str, typer.Option("--value", help="Only this queue, agent, …")] = "",
    window: Annotated[Window, typer.Option("--window", help="The length of the windows.")] = Window.all,
    day: Annotated[str, typer.Option("--day", help="A day such as 2026-03-21; with --jalali 1405-01-01.")] = "",
    since: Annotated[str, typer.Option("--from", help="Windows from this day on.")] = "",
    until: Annotated[str, typer.Option("--to", help="Windows before this day.")] = "",
    measure: Annotated[str, typer.Option("--measure", help="csat, nps, ces_mean, ces_share_5_7, ces_net or fcr.")] = "",
    trend: Annotated[
        bool, typer.Option("--trend", help="Compare the newest whole window with the previous one.")
    ] = False,
    jalali: Jalali = False,
    as_json: Json = False,
) -> None:
    """Show CSAT, NPS, CES and first-contact resolution with sample size and 95 % interval."""
    day, since, until = (_gregorian(each, jalali) for each in (day, since, until))
    if trend:
        newer = window if window is not Window.all else Window.week
        _show_trends(
            feedback_pb2.GetTrendsRequest(by=by, value=value, window=newer.number, measure=measure, at=_stamp(day)),
            as_json,
            jalali,
        )
        return
    request = feedback_pb2.GetScoresRequest(by=by, value=value, day=day, measure=measure)
    if not day:
        request.window = window.number
    for name, text in (("from", since), ("to", until)):
        if text:
            getattr(request, name).CopyFrom(_stamp(text))
    _show_scores(request, as_json, jalali)


def _show_scores(request: feedback_pb2.GetScoresRequest, as_json: bool, jalali: bool) -> None:
    async def work() -> list[feedback_pb2.Score]:
        found: list[feedback_pb2.Score] = []
        async with channel_to(Workspace.here(), "feedback") as channel:
            stub = feedback_pb2_grpc.FeedbackServiceStub(channel)
            request.page.CopyFrom(types_pb2.PageRequest(size=PAGE))
            while True:
                answer = await stub.GetScores(request)
                found += answer.scores
                if not answer.page.next_cursor:
                    return found
                request.page.cursor = answer.page.next_cursor

    found = execute(work)
    if as_json:
        emit_json([as_data(score) for score in found])
        return
    by = request.by or "all"
    timed = any(score.dimension.day for score in found)
    columns = (
        by,
        *(("window",) if timed else ()),
        "measure",
        "#value",
        "95 % interval",
        "#responses",
        "#asked",
        "response rate",
    )
    console.print(table(f"scores by {by}", columns, _rows(found, timed, jalali)))


def _rows(found: list[feedback_pb2.Score], timed: bool, jalali: bool) -> Iterator[tuple[object, ...]]:
    for score in found:
        figure = score.estimate
        shown: tuple[object, ...] = (f"{figure.value:.3g}", _interval(figure), figure.n)
        if score.withheld:
            shown = ("", f"withheld (n={figure.n})", figure.n)
        rate = f"{score.response_rate.value:.0%} {_interval(score.response_rate)}" if score.response_rate.n else ""
        window = (window_name(score.dimension.day, jalali),) if timed else ()
        yield (score.dimension.value or "all", *window, score.measure, *shown, score.invited or "", rate)


def _show_trends(request: feedback_pb2.GetTrendsRequest, as_json: bool, jalali: bool) -> None:
    if not request.at.seconds:
        request.ClearField("at")

    async def work() -> feedback_pb2.GetTrendsResponse:
        async with channel_to(Workspace.here(), "feedback") as channel:
            return await feedback_pb2_grpc.FeedbackServiceStub(channel).GetTrends(request)

    answer = execute(work)
    if as_json:
        emit_json(as_data(answer))
        return
    rows = []
    for trend in answer.trends:
        about = (trend.dimension.value or "all", trend.measure)
        if trend.withheld:
            rows.append((*about, "", "", f"withheld (n={trend.now.n} and {trend.before.n})", "", ""))
            continue
        change = f"{trend.difference.value:+.3g} {_interval(trend.difference)}"
        sides = (_side(trend.now), _side(trend.before))
        rows.append((*about, *sides, change, f"{trend.p_adjusted:.3g}", "yes" if trend.significant else "no"))
    by = request.by or "all"
    newer = window_name(answer.trends[0].dimension.day, jalali) if answer.trends else ""
    title = f"scores by {by}, {newer} against the one before" if newer else f"trends by {by}"
    columns = (by, "measure", "now", "before", "change and 95 % interval", "#p", "changed")
    console.print(table(title, columns, rows))
    if answer.comparisons:
        console.print(f"Level {answer.level:g}, {answer.comparisons} comparisons. {answer.assumes}", soft_wrap=True)


def _side(figure: types_pb2.Estimate) -> str:
    return f"{figure.value:.3g} (n={figure.n})"


def _interval(figure: types_pb2.Estimate) -> str:
    return f"[{figure.low:.3g}, {figure.high:.3g}]"


def window_name(name: str, jalali: bool) -> str:
    """Format a window for people: the contract's name, with its date in the requested calendar."""
    if not name:
        return "all time"
    text, rest = name[:10], name[10:]
    if jalali:
        text = str(JalaliDay.of(date.fromisoformat(text)))
    return f"week of {text}" if rest == "/P7D" else text + rest.replace("T", " ").replace("Z", " UTC")


def _gregorian(text: str, jalali: bool) -> str:
    if not text:
        return ""
    try:
        if not jalali:
            return date.fromisoformat(text).isoformat()
        year, month, day = (int(part) for part in text.replace("/", "-").split("-"))
        found = JalaliDay(year, month, day).gregorian()
        return found.isoformat()
    except ValueError as error:
        calendar = "1405-01-01" if jalali else "2026-03-21"
        raise typer.BadParameter(f"{text!r} is not a day; write it like {calendar}") from error


def _stamp(day: str) -> Timestamp:
    stamp = Timestamp()
    if day:
        # Noon UTC is on the same day in the tenant's zone.
        stamp.FromJsonString(f"{day}T12:00:00Z")
    return stamp
