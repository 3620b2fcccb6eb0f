"""`chapar scores`: what customers said, never without sample size and interval."""

from __future__ import annotations

from typing import Annotated

import typer

from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2, feedback_pb2_grpc
from services.cli.commands.options import Json
from services.cli.connection import channel_to, execute
from services.cli.output import as_data, console, emit_json, table
from services.cli.workspace import Workspace


def scores(
    by: Annotated[str, typer.Option("--by", help="all, channel, queue or agent.")] = "all",
    day: Annotated[str, typer.Option("--day", help="A day such as 2026-03-21; empty means all time.")] = "",
    as_json: Json = False,
) -> None:
    """CSAT, NPS and CES with sample size and 95 % interval."""

    async def work() -> feedback_pb2.GetScoresResponse:
        async with channel_to(Workspace.here(), "feedback") as channel:
            request = feedback_pb2.GetScoresRequest(by=by, day=day)
            return await feedback_pb2_grpc.FeedbackServiceStub(channel).GetScores(request)

    answer = execute(work)
    if as_json:
        emit_json([as_data(score) for score in answer.scores])
        return
    rows = (
        (
            *(
                s.dimension.value or "all",
                config_pb2.SurveyKind.Name(s.dimension.kind).removeprefix("SURVEY_KIND_"),
                s.measure,
            ),
            *(f"{s.estimate.value:.3g}", f"[{s.estimate.low:.3g}, {s.estimate.high:.3g}]", s.estimate.n, s.invited),
        )
        for s in answer.scores
    )
    console.print(
        table(f"scores by {by}", (by, "survey", "measure", "#value", "95 % interval", "#answers", "#invited"), rows)
    )
