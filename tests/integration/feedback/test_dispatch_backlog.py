"""Many invitations are due at once, and the dispatcher ends in the middle of them."""

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

import pytest

from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.ingest.v1 import ingest_pb2
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.keys import tenant_key
from tests.integration.feedback.conftest import TENANT, OutboundStandIn, Running, running_feedback
from tests.integration.feedback.test_path import eventually

pytestmark = pytest.mark.kafka
INVITATIONS = 120
CONCURRENCY = 32
ANSWERED = 20


async def due_invitations(producer: DurableProducer, now_ms: int) -> None:
    """Write the events of invitations that are due, each of a person of its own."""
    for number in range(INVITATIONS):
        record = pb.FeedbackRecord(
            event_id=f"due-{number}", tenant=TENANT, person_id=f"person-{number}", occurred_at_ms=now_ms
        )
        made = record.due.invitation
        made.invitation_id, made.survey, made.kind = f"i{number}", "after-contact", config.SURVEY_KIND_CSAT
        made.question, made.expires_at_ms = "How was it?", now_ms + 3_600_000
        made.subject.identity_id, made.subject.conversation_id = f"identity-{number}", f"conversation-{number}"
        await producer.publish(
            "feedback.responses.v1", tenant_key(TENANT, record.person_id), record.SerializeToString()
        )


async def requests_until(
    outbound: OutboundStandIn, wanted: int, before: Iterable[ingest_pb2.SendRequest] = ()
) -> list[ingest_pb2.SendRequest]:
    """Return requests until, with those before, `wanted` different ones have come."""
    found: list[ingest_pb2.SendRequest] = []
    keys = {request.idempotency_key for request in before}
    while len(keys) < wanted:
        found.append(await outbound.next())
        keys.add(found[-1].idempotency_key)
    return found


def waiting(feedback: Running) -> float:
    """Return the gauge of invitations that wait."""
    return feedback.service.metrics.value("chapar_feedback_invitations_waiting") or 0


async def test_each_invitation_is_passed_on_once_although_the_dispatcher_ends_in_between(
    cluster: KafkaSettings, outbound: OutboundStandIn, tmp_path: Path
) -> None:
    """32 at a time. A process that ends repeats what it had not committed under the same keys, so ingest sends each
    invitation once."""
    outbound.answering = ANSWERED
    async with running_feedback(cluster, outbound.address, tmp_path) as feedback:
        await due_invitations(feedback.producer, feedback.service.clock())
        before = await requests_until(outbound, ANSWERED + CONCURRENCY)
        assert waiting(feedback) >= CONCURRENCY
    assert outbound.most_at_once == CONCURRENCY
    await outbound.answer_all()
    async with running_feedback(cluster, outbound.address, tmp_path) as feedback:
        after = await requests_until(outbound, INVITATIONS, before)

        async def left() -> float:
            return waiting(feedback)

        await eventually(left, lambda number: number == 0)
    answered = keys_of(before[:ANSWERED])
    assert once(before, answered) == ANSWERED + CONCURRENCY
    assert INVITATIONS - ANSWERED - CONCURRENCY <= len(keys_of(after)) <= INVITATIONS
    by_key = {request.idempotency_key: request.identity_id for request in (*before, *after)}
    assert by_key == {f"i{number}": f"identity-{number}" for number in range(INVITATIONS)}
    assert outbound.requests.empty()


def keys_of(requests: Iterable[ingest_pb2.SendRequest]) -> set[str]:
    return {request.idempotency_key for request in requests}


def once(requests: Sequence[ingest_pb2.SendRequest], answered: Set[str]) -> int:
    """Return the number of invitations. None that was answered may come twice; one without an answer in time is repeated."""
    counted = Counter(request.idempotency_key for request in requests)
    assert {counted[key] for key in answered} == {1}, counted.most_common(3)
    return len(counted)
