"""Every service waits for Kafka and its topics at its start, survives an outage, and reports its state all the time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.admin import NewTopic

from chapar.config.v1 import config_pb2
from services.chassis import cluster_topics
from services.chassis.endpoints import Endpoints
from services.chassis.kafka.clients import admin_client
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lifecycle import serving
from services.chassis.topics import wanted
from services.feedback.settings import FeedbackSettings
from services.feedback.wiring import build as build_feedback
from services.ingest.settings import IngestSettings
from services.ingest.wiring import build as build_ingest
from services.router.settings import RouterSettings
from services.router.wiring import build as build_router
from services.sla.settings import SlaSettings
from services.sla.wiring import build as build_sla
from tests.fixtures.broker import EmbeddedTestBroker, KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]

SERVICES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "ingest": (IngestSettings, build_ingest, {"smtp_enabled": False}),
    "router": (RouterSettings, build_router, {}),
    "sla": (SlaSettings, build_sla, {}),
    "feedback": (FeedbackSettings, build_feedback, {"ingest_address": "127.0.0.1:9"}),
}


class Broker:
    """A broker that can be killed and started. The broker ends with the thread that starts it, so this thread must keep running."""

    def __init__(self, home: Path) -> None:
        self._starter = ThreadPoolExecutor(1)
        self._broker = self._starter.submit(EmbeddedTestBroker, home, "160m").result()
        self.settings = self._broker.settings
        self.kill = self._broker.kill

    async def start(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._starter, self._broker.start)

    def close(self) -> None:
        self._broker.close()
        self._starter.shutdown()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    found = Broker(tmp_path / "broker")
    try:
        yield found
    finally:
        found.close()


@dataclass
class Started:
    """A service in its own task, and its port for operators."""

    name: str
    task: "asyncio.Task[None]"
    endpoints: Endpoints
    leave: asyncio.Event
    http: httpx.AsyncClient

    async def get(self, path: str) -> httpx.Response:
        assert not self.task.done(), f"{self.name} has ended: {self.task.exception()!r}"
        return await self.http.get(f"http://{self.endpoints.known['ops']}{path}")

    async def reason(self) -> str | None:
        """Return why Kafka is not ready; None when the service is ready, "" while it waits for another component."""
        answer = await self.get("/readyz")
        if answer.status_code == 200:
            return None
        return str(answer.json()["waiting_for"].get("kafka", ""))


@asynccontextmanager
async def started(name: str, kafka: KafkaSettings, folder: Path) -> AsyncIterator[Started]:
    kind, build, more = SERVICES[name]
    secret = folder / "secret"
    secret.write_text("s" * 40)
    if "state_dir" in kind.model_fields:
        more = {**more, "state_dir": str(folder)}
    settings = kind.model_validate(
        {
            "instance": f"{name}-0",
            "insecure_dev": True,
            "drain_s": 0,
            "stop_grace_s": 1,
            "ops_port": 0,
            "jwt": {"secret_file": str(secret)},
            "kafka": kafka,
            **more,
        }
    )
    endpoints, leave = Endpoints(), asyncio.Event()

    async def serve() -> None:
        async with serving(name, settings, build, endpoints=endpoints):
            await leave.wait()

    async with httpx.AsyncClient(timeout=10) as http:
        task = asyncio.create_task(serve())
        while "ops" not in endpoints.known and not task.done():  # noqa: ASYNC110 - endpoints are published without an event
            await asyncio.sleep(0.01)
        try:
            yield Started(name, task, endpoints, leave, http)
            leave.set()
            await task
        finally:
            task.cancel()
            await asyncio.wait({task})


async def until(condition: Callable[[], Awaitable[bool]], what: str, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


async def test_the_services_wait_for_kafka_and_outlive_its_absence(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """Kafka is unreachable at the start, then runs without topics, then has all topics, then fails without traffic, then returns."""
    kafka = broker.settings(prefix)
    broker.kill()
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(started(name, kafka, _folder(tmp_path, name))) for name in SERVICES]

        async def all_say(words: str, within: float = 60) -> None:
            await _each(services, f"says {words}", lambda reason: reason is not None and words in reason, within)

        async def all_ready() -> None:
            await _each(services, "is ready", lambda reason: reason is None)

        await all_say(f"waiting for Kafka at {kafka.bootstrap_servers}")
        assert await _codes(services, "/healthz") == {200}
        assert await _codes(services, "/startupz") == {503}

        await broker.start()
        await all_say("waiting for topics")
        assert await _codes(services, "/healthz") == {200}

        await cluster_topics.apply(kafka)
        async with DurableProducer(kafka, client_id="operator") as producer:
            tenant = config_pb2.TenantConfiguration(tenant="acme", time_zone="UTC")
            await producer.publish("config.v1", b"acme", tenant.SerializeToString(), timeout=30)
            await all_ready()
        assert await _codes(services, "/startupz") == {200}

        broker.kill()
        await all_say("waiting for Kafka", within=30)  # nothing is sent or asked meanwhile
        assert await _codes(services, "/healthz") == {200}
        for service in services:
            metrics = (await service.get("/metrics")).text
            assert "chapar_kafka_reachable 0.0" in metrics, service.name
            assert "chapar_ready 0.0" in metrics, service.name

        await broker.start()
        await all_ready()


def _folder(within: Path, name: str) -> Path:
    folder = within / name
    folder.mkdir()
    return folder


async def _codes(services: Sequence[Started], path: str) -> set[int]:
    return {(await service.get(path)).status_code for service in services}


async def _each(services: Sequence[Started], what: str, good: Callable[[str | None], bool], within: float = 60) -> None:
    """Wait until each service gives a good reason for not being ready."""

    async def one(service: Started) -> None:
        async def done() -> bool:
            return good(await service.reason())

        await until(done, f"{service.name} {what}", within)

    async with asyncio.TaskGroup() as tasks:
        for service in services:
            tasks.create_task(one(service))


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("ingest", "personal.erasures.v1"),
        ("router", "personal.keys.v1"),
        ("sla", "audit.v1"),
        ("feedback", "personal.keys.v1"),
    ],
)
async def test_a_service_waits_for_the_last_topic_that_it_uses(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, name: str, missing: str
) -> None:
    """All other topics exist: the service reports the missing topic, does not end, and is ready when the topic is created."""
    settings = kafka.settings(prefix)
    async with admin_client(settings, client_id="test") as admin, started(name, settings, tmp_path) as service:
        made = [
            NewTopic(topic.full_name, 1, 1, topic_configs=dict(topic.configs))
            for topic in wanted(settings.topic_prefix)
            if topic.topic.name != missing
        ]
        await admin.create_topics(made)

        async def says() -> bool:
            return await service.reason() == f"waiting for topics {missing}: has `chapar topics apply` run?"

        await until(says, f"says that it waits for {missing}")
        await admin.create_topics([NewTopic(settings.topic_prefix + missing, 1, 1)])
        async with DurableProducer(settings, client_id="operator") as producer:
            tenant = config_pb2.TenantConfiguration(tenant="acme", time_zone="UTC")
            await producer.publish("config.v1", b"acme", tenant.SerializeToString(), timeout=30)

        async def ready() -> bool:
            return await service.reason() is None

        await until(ready, f"ready: {(await service.get('/readyz')).text}")
