"""From a completed interaction to a score, over real Kafka, real gRPC and real HTTP."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.kafka_settings import KafkaSettings
from tests.integration.feedback.conftest import OutboundStandIn, running_feedback

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).resolve().parents[3]
T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], good: Callable[[T], bool], seconds: float = 30) -> T:
    """Repeat the query until the result is good. Fail with the last result after `seconds`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        seen = await look()
        if good(seen):
            return seen
        assert loop.time() < end, f"still {seen!r} after {seconds} s"
        await asyncio.sleep(0.05)


def link_in(text: str) -> str:
    found = re.search(r"https?://\S+", text)
    assert found, text
    return found[0]


async def test_a_completed_interaction_becomes_an_invitation_a_response_and_a_score(
    cluster: KafkaSettings, outbound: OutboundStandIn, tmp_path: Path
) -> None:
    """Completed, invited by gRPC as soon as ingest is available, asked on a page, answered with a Persian comment,
    counted once although sent twice, and included in the scores."""
    outbound.failing = 9  # more than the retries of one call: the dispatcher itself must try again
    async with running_feedback(cluster, outbound.address, tmp_path, first_response_counts=True) as feedback:
        await feedback.complete(1)
        sent = await outbound.next()
        assert sent.identity_id == "identity-1"
        assert sent.idempotency_key == sent.invitation_id
        assert sent.survey_kind == "csat"
        assert sent.text.startswith("چقدر راضی بودید؟")
        assert outbound.metadata[-1]["idempotency-key"] == sent.invitation_id
        assert outbound.metadata[-1]["authorization"].startswith("Bearer ")

        async with httpx.AsyncClient() as browser:
            link = link_in(sent.text)
            page = await browser.get(link)
            assert page.status_code == 200
            assert 'dir="rtl"' in page.text
            assert "چقدر راضی بودید؟" in page.text
            for _ in range(2):
                answer = await browser.post(link, data={"score": "5", "comment": "خیلی خوب\u202e بود"})
                assert answer.status_code == 200
                assert "سپاسگزاریم" in answer.text
            other = await browser.post(link, data={"score": "1"})
            assert other.status_code == 200  # the page thanks; the lane does not count it

        async def scores() -> pb.GetScoresResponse:
            response: pb.GetScoresResponse = await feedback.stub.GetScores(
                pb.GetScoresRequest(by="queue"), metadata=feedback.metadata, timeout=5
            )
            return response

        got = await eventually(scores, lambda seen: any(each.estimate.n for each in seen.scores))
        score = got.scores[0]
        assert (score.measure, score.dimension.value, score.invited) == ("csat", "support", 1)
        assert (score.estimate.value, score.estimate.n) == (1.0, 1)
        assert 0 < score.estimate.low < 1 == score.estimate.high
        assert score.response_rate.value == 1

        async def listed() -> pb.ListSurveyResponsesResponse:
            response: pb.ListSurveyResponsesResponse = await feedback.stub.ListSurveyResponses(
                pb.ListSurveyResponsesRequest(), metadata=feedback.metadata, timeout=5
            )
            return response

        responses = (await eventually(listed, lambda seen: len(seen.responses) > 0)).responses
        assert [(each.response.score, each.response.comment) for each in responses] == [(5, "خیلی خوب بود")]
        assert responses[0].response.subject.agent_id == "ada"

        async def refused() -> float | None:
            return feedback.service.metrics.value("chapar_feedback_responses_total", "telegram", "repeated")

        assert await eventually(refused, bool) == 1


async def test_a_bad_response_opens_a_recovery_that_watchers_and_scores_show(
    cluster: KafkaSettings, outbound: OutboundStandIn, tmp_path: Path
) -> None:
    """Opened at ingest over real gRPC under the invitation's id, sent to watchers of bad responses, and included in
    the scores of hour and category."""
    async with running_feedback(cluster, outbound.address, tmp_path) as feedback:
        bad = pb.WatchSurveyResponsesRequest(category="complaint", score_at_most=2)
        watch = feedback.stub.WatchSurveyResponses(bad, metadata=feedback.metadata)
        await watch.initial_metadata()
        for number, score, comment in ((1, "5", "عالی"), (2, "1", "خیلی معطل شدم")):
            await feedback.complete(number)
            sent = await outbound.next()
            async with httpx.AsyncClient() as browser:
                await browser.post(link_in(sent.text), data={"score": score, "comment": comment})
        async with asyncio.timeout(30):
            watched = await watch.read()
        assert watched.response.response.score == 1
        watch.cancel()

        async def asked() -> list[str]:
            return [each.idempotency_key for each in outbound.ingest.follow_ups]

        assert await eventually(asked, bool) == [watched.response.response.invitation_id]
        (request,) = outbound.ingest.follow_ups
        assert (request.queue, request.priority, request.reason) == ("call-back", 9, "recovery:bad")
        assert (request.conversation_id, request.labels["about"]) == ("conversation-2", "interaction-2")

        async def opened() -> float | None:
            return feedback.service.metrics.value("chapar_feedback_recoveries_total", "opened")

        assert await eventually(opened, bool) == 1

        async def by_category() -> dict[str, int]:
            request = pb.GetScoresRequest(by="category", measure="csat")
            response = await feedback.stub.GetScores(request, metadata=feedback.metadata, timeout=5)
            return {each.dimension.value: each.estimate.n for each in response.scores}

        assert await eventually(by_category, lambda seen: len(seen) == 2) == {"complaint": 1, "praise": 1}
