"""Composition root of ingest: starts everything, in the order of this file.

A process runs the edges, the lanes, history, or all of them (`IngestSettings.role`), and is ready when these are.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from chapar.config.v1 import config_pb2
from services.chassis.config_reader import ConfigReader
from services.chassis.finalised import TOPIC as FORMATS
from services.chassis.grpc.trust import TOPIC as REVOCATIONS
from services.chassis.kafka.presence import kafka_presence
from services.chassis.kafka.producer import DurableProducer
from services.chassis.lifecycle import Service
from services.chassis.privacy.settings import keyring
from services.chassis.secrets import SecretReferences
from services.ingest.adapters.edges.accounts import AccountSecrets, ConfiguredAccounts
from services.ingest.adapters.edges.agent_queues import ConfiguredAgentQueues
from services.ingest.adapters.edges.broken_accounts import BrokenAccounts
from services.ingest.adapters.edges.grpc_templates import ConfiguredTemplates
from services.ingest.adapters.edges.lane_questions import TOPIC as VERDICTS
from services.ingest.adapters.edges.publisher import MAX_RECORD_BYTES
from services.ingest.adapters.history.mapping import TOPICS as HISTORY_TOPICS
from services.ingest.metrics import METRICS
from services.ingest.settings import IngestSettings
from services.ingest.translate.configuration import decode
from services.ingest.translate.headers import FETCHES, OUTCOMES, WAITING_FETCHES
from services.ingest.wiring.edges import Configured, edges
from services.ingest.wiring.files import kept_files
from services.ingest.wiring.history import history
from services.ingest.wiring.lanes import lanes


@asynccontextmanager
async def build(service: Service[IngestSettings]) -> AsyncIterator[None]:
    """Start ingest; on exit everything is closed in reverse order."""
    settings, kafka = service.settings, service.settings.kafka
    service.metrics.declare(METRICS)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context

        # Nothing works without the log: the start waits for it.
        presence = await enter(kafka_presence(service, topics(settings)))
        await presence.first()

        # Configuration: the accounts of all tenants.
        accounts = ConfiguredAccounts()
        queues = ConfiguredAgentQueues()
        templates = ConfiguredTemplates()

        def follow(tenant: str, configured: config_pb2.TenantConfiguration | None) -> None:
            accounts.replace(tenant, configured)
            queues.replace(tenant, configured)
            templates.replace(tenant, configured)

        configuration = ConfigReader(
            kafka, decode, on_change=follow, metrics=service.metrics, version=lambda each: each.version
        )
        if settings.runs("edge") or settings.runs("lanes"):
            configured = service.health.component("configuration")
            await enter(service.background(configuration.run(), "configuration"))
            await configuration.first()
            configured.set(True)
        secrets = AccountSecrets(SecretReferences(service.clock, settings.secrets_dir))

        # Accounts that can't work are known before a customer writes.
        if settings.runs("edge") or settings.runs("lanes"):
            broken = BrokenAccounts(accounts.all, secrets, service.health.component("accounts"), service.metrics)
            await enter(service.background(broken.run(), "accounts"))

        # The keys of persons: personal data goes into the log only sealed with one.
        keys = await enter(keyring(service, "ingest", rewraps=settings.runs("edge")))

        # The log: a published record is durable.
        producer = await enter(
            DurableProducer(
                kafka,
                client_id=f"ingest-edge@{settings.instance}",
                timeout=settings.publish_timeout_s,
                max_record_bytes=MAX_RECORD_BYTES + (16 << 10),
            )
        )

        # Files of customers, sealed with the same keys.
        files = kept_files(settings, keys, service.metrics)

        # History, for people; no routing decision depends on it.
        kept = await enter(history(service, keys, producer)) if settings.history and settings.role != "lanes" else None

        if settings.runs("edge"):
            tenants = Configured(accounts, queues, templates, secrets)
            await enter(edges(service, tenants, keys, producer, kept, files))

        # The lanes last: customers wait while their partition comes to a process that is still busy with its start. So they
        # are also the first to go.
        if settings.runs("lanes"):
            await enter(lanes(service, configuration, secrets, producer, keys, files))
        yield


def topics(settings: IngestSettings) -> set[str]:
    """Return the topics that this process reads and writes; the start waits for all of them.

    An architecture test compares them with the rights of its user.
    """
    found = {"personal.keys.v1", OUTCOMES}
    if settings.role != "history":
        found |= {"config.v1", "conversations.v1", "inbound.v1", "outbound.v1", VERDICTS}
    if settings.runs("edge"):
        found |= {"audit.v1", REVOCATIONS}
    if settings.runs("lanes"):
        found |= {FETCHES, WAITING_FETCHES}
        found |= {"deliveries.v1", "routing.commands.v1", "routing.events.v1", "feedback.commands.v1", "deadletters.v1"}
        found.add(FORMATS)
        found |= {f"ingest-{lane}.state.v1" for lane in ("intake", "sender")}
    if settings.history and settings.runs("history"):
        found |= set(HISTORY_TOPICS)
    return found
