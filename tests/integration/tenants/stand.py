"""All four services in one process on a real broker, with two tenants that have the same configuration."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from chapar.common.v1 import options_pb2
from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as router_records
from chapar.router.v1 import router_pb2, router_pb2_grpc
from services.chassis.clock import system_clock
from services.chassis.cluster_topics import apply
from services.chassis.ids import random_id
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.records import Record
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lifecycle import Service, serving
from services.chassis.tokens import mint
from services.chassis.topics import TOPICS
from services.cli.local.broker.settings import CHECKOUT
from services.feedback.settings import FeedbackSettings
from services.feedback.wiring import build as feedback
from services.ingest.settings import IngestSettings
from services.ingest.wiring import build as ingest
from services.router.settings import RouterSettings
from services.router.wiring import build as router
from services.sla.settings import SlaSettings
from services.sla.wiring import build as sla

VICTIM, RIVAL = "acme", "rival"
POOL, QUEUE, AGENT, SURVEY = "default", "support", "sara", "after"
SECRET: Final = "0123456789abcdef0123456789abcdef"
SERVED_BY: Final = {"chapar.audit.v1.AuditService": "ingest"}
"""The serving process of each gRPC service whose name does not show it."""


def methods() -> dict[str, Any]:
    """Return every method of every service by its path, from the contracts."""
    contracts = sorted((CHECKOUT / "protos").rglob("*.proto"))
    names = [".".join(path.relative_to(CHECKOUT / "protos").with_suffix("").parts) for path in contracts]
    files = [importlib.import_module(f"{name}_pb2").DESCRIPTOR for name in names]
    found = (method for file in files for service in file.services_by_name.values() for method in service.methods)
    return {f"/{method.containing_service.full_name}/{method.name}": method for method in found}


def every_scope() -> list[str]:
    """Return all scopes that methods require."""
    rules = (method.GetOptions().Extensions[options_pb2.auth] for method in methods().values())
    return sorted({scope for rule in rules for scope in (*rule.scopes, *rule.any_of)})


def configured(tenant: str) -> config_pb2.TenantConfiguration:
    """Return a configuration with one queue, one agent, one SLA target and one survey."""
    made = config_pb2.TenantConfiguration(tenant=tenant, version=1, default_language="en")
    made.pools.add(name=POOL)
    made.queues.add(name=QUEUE, pool=POOL, wrap_up_ms=600_000)
    made.rules.add(name="everything", queue=QUEUE)
    made.channels.add(channel="grpc", account="default")
    made.capacity_profiles.add(name="desk", total=100).channels.add(channel="grpc", weight=10)
    made.agents.add(agent_id=AGENT, pool=POOL)
    policy = made.sla_policies.add(name="all")
    policy.targets.add(kind=config_pb2.TARGET_KIND_PICK_UP, desired_ms=3_600_000, adequate_ms=7_200_000)
    made.surveys.add(name=SURVEY, kind=config_pb2.SURVEY_KIND_CSAT, sampling=1.0)
    return made


@dataclass
class Stand:
    """The running services: their broker, addresses and channels."""

    kafka: KafkaSettings
    addresses: dict[str, str]
    channels: dict[str, grpc.aio.Channel]

    async def call(self, tenant: str, path: str, request: Any, *, within_s: float = 20) -> Any:
        """Make one call as this tenant with every right. A stream gives its first answer. Raises AioRpcError."""
        method = methods()[path]
        channel = self.channels[SERVED_BY.get(path.split("/")[1]) or path.split(".")[1]]
        kind: Any = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, True): channel.stream_stream,
            (True, False): channel.stream_unary,
        }[method.client_streaming, method.server_streaming]
        answer = method.output_type._concrete_class
        invoke = kind(
            path,
            request_serializer=method.input_type._concrete_class.SerializeToString,
            response_deserializer=answer.FromString,
        )
        metadata = (("authorization", f"Bearer {mint(SECRET, 'test', tenant, every_scope())}"),)
        given = iter(request) if method.client_streaming else request
        call = invoke(given, metadata=metadata, timeout=within_s)
        return await call.read() if method.server_streaming else await call

    async def session(
        self, tenant: str, agent: str, requests: Sequence[router_pb2.SessionRequest]
    ) -> router_pb2.RequestResult:
        """Send requests in a session of an agent. Return the result of the last one. Raises AioRpcError."""
        metadata = (("authorization", f"Bearer {mint(SECRET, agent, tenant, every_scope(), agent)}"),)
        call = router_pb2_grpc.AgentServiceStub(self.channels["router"]).Session(metadata=metadata, timeout=30)
        for request in requests:
            await call.write(request)
        async for answer in call:
            if answer.WhichOneof("response") == "result" and answer.result.request_id == requests[-1].request_id:
                call.cancel()
                return answer.result
        raise AssertionError("the session ended")

    async def records(self) -> list[Record]:
        """Return all records of the log."""
        found: list[Record] = []
        for topic in TOPICS:
            read = asyncio.Event()
            async with aclosing(tail(self.kafka, topic, client_id="test-all", caught_up=read.set)) as records:
                collecting = asyncio.create_task(_collect(records, found))
                await read.wait()
                collecting.cancel()
                await asyncio.wait([collecting])
        return found


async def _collect(records: AsyncIterator[Record], found: list[Record]) -> None:
    async for record in records:  # one by one: the records that were read must be in the list when this is cancelled
        found.append(record)  # noqa: PERF401


@asynccontextmanager
async def a_stand(kafka: KafkaSettings, folder: Path) -> AsyncIterator[Stand]:
    """Start all services and wait until they are ready."""
    secret = folder / "jwt"
    secret.write_text(SECRET)
    await apply(kafka)
    common: dict[str, Any] = {
        "insecure_dev": True,
        "jwt": {"secret_file": secret},
        "kafka": kafka,
        "drain_s": 0,
        "stop_grace_s": 1,
    }
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        producer = await enter(DurableProducer(kafka, client_id="test"))
        for tenant in (VICTIM, RIVAL):
            await producer.publish("config.v1", tenant.encode(), configured(tenant).SerializeToString())
            activate = router_records.RoutingCommand(
                command_id=random_id(),
                tenant=tenant,
                pool=POOL,
                issued_at_ms=system_clock(),
                activate_configuration=router_records.ActivateConfiguration(configuration=configured(tenant)),
            )
            await producer.publish("routing.commands.v1", f"{tenant}/{POOL}".encode(), activate.SerializeToString())

        async def run(name: str, settings: Any, build: Any) -> Service[Any]:
            return await enter(serving(name, settings, build, clock=system_clock))

        running: dict[str, Service[Any]] = {}
        running["ingest"] = await run(
            "ingest", IngestSettings(**common, instance="ingest-0", state_dir=str(folder), smtp_enabled=False), ingest
        )
        running["router"] = await run(
            "router", RouterSettings.model_validate({**common, "instance": "router-0"}), router
        )
        running["sla"] = await run(
            "sla",
            SlaSettings(**common, instance="sla-0", router_address=running["router"].endpoints["grpc"]),
            sla,
        )
        running["feedback"] = await run(
            "feedback",
            FeedbackSettings(
                **common,
                instance="feedback-0",
                roles=("lanes", "dispatcher", "edge"),
                ingest_address=running["ingest"].endpoints["grpc"],
            ),
            feedback,
        )
        addresses = {name: service.endpoints["grpc"] for name, service in running.items()}
        channels = {name: await enter(grpc.aio.insecure_channel(address)) for name, address in addresses.items()}
        yield Stand(kafka, addresses, channels)
