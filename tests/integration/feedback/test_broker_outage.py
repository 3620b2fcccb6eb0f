"""The broker dies and comes back: meanwhile customers get a correct error, and afterwards everything continues by
itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.kafka_settings import KafkaSettings
from tests.fixtures.broker import EmbeddedTestBroker
from tests.integration.feedback.conftest import OutboundStandIn, running_feedback, topics_of
from tests.integration.feedback.test_path import eventually, link_in

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
async def own_cluster(own_kafka: EmbeddedTestBroker) -> AsyncIterator[KafkaSettings]:
    """Settings of a broker that the test may kill."""
    settings = own_kafka.settings("fb.")
    async with topics_of(settings):
        yield settings


async def test_a_response_during_an_outage_is_refused_then_accepted_and_counted_once(
    own_kafka: EmbeddedTestBroker, own_cluster: KafkaSettings, outbound: OutboundStandIn, tmp_path: Path
) -> None:
    """503 with the form kept; after the restart the same click counts, and a new completion goes the whole path."""
    async with (
        running_feedback(own_cluster, outbound.address, tmp_path) as feedback,
        httpx.AsyncClient(timeout=20) as browser,
    ):

        async def counted() -> list[int]:
            response: pb.GetScoresResponse = await feedback.stub.GetScores(
                pb.GetScoresRequest(by="all"), metadata=feedback.metadata, timeout=5
            )
            return [score.estimate.n for score in response.scores]

        # Analytics counts before the outage.
        await feedback.complete(3)
        await browser.post(link_in((await outbound.next()).text), data={"score": "3"})
        await eventually(counted, lambda seen: seen == [1], 60)
        await feedback.complete(1)
        link = link_in((await outbound.next()).text)
        own_kafka.kill()
        page = await browser.post(link, data={"score": "4", "comment": "خوب"})
        assert page.status_code == 503
        assert "\nخوب</textarea>" in page.text
        own_kafka.start()

        async def answered() -> int:
            return (await browser.post(link, data={"score": "4", "comment": "خوب"})).status_code

        await eventually(answered, lambda status: status == 200, 60)
        await feedback.complete(2)
        # The first invitation may be sent again, under its own id: the note that it was sent was lost in the outage.
        while (sent := await outbound.next()).identity_id != "identity-2":
            assert link_in(sent.text) == link
        await browser.post(link_in(sent.text), data={"score": "5"})

        await eventually(counted, lambda seen: seen == [3], 90)
