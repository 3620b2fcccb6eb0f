"""A feedback service in this process, on real Kafka, with a test server in place of ingest that accepts invitations over real
gRPC."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.feedback.v1 import feedback_pb2_grpc
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.router.v1 import records_pb2 as router
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.keys import tenant_key
from services.chassis.lifecycle import Service, serving
from services.chassis.tokens import JwtSettings, mint
from services.chassis.topics import wanted
from services.feedback.settings import FeedbackSettings
from services.feedback.wiring import NAME, build, topics
from tests.fixtures.broker import KafkaUnderTest

TENANT = "parsa"
TOPICS = topics(("edge", "dispatcher", "lanes", "analytics"))
SCOPES = ("feedback.invite", "feedback.respond", "feedback.read")


class OutboundStandIn(ingest_pb2_grpc.OutboundServiceServicer):
    """A real gRPC server that remembers the requests to send; it first answers UNAVAILABLE `failing` times. After
    `answering` requests it answers none until that is raised."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[ingest_pb2.SendRequest] = asyncio.Queue()
        self.metadata: list[dict[str, str]] = []
        self.failing = 0
        self.answering = 1 << 30
        self.most_at_once = 0
        self._seen = 0
        self._at_once = 0
        self._raised = asyncio.Condition()
        self.address = ""
        self.ingest = IngestStandIn()  # type: ignore[abstract] # one method is enough

    async def Send(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.SendRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> ingest_pb2.SendResponse:
        if self.failing > 0:
            self.failing -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        self.metadata.append({str(key): str(value) for key, value in context.invocation_metadata() or ()})
        await self.requests.put(request)
        self._seen += 1
        number = self._seen
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            async with self._raised:
                await self._raised.wait_for(lambda: number <= self.answering)
        finally:
            self._at_once -= 1
        return ingest_pb2.SendResponse(delivery_id=f"delivery-{request.idempotency_key}")

    async def CheckRecipient(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.CheckRecipientRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> ingest_pb2.CheckRecipientResponse:
        about = self.ingest.known.get(request.interaction_id)
        names = ("identity_id", "conversation_id", "person_id")
        if about is None or any(getattr(about, name) != getattr(request, name) for name in names):
            await context.abort(grpc.StatusCode.NOT_FOUND, "they do not belong together")
        return ingest_pb2.CheckRecipientResponse()

    async def Resend(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.ResendRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> ingest_pb2.ResendResponse:
        await context.abort(grpc.StatusCode.NOT_FOUND, "feedback does not call this")

    async def ListTemplates(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.ListTemplatesRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> ingest_pb2.ListTemplatesResponse:
        await context.abort(grpc.StatusCode.NOT_FOUND, "feedback does not call this")

    async def GetDelivery(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.GetDeliveryRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> ingest_pb2.GetDeliveryResponse:
        await context.abort(grpc.StatusCode.NOT_FOUND, "feedback does not call this")

    async def UploadFile(  # noqa: N802 - the contract's name
        self,
        request_iterator: "AsyncIterator[ingest_pb2.UploadFileRequest]",
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> ingest_pb2.UploadFileResponse:
        await context.abort(grpc.StatusCode.NOT_FOUND, "feedback does not call this")

    async def answer_all(self) -> None:
        """Answer every request from now on."""
        async with self._raised:
            self.answering = 1 << 30
            self._raised.notify_all()

    async def next(self) -> ingest_pb2.SendRequest:
        async with asyncio.timeout(30):
            return await self.requests.get()


class IngestStandIn(ingest_pb2_grpc.IngestServiceServicer):
    """Opens follow-ups and remembers the requests. Knows the contacts that a test registers."""

    def __init__(self) -> None:
        self.follow_ups: list[ingest_pb2.OpenFollowUpRequest] = []
        self.known: dict[str, pb.Subject] = {}

    def knows(self, about: pb.Subject) -> pb.Subject:
        """Register this contact."""
        self.known[about.interaction_id] = about
        return about

    async def OpenFollowUp(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.OpenFollowUpRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> ingest_pb2.OpenFollowUpResponse:
        self.follow_ups.append(request)
        return ingest_pb2.OpenFollowUpResponse(interaction_id=f"follow-up-{request.idempotency_key}")


@pytest.fixture
async def outbound() -> AsyncIterator[OutboundStandIn]:
    """Run an OutboundService on a free port."""
    stand_in = OutboundStandIn()
    server = grpc.aio.server()
    ingest_pb2_grpc.add_OutboundServiceServicer_to_server(stand_in, server)
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(stand_in.ingest, server)
    stand_in.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield stand_in
    await server.stop(0)


@asynccontextmanager
async def topics_of(settings: KafkaSettings) -> AsyncIterator[None]:
    """Create feedback's topics, two partitions each, for the duration of the block."""
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        made = [
            NewTopic(topic.full_name, 2 if topic.partitions > 1 else 1, 1, topic_configs=dict(topic.configs))
            for topic in wanted(settings.topic_prefix)
            if topic.topic.name in TOPICS
        ]
        await admin.create_topics(made)
        yield
        await admin.delete_topics([topic.name for topic in made])
    finally:
        await admin.close()


@pytest.fixture
async def cluster(kafka: KafkaUnderTest) -> AsyncIterator[KafkaSettings]:
    """Create topics for one test."""
    settings = kafka.settings(f"fb-{uuid.uuid4().hex[:10]}.")
    async with topics_of(settings):
        yield settings


def a_configuration(**survey: Any) -> config.TenantConfiguration:
    """Return the configuration of one tenant in Tehran that asks every customer for CSAT at once."""
    options: dict[str, Any] = {
        "name": "after-contact",
        "kind": config.SURVEY_KIND_CSAT,
        "sampling": 1.0,
        "questions": {"fa": "چقدر راضی بودید؟", "en": "How satisfied were you?"},
    }
    return config.TenantConfiguration(
        tenant=TENANT,
        version=1,
        default_language="fa",
        time_zone="Asia/Tehran",
        least_responses=1,
        recoveries=[config.RecoveryRule(name="bad", at_most=2, queue="call-back", priority=9)],
        surveys=[config.Survey(**{**options, **survey})],
        templates=[
            config.Template(
                name="survey_invitation", texts={"fa": "{question} پاسخ: {link}", "en": "{question} Answer: {link}"}
            )
        ],
    )


def a_completed_event(number: int = 1, **facts: Any) -> router.RoutingEvent:
    """Return the event of an interaction of person `person-{number}` that agent ada has completed just now."""
    options: dict[str, Any] = {
        "interaction_id": f"interaction-{number}",
        "conversation_id": f"conversation-{number}",
        "person_id": f"person-{number}",
        "identity_id": f"identity-{number}",
        "channel": "telegram",
        "queue": "support",
        "language": "fa",
    }
    event = router.RoutingEvent(
        event_id=f"completed-{number}",
        tenant=TENANT,
        occurred_at_ms=facts.pop("occurred_at_ms"),
        interaction=router.InteractionAttributes(**{**options, **facts}),
    )
    event.completed.agent_id = "ada"
    event.completed.disposition = "solved"
    return event


@dataclass
class Running:
    """The running service, and its clients."""

    service: Service[FeedbackSettings]
    kafka: KafkaSettings
    producer: DurableProducer
    stub: Any
    token: str
    _extra: list[Any] = field(default_factory=list)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),)

    async def complete(self, number: int = 1, **facts: Any) -> None:
        """Complete an interaction."""
        facts.setdefault("occurred_at_ms", self.service.clock())
        event = a_completed_event(number, **facts)
        await self.producer.publish(
            "routing.events.v1", tenant_key(event.tenant, event.interaction.conversation_id), event.SerializeToString()
        )


@asynccontextmanager
async def running_feedback(
    kafka: KafkaSettings, outbound_address: str, directory: Path, **survey: Any
) -> AsyncIterator[Running]:
    """Apply the configuration, start the service, open the channel."""
    secret = directory / "secret"
    secret.write_text("s" * 40)
    settings = FeedbackSettings(
        instance=f"test-{uuid.uuid4().hex[:6]}",
        insecure_dev=True,
        drain_s=0,
        stop_grace_s=1,
        jwt=JwtSettings(secret_file=secret),
        kafka=kafka,
        ingest_address=outbound_address,
    )
    async with DurableProducer(kafka, client_id="test") as producer:
        await producer.publish("config.v1", TENANT.encode(), a_configuration(**survey).SerializeToString())
        async with (
            serving(NAME, settings, build) as service,
            grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel,
        ):
            token = mint(b"s" * 40, "tests", TENANT, SCOPES)
            stub = feedback_pb2_grpc.FeedbackServiceStub(channel)
            yield Running(service, kafka, producer, stub, token)
