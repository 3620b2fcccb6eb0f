"""Wires the lanes and the relay of ingest, and the components that perform their effects. Part of the composition root."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Protocol

from chapar.config.v1 import config_pb2
from services.chassis.config_reader import ConfigReader
from services.chassis.finalised import finalised_formats
from services.chassis.health import Component
from services.chassis.kafka.batch_publisher import BatchPublisher
from services.chassis.kafka.contract import LaneMetrics
from services.chassis.kafka.heap import Heap
from services.chassis.kafka.member import as_member
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.records import Headers
from services.chassis.kafka.relay import Relay
from services.chassis.kafka.writer import Writer, WriterTuning
from services.chassis.lifecycle import Service
from services.chassis.metrics import PrometheusLaneMetrics
from services.chassis.pacing import Rate
from services.chassis.privacy.lanes import AwaitedKeys
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.out.attached import AttachedFiles
from services.ingest.adapters.out.client import ChannelClient
from services.ingest.adapters.out.email_out import EmailClient
from services.ingest.adapters.out.http import provider_client
from services.ingest.adapters.out.telegram import TelegramClient
from services.ingest.adapters.out.webhook_out import WebhookClient
from services.ingest.adapters.out.whatsapp import WhatsAppClient
from services.ingest.adapters.out.worker import AttemptWorker
from services.ingest.domain.files.places import FilePlace
from services.ingest.lanes import intake, intake_runner, relay, sender, sender_runner
from services.ingest.lanes.policies import CompiledPolicies
from services.ingest.ports import Secrets
from services.ingest.settings import IngestSettings
from services.ingest.wiring.fetching import fetching
from services.ingest.wiring.files import file_links
from services.policy.reading.rule_conditions import CelConditions

_UPLOAD_S: Final = 90.0


@asynccontextmanager
async def lanes(
    service: Service[IngestSettings],
    configuration: ConfigReader[config_pb2.TenantConfiguration],
    secrets: Secrets,
    producer: DurableProducer,
    keys: AwaitedKeys,
    files: SealedFiles,
) -> AsyncIterator[None]:
    """Run the intake and sender lanes, the relay and the fetcher of files; on exit stop them, and then the attempts that they had handed over."""
    settings, kafka = service.settings, service.settings.kafka
    lane_metrics: LaneMetrics = PrometheusLaneMetrics(service.metrics)
    policies = CompiledPolicies(lambda: configuration.values, CelConditions)
    client_id = f"ingest@{settings.instance}"
    heap = Heap()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        formats = await enter(finalised_formats(service))
        writer = await enter(Writer(kafka, service="ingest", tuning=WriterTuning(times=service.clock, formats=formats)))
        rules = settings.destinations
        http = await enter(provider_client(rules))
        uploads = await enter(provider_client(rules, timeout_s=_UPLOAD_S, connections=50))
        links = file_links(settings, lambda: service.endpoints["http"], service.clock)

        def link(place: FilePlace) -> str:
            known = settings.files_public_url or "http" in service.endpoints.known
            return links.url(place)[0] if known else ""

        clients: dict[str, ChannelClient] = {
            "telegram": TelegramClient(http, uploads),
            "whatsapp": WhatsAppClient(http, uploads),
            "webhook": WebhookClient(http, link),
            "email": EmailClient(rules),
        }

        async def publish(key: bytes, value: bytes, headers: Headers) -> object:
            return await producer.publish("outbound.v1", key, value, headers)

        attempts = AttemptWorker(
            clients,
            policies,
            secrets,
            publish,
            service.metrics,
            keys,
            clock=service.clock,
            attached=AttachedFiles(files),
        )
        await enter(service.background(attempts.run(), "attempts"))
        publisher = await enter(
            BatchPublisher(kafka, client_id=f"ingest-relay@{settings.instance}", clock=service.clock)
        )
        fetchers = await enter(fetching(service, policies, secrets, producer, keys, files, lane_metrics))
        # Edges need no lane of their own process: after its start, a rebalance must not take every edge away at once.
        edges = settings.runs("edge")
        health = {
            name: service.health.component(name, ready_while_restoring=edges)
            for name in ("intake lane", "relay", "sender lane", *fetchers)
        }
        runners: dict[str, Runner] = {
            **{name: made(health[name].set_restored) for name, made in fetchers.items()},
            "intake lane": intake_runner.intake_lane(
                kafka,
                policies,
                service.metrics,
                keys,
                writer=writer,
                clock=service.clock,
                client_id=client_id,
                lane_metrics=lane_metrics,
                pace=Rate(settings.sender_rate, settings.sender_burst),
                tuning=as_member(settings.lane, intake_runner.TUNING, intake.SPEC.name, settings.instance),
                heap=heap,
                on_restored=health["intake lane"].set_restored,
                on_refused=health["intake lane"].set_refused,
                on_hanging=health["intake lane"].set_hanging,
            ),
            "relay": Relay(
                relay.SPEC,
                relay.notice_of,
                kafka,
                publisher,
                Poison(relay.SPEC.name, service.metrics, producer=producer, clock=service.clock),
                client_id=client_id,
                clock=service.clock,
                metrics=lane_metrics,
                on_joined=health["relay"].set_restored,
            ),
            "sender lane": sender_runner.sender_lane(
                kafka,
                attempts,
                service.metrics,
                keys,
                policies,
                writer=writer,
                clock=service.clock,
                client_id=client_id,
                lane_metrics=lane_metrics,
                tuning=as_member(settings.lane, sender_runner.TUNING, sender.SPEC.name, settings.instance),
                heap=heap,
                on_restored=health["sender lane"].set_restored,
                on_refused=health["sender lane"].set_refused,
                on_hanging=health["sender lane"].set_hanging,
            ),
        }
        for name, runner in runners.items():
            health[name].set(False, "waiting for a configuration: has `chapar config apply` run?")
            await enter(service.background(_run(configuration, runner, health[name]), name))
        yield


class Runner(Protocol):
    """A lane or a relay."""

    async def run(self) -> None:
        """Run until cancelled."""


async def _run(
    configuration: ConfigReader[config_pb2.TenantConfiguration], runner: Runner, component: Component
) -> None:
    """Run once a tenant is known: before that, every message would become a dead letter without a configuration."""
    await configuration.configured()
    component.set_restored(False)
    await runner.run()
