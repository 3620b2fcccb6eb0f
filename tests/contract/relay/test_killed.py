"""The relay of feedback and the survey lane on a real broker: the relay is killed between its batch and the offsets."""

import asyncio
import os
import signal
import sys
from collections import Counter

import pytest

from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.router.v1 import records_pb2 as router
from services.chassis import cluster_topics, topics
from services.chassis.clock import system_clock
from services.chassis.kafka.batch_publisher import BatchPublisher
from services.chassis.kafka.lane import LaneRunner, LaneTuning
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.writer import Writer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.lanes import survey
from services.feedback.metrics import METRICS
from tests.contract.lane.real import eventually, read_all
from tests.fakes.privacy import MemoryKeys
from tests.fixtures.broker import KafkaUnderTest
from tests.flow.feedback.test_counting import a_queued_event
from tests.flow.feedback.test_relayed_twice import spam
from tests.flow.feedback.test_survey_lane import a_completed_event
from tests.unit.feedback.builders import TENANT, a_programme

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
INPUT = "routing.events.v1"


async def process(kafka: KafkaUnderTest, prefix: str, batches: int) -> asyncio.subprocess.Process:
    """Start a relay that kills itself at this batch; 0: never."""
    command = (sys.executable, "-m", "tests.contract.relay.worker", kafka.bootstrap, prefix, "feedback", str(batches))
    return await asyncio.create_subprocess_exec(*command, env={**os.environ, "PYTHONPATH": ".:protos"})


async def written(kafka: KafkaSettings) -> list[str]:
    """Return the ids of the relay's commands, repetitions included."""
    records = await read_all(kafka, "feedback.commands.v1")
    return [pb.FeedbackCommand.FromString(record.value or b"").command_id for record in records]


async def test_killed_before_its_offsets_are_committed(kafka: KafkaUnderTest, prefix: str) -> None:
    """Each command is written again by the next relay, and each is decided once: the spam twice would withdraw the
    invitation that came between."""
    settings = kafka.settings(prefix)
    await cluster_topics.apply(
        settings,
        partitions={name: 2 for name, topic in topics.TOPICS.items() if topic.partitions > 2 and not topic.follows},
    )
    events = [a_queued_event(1), spam(), a_completed_event()]
    async with BatchPublisher(settings, client_id="router", clock=system_clock) as publisher:
        # One batch of Kafka, so that the relay reads them together and dies when it has written all of them.
        sends = [Send(INPUT, None, b"parsa/conversation-1", event.SerializeToString(), ()) for event in events]
        await publisher.publish(sends)
    programmes = ConfiguredProgrammes({TENANT: TenantSurveys(a_programme())}.get)
    writer = Writer(settings, service="feedback")
    lane = LaneRunner(
        survey.SPEC,
        survey.survey_factory(programmes, Metrics(METRICS), MemoryKeys()),
        settings,
        writer=writer,
        clock=lambda: a_completed_event().occurred_at_ms,
        client_id="survey",
        tuning=LaneTuning(session_timeout_ms=6_000),
    )
    async with writer, asyncio.TaskGroup() as tasks:
        deciding = tasks.create_task(lane.run())
        first = await process(kafka, prefix, 1)
        async with asyncio.timeout(40):
            assert await first.wait() == -signal.SIGKILL
        second = await process(kafka, prefix, 0)
        try:
            await eventually(lambda: all_written(settings, 2 * len(events)), "everything is repeated", 40)
            async with DurableProducer(settings, client_id="later") as later:
                for last in a_contact_without_success(a_completed_event().occurred_at_ms + 1):
                    await later.publish(INPUT, b"parsa/conversation-1", last.SerializeToString())
            await eventually(lambda: all_written(settings, 2 * len(events) + 2), "two more", 40)
            await eventually(lambda: settled(settings), "the lane has handled it", 40)
        finally:
            second.kill()
            await second.wait()
        deciding.cancel()
    assert sorted(Counter(await written(settings)).values()) == [1, 1, 2, 2, 2]
    records = [pb.FeedbackRecord.FromString(r.value or b"") for r in await read_all(settings, "feedback.responses.v1")]
    assert [each.WhichOneof("record") for each in records] == ["skipped", "invited", "due", "settled"]


def a_contact_without_success(at_ms: int) -> list[router.RoutingEvent]:
    """The customer comes again, and leaves: a contact counts from its end on."""
    left = a_completed_event(interaction_id="interaction-9", arrived_at_ms=at_ms)
    left.event_id, left.occurred_at_ms = "left-9", at_ms + 1
    left.abandoned.SetInParent()
    return [a_queued_event(9, at_ms), left]


async def all_written(kafka: KafkaSettings, number: int) -> bool:
    return len(await written(kafka)) == number


async def settled(kafka: KafkaSettings) -> bool:
    """Return whether the lane has handled the newest contact, which settles the first one."""
    records = await read_all(kafka, "feedback.responses.v1")
    return any(pb.FeedbackRecord.FromString(r.value or b"").HasField("settled") for r in records)
