"""The readers of the ingest service."""

import asyncio
from typing import Any

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import privacy_pb2
from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.config_reader import ConfigReader
from services.chassis.kafka.records import Record
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.chassis.secrets import SecretReferences
from services.ingest.adapters.edges.accounts import AccountSecrets, ConfiguredAccounts
from services.ingest.adapters.edges.erasure import Outcomes
from services.ingest.adapters.edges.webchat_hub import WebchatHub
from services.ingest.adapters.files.fetcher import Fetcher
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.adapters.history.mapping import fact
from services.ingest.adapters.history.story import Unreadable
from services.ingest.domain.fetching import FetchLimits
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.lanes.intake import intake_factory
from services.ingest.lanes.policies import CompiledPolicies
from services.ingest.lanes.relay import notice_of
from services.ingest.lanes.sender import sender_factory
from services.ingest.metrics import METRICS
from services.ingest.translate.configuration import decode as decode_accounts
from services.policy.reading.rule_conditions import CelConditions
from tests.flow.ingest.world import RecordingAttempts, a_configuration
from tests.unit.poison.reader import (
    AnyKey,
    LaneReader,
    Reader,
    SilentLog,
    Take,
    a_poison,
    configuration_reader,
    guarded,
)


class _Forgetful(RecordingAttempts):
    """Attempts that are never performed."""

    def submit(self, job: Any) -> None:
        return


def _intake() -> Take:
    tenants = {name: a_configuration(tenant=name) for name in ("acme", "parsa")}
    policies = CompiledPolicies(lambda: tenants, CelConditions)
    return LaneReader(intake_factory(policies, Metrics(METRICS), AnyKey()), "inbound.v1")


def _fetches() -> Take:
    metrics = Metrics(METRICS)
    files = SealedFiles(file_store("memory:///", "", metrics), AnyKey(), FilePolicy())
    limits = FetchLimits(tries=1, delay_ms=0)
    fetcher = Fetcher(
        files,
        {},
        dict,
        AccountSecrets(SecretReferences(lambda: 0)),
        SilentLog(),  # type: ignore[arg-type]  # a fake
        AnyKey(),
        metrics,
        clock=lambda: 0,
        limits=limits,
    )
    return guarded(lambda record: asyncio.run(fetcher.again([record])))


def _policies() -> Take:
    """Compile each configuration that the reader has accepted. This must not fail, because the lanes can't refuse a record then."""
    running: dict[str, config_pb2.TenantConfiguration] = {}
    compiled = CompiledPolicies(lambda: running, CelConditions)

    def change(tenant: str, value: config_pb2.TenantConfiguration | None) -> None:
        if value is not None:
            running[tenant] = value
        compiled()

    kafka = KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:9"})
    reader = ConfigReader(kafka, decode_accounts, on_change=None)

    def take(record: Record) -> None:
        reader._take(record.partition, record.offset, record.key, record.value)
        for tenant, value in reader.values.items():
            if running.get(tenant) is not value:
                change(tenant, value)

    return take


def _history() -> Take:
    keys = AnyKey()

    def take(record: Record) -> None:
        try:
            fact(record, keys)
        except Unreadable:
            return

    return take


def _outcomes() -> Take:
    return guarded(Outcomes().take)


INGEST_READERS: tuple[Reader, ...] = (
    Reader("ingest intake", "inbound.v1", ingest_pb2.InboundRecord, "ingest/lanes/intake.py", _intake),
    Reader(
        "ingest relay",
        "routing.events.v1",
        router_pb2.RoutingEvent,
        "ingest/lanes/relay.py",
        lambda: guarded(notice_of),
    ),
    Reader(
        "ingest sender",
        "outbound.v1",
        ingest_pb2.OutboundRecord,
        "ingest/lanes/sender.py",
        lambda: LaneReader(sender_factory(_Forgetful(), Metrics(METRICS), AnyKey()), "outbound.v1"),
    ),
    *(
        Reader(f"ingest fetches {topic}", topic, ingest_pb2.FileFetch, "ingest/wiring/fetching.py", _fetches)
        for topic in ("ingest.fetches.v1", "ingest.waiting-fetches.v1")
    ),
    Reader(
        "ingest web chat",
        "conversations.v1",
        ingest_pb2.ConversationRecord,
        "ingest/wiring/edges.py",
        lambda: guarded(WebchatHub(AnyKey(), a_poison()).take),
    ),
    *(
        Reader(f"ingest history {topic}", topic, schema, "ingest/adapters/history/projection.py", _history)
        for topic, schema in (
            ("conversations.v1", ingest_pb2.ConversationRecord),
            ("routing.events.v1", router_pb2.RoutingEvent),
            ("sla.events.v1", sla_pb2.SlaEvent),
            ("deliveries.v1", ingest_pb2.DeliveryRecord),
            ("feedback.responses.v1", feedback_pb2.FeedbackRecord),
            ("audit.v1", audit_pb2.AuditRecord),
        )
    ),
    Reader(
        "ingest outcomes of erasures",
        "personal.erasures.v1",
        privacy_pb2.ErasureOutcome,
        "ingest/adapters/edges/erasure.py",
        _outcomes,
    ),
    Reader(
        "ingest configuration",
        "config.v1",
        config_pb2.TenantConfiguration,
        "ingest/wiring/__init__.py",
        lambda: configuration_reader(decode_accounts, ConfiguredAccounts().replace),
    ),
    Reader("ingest policies", "config.v1", config_pb2.TenantConfiguration, "ingest/wiring/__init__.py", _policies),
)
