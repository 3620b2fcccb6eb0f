"""FeedbackService over real gRPC, and the service as a process of its own."""

import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from chapar.common.v1.types_pb2 import PageRequest
from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.errors import ErrorKind
from services.chassis.grpc.status import from_rpc_error
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.tokens import mint
from services.feedback.adapters.links import SignedLinks, link_key
from services.feedback.ports import Ticket
from services.policy.model.surveys import SurveyKind
from tests.fakes.privacy import a_keyring
from tests.integration.feedback.conftest import (
    SCOPES,
    TENANT,
    OutboundStandIn,
    Running,
    a_configuration,
    running_feedback,
)
from tests.integration.feedback.test_path import ROOT, eventually, link_in

pytestmark = pytest.mark.kafka


@pytest.fixture
async def feedback(cluster: KafkaSettings, outbound: OutboundStandIn, tmp_path: Path) -> AsyncIterator[Running]:
    """NPS and two further questions, no interaction in the sample, a gap of a day."""
    why = config.SurveyQuestion(id="why", kind=config.SURVEY_KIND_TEXT, texts={"fa": "چرا؟"}, optional=True)
    effort = config.SurveyQuestion(id="effort", kind=config.SURVEY_KIND_CES, texts={"fa": "آسان بود؟"})
    survey = {
        "kind": config.SURVEY_KIND_NPS,
        "sampling": 0.0,
        "least_gap_ms": 86_400_000,
        "questions": {},
        "more": [effort, why],
    }
    async with running_feedback(cluster, outbound.address, tmp_path, **survey) as running:
        yield running


def a_subject(number: int = 1, **fields: str) -> pb.Subject:
    options: dict[str, Any] = {
        "interaction_id": f"interaction-{number}",
        "conversation_id": f"conversation-{number}",
        "person_id": f"person-{number}",
        "identity_id": f"identity-{number}",
        "channel": "email",
        "queue": "billing",
        "language": "en",
    }
    return pb.Subject(**{**options, **fields})


async def refused(call: Any) -> tuple[ErrorKind, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    error = from_rpc_error(raised.value)
    return error.kind, error.reason


async def test_by_hand_over_grpc_from_invitation_to_watched_response_and_nps(
    feedback: Running, outbound: OutboundStandIn
) -> None:
    """Sampling selects no interaction, so the invitation is made by hand; the response by token is watched, listed
    and counted with n and interval."""
    options: dict[str, Any] = {"metadata": feedback.metadata, "timeout": 10}
    await feedback.complete(7)  # not in the sample
    watch = feedback.stub.WatchSurveyResponses(
        pb.WatchSurveyResponsesRequest(queue="billing"), metadata=feedback.metadata
    )
    await watch.initial_metadata()
    unknown = pb.InviteRequest(idempotency_key="k0", subject=a_subject())
    assert (await refused(feedback.stub.Invite(unknown, **options)))[0] is ErrorKind.NOT_FOUND
    outbound.ingest.knows(a_subject())
    for name in ("conversation_id", "person_id", "identity_id"):
        mixed = pb.InviteRequest(idempotency_key="k0", subject=a_subject(1, **{name: f"another-{name}"}))
        assert (await refused(feedback.stub.Invite(mixed, **options)))[0] is ErrorKind.NOT_FOUND
    invite = pb.InviteRequest(idempotency_key="k1", subject=a_subject())
    response = await feedback.stub.Invite(invite, **options)
    sent = await outbound.next()
    assert sent.invitation_id == response.invitation_id
    assert "recommend" in sent.text
    token = link_in(sent.text).rpartition("/")[2]

    stranger = (("authorization", f"Bearer {mint(b's' * 40, 'x', 'other', SCOPES)}"),)
    submit = pb.SubmitSurveyResponseRequest(idempotency_key="a1", survey_token=token, score=9, comment="Fine\u202e!")
    assert await refused(feedback.stub.SubmitSurveyResponse(submit, metadata=stranger, timeout=5)) == (
        ErrorKind.NOT_FOUND,
        "UNKNOWN_INVITATION",
    )
    forged = pb.SubmitSurveyResponseRequest(idempotency_key="a1", survey_token=token[:-6], score=9)
    assert (await refused(feedback.stub.SubmitSurveyResponse(forged, **options)))[1] == "UNKNOWN_INVITATION"
    gone = SignedLinks(link_key(b"s" * 40), "", lambda: 0).token(
        Ticket(TENANT, "person-1", response.invitation_id, "after-contact", SurveyKind.NPS, "en", 1000)
    )
    expired = pb.SubmitSurveyResponseRequest(idempotency_key="a1", survey_token=gone, score=9)
    assert (await refused(feedback.stub.SubmitSurveyResponse(expired, **options)))[1] == "UNKNOWN_INVITATION"
    assert feedback.service.metrics.value("chapar_feedback_responses_total", "", "forged") == 2
    assert feedback.service.metrics.value("chapar_feedback_responses_total", "", "late") == 1

    def with_answers(score: int, *answers: pb.Answer) -> pb.SubmitSurveyResponseRequest:
        return pb.SubmitSurveyResponseRequest(
            idempotency_key="a1", survey_token=token, score=score, comment="Fine\u202e!", answers=answers
        )

    effort, why = pb.Answer(question_id="effort", score=6), pb.Answer(question_id="why", text="Quick\u202e")
    for wrong, reason in (
        (with_answers(11, effort), "OUT_OF_SCALE"),
        (with_answers(9, pb.Answer(question_id="effort", score=8)), "OUT_OF_SCALE"),
        (with_answers(9, why), "INCOMPLETE"),
        (with_answers(9, effort, effort), "INVALID_FIELD"),
        (with_answers(9, effort, pb.Answer(question_id="shoe", score=1)), "INVALID_FIELD"),
    ):
        assert (await refused(feedback.stub.SubmitSurveyResponse(wrong, **options)))[1] == reason
    submit = with_answers(9, effort, why)
    await feedback.stub.SubmitSurveyResponse(submit, **options)
    await feedback.stub.SubmitSurveyResponse(submit, **options)  # a retry

    async with asyncio.timeout(20):
        watched = await watch.read()
    assert (watched.response.response.score, watched.response.response.comment) == (9, "Fine!")
    assert watched.response.response.source == pb.RESPONSE_SOURCE_API
    assert [(each.question_id, each.score, each.text) for each in watched.response.response.answers] == [
        ("effort", 6, ""),
        ("why", 0, "Quick"),
    ]
    watch.cancel()

    async def scores() -> pb.GetScoresResponse:
        found: pb.GetScoresResponse = await feedback.stub.GetScores(
            pb.GetScoresRequest(by="channel", measure="nps"), **options
        )
        return found

    # The invitation is counted before its response.
    (score,) = (await eventually(scores, lambda seen: any(each.estimate.n for each in seen.scores))).scores
    assert (score.measure, score.dimension.value, score.estimate.n) == ("nps", "email", 1)
    assert score.estimate.method == "adjusted-wald"
    assert score.estimate.value == pytest.approx(25.0)
    assert score.estimate.low < 25 < score.estimate.high <= 100
    assert feedback.service.metrics.value("chapar_feedback_invitations_total", "", "sampled_out") == 1
    assert feedback.service.metrics.value("chapar_feedback_responses_total", "email", "repeated") is None


async def test_the_gap_holds_by_hand_too_and_errors_name_the_field(
    feedback: Running, outbound: OutboundStandIn
) -> None:
    """A second invitation of the person within the gap is skipped; unknown surveys and missing fields are refused at
    once."""
    options: dict[str, Any] = {"metadata": feedback.metadata, "timeout": 10}
    for number in (1, 2):
        subject = outbound.ingest.knows(a_subject(number, person_id="person-1"))
        await feedback.stub.Invite(pb.InviteRequest(idempotency_key=f"k{number}", subject=subject), **options)

    async def skipped() -> float | None:
        return feedback.service.metrics.value("chapar_feedback_invitations_total", "", "too_soon")

    assert await eventually(skipped, bool) == 1
    unknown = pb.InviteRequest(idempotency_key="k3", subject=a_subject(3), survey="nothing")
    assert await refused(feedback.stub.Invite(unknown, **options)) == (ErrorKind.NOT_FOUND, "UNKNOWN_SURVEY")
    for wrong in (
        feedback.stub.Invite(pb.InviteRequest(subject=a_subject()), **options),
        feedback.stub.Invite(pb.InviteRequest(idempotency_key="k", subject=a_subject(1, identity_id="")), **options),
        feedback.stub.SubmitSurveyResponse(pb.SubmitSurveyResponseRequest(idempotency_key="k", score=5), **options),
        feedback.stub.GetScores(pb.GetScoresRequest(by="weather"), **options),
        feedback.stub.GetScores(pb.GetScoresRequest(day="yesterday"), **options),
        feedback.stub.GetScores(pb.GetScoresRequest(measure="luck"), **options),
        feedback.stub.GetScores(pb.GetScoresRequest(page=PageRequest(cursor="%%%")), **options),
        feedback.stub.GetTrends(pb.GetTrendsRequest(window=pb.SCORE_WINDOW_ALL), **options),
        feedback.stub.GetTrends(pb.GetTrendsRequest(level=2), **options),
        feedback.stub.ListSurveyResponses(pb.ListSurveyResponsesRequest(page=PageRequest(cursor="%%%")), **options),
        feedback.stub.ListSurveyResponses(pb.ListSurveyResponsesRequest(page=PageRequest(size=501)), **options),
    ):
        assert (await refused(wrong))[0] is ErrorKind.INVALID


async def test_a_response_by_ids_is_counted_and_one_for_invented_ids_leaves_no_key(
    feedback: Running, outbound: OutboundStandIn, cluster: KafkaSettings
) -> None:
    """The texts of a real response are kept; a caller who invents persons is refused, and leaves neither texts nor a
    key behind."""
    options: dict[str, Any] = {"metadata": feedback.metadata, "timeout": 10}
    subject = outbound.ingest.knows(a_subject(1, person_id="person-1"))
    invited = await feedback.stub.Invite(pb.InviteRequest(idempotency_key="k", subject=subject), **options)

    def answer(key: str, person: str, invitation: str) -> Any:
        request = pb.SubmitSurveyResponseRequest(
            idempotency_key=key,
            person_id=person,
            invitation_id=invitation,
            score=9,
            comment="needle",
            answers=[pb.Answer(question_id="effort", score=2)],
        )
        return feedback.stub.SubmitSurveyResponse(request, **options)

    for person, invitation in (("invented", invited.invitation_id), ("person-2", "invented"), ("invented", "invented")):
        got = await refused(answer("a", person, invitation))
        assert got == (ErrorKind.NOT_FOUND, "UNKNOWN_INVITATION")
    await answer("b", "person-1", invited.invitation_id)

    async def listed() -> list[pb.ResponseView]:
        return list((await feedback.stub.ListSurveyResponses(pb.ListSurveyResponsesRequest(), **options)).responses)

    (told,) = await eventually(listed, bool)
    assert told.response.comment == "needle"
    async with a_keyring(cluster) as keys:
        assert await keys.existing(TENANT, "person-1") is not None
        assert not any(keys.knows(TENANT, person) for person in ("invented", "person-2"))


@pytest.mark.slow
async def test_the_process_reports_its_address_serves_a_page_and_stops_in_order(
    cluster: KafkaSettings, outbound: OutboundStandIn, tmp_path: Path
) -> None:
    """`python -m services.feedback` with settings from the environment only; SIGTERM ends it with 0."""
    secret, endpoints = tmp_path / "secret", tmp_path / "endpoints.json"
    secret.write_text("s" * 40)
    async with DurableProducer(cluster, client_id="test") as producer:
        await producer.publish("config.v1", TENANT.encode(), a_configuration().SerializeToString())
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
        "CHAPAR_TOPIC_PREFIX": cluster.topic_prefix,
        "CHAPAR_ENDPOINTS_FILE": str(endpoints),
        "CHAPAR_FEEDBACK_INSTANCE": f"p-{uuid.uuid4().hex[:6]}",
        "CHAPAR_FEEDBACK_INSECURE_DEV": "true",
        "CHAPAR_FEEDBACK_DRAIN_S": "0",
        "CHAPAR_FEEDBACK_JWT__SECRET_FILE": str(secret),
        "CHAPAR_FEEDBACK_INGEST_ADDRESS": outbound.address,
        "CHAPAR_FEEDBACK_PUBLIC_URL": "https://ask.example.com",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.feedback", cwd=ROOT, env={**os.environ, **environment}
    )
    try:

        async def known() -> dict[str, str]:
            assert process.returncode is None
            found: dict[str, str] = json.loads(endpoints.read_text()) if endpoints.exists() else {}
            return found

        addresses = await eventually(known, lambda seen: {"grpc", "http", "ops"} <= set(seen), 60)
        async with httpx.AsyncClient() as client:

            async def ready() -> int:
                return (await client.get(f"http://{addresses['ops']}/readyz")).status_code

            await eventually(ready, lambda status: status == 200, 60)
            assert (await client.get(f"http://{addresses['http']}/s/nothing")).status_code == 404
            page = await client.get(f"http://{addresses['ops']}/metrics")
            assert 'chapar_feedback_page_requests_total{code="404"} 1.0' in page.text
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
