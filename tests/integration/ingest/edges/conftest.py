"""The whole ingest service on a real broker, with the edges' real sockets and without lanes, which have other tests."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2
from services.chassis.clock import system_clock
from services.chassis.cluster_topics import apply
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.keys import tenant_key
from services.chassis.lifecycle import Service, serving
from services.chassis.privacy.lanes import when_ready
from services.chassis.privacy.sealing import unseal
from services.chassis.secrets import env_prefix
from services.ingest.settings import IngestSettings
from services.ingest.wiring import build
from tests.fakes.privacy import a_keyring

_READY_S = 60
SECRET = {
    "TELEGRAM": "telegram-secret",
    "WHATSAPP": "whatsapp-app-secret",
    "VERIFY": "verify-me",
    "WEBHOOK": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "VISITOR": "visitor-secret-of-the-tests",
    "LOGIN": "login-secret-of-the-tests",
}


def configuration(tenant: str = "demo") -> config_pb2.TenantConfiguration:
    """A tenant with one account per channel."""
    made = config_pb2.TenantConfiguration(tenant=tenant, version=1, default_language="fa")
    for channel, account, names, settings in (
        (
            "webchat",
            "main",
            {"visitor_token": "VISITOR", "identity_secret": "LOGIN"},
            {"origins": "https://shop.example"},
        ),
        ("telegram", "main", {"webhook_secret": "TELEGRAM"}, {}),
        ("whatsapp", "main", {"app_secret": "WHATSAPP", "verify_token": "VERIFY"}, {"phone_number_id": "100200300"}),
        ("webhook", "main", {"signing_secret": "WEBHOOK"}, {}),
        ("webhook", "unset", {"signing_secret": "NOT_THERE"}, {}),
        ("email", "signed", {}, {"address": "signed@demo.example", "authentication": "dkim"}),
        (
            "email",
            "fronted",
            {},
            {"address": "fronted@demo.example", "authentication": "trusted_results", "authserv_id": "mx.demo.example"},
        ),
        ("email", "main", {}, {"address": "support@demo.example, پشتیبانی@demo.example"}),
        ("grpc", "default", {}, {}),
    ):
        made.channels.append(
            config_pb2.ChannelAccount(
                channel=channel,
                account=account,
                secrets={name: f"env:{env_prefix(tenant)}{variable}" for name, variable in names.items()},
                settings=settings,
            )
        )
    return made


def routed() -> config_pb2.TenantConfiguration:
    """The tenant of the edges' tests, with a queue for every interaction."""
    tenant = configuration()
    tenant.pools.add(name="default")
    tenant.queues.add(name="support", pool="default")
    tenant.rules.add(name="everything", queue="support")
    return tenant


@dataclass
class Edges:
    """A running service and its log."""

    service: Service[IngestSettings]
    kafka: KafkaSettings
    token_secret: bytes
    _seen: list[records_pb2.InboundRecord] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{self.service.endpoints['http']}{path}"

    def ws(self, path: str) -> str:
        return f"ws://{self.service.endpoints['http']}{path}"

    async def inbound(self, count: int) -> list[records_pb2.InboundRecord]:
        """Return all records of inbound.v1 after reading the log to its end; there must be exactly `count`."""
        found: list[records_pb2.InboundRecord] = []
        done = False

        def caught_up() -> None:
            nonlocal done
            done = True

        async with (
            a_keyring(self.kafka) as keys,
            aclosing(tail(self.kafka, "inbound.v1", caught_up=caught_up)) as records,
        ):
            reading: Any = records.__aiter__()
            if count == 0:
                return found
            while len(found) < count:
                record = await anext(reading)
                decoded = records_pb2.InboundRecord.FromString(record.value)
                if decoded.WhichOneof("record") == "message":
                    assert record.key == tenant_key(decoded.tenant, decoded.message.identity.identity_id)
                await when_ready(keys, record)
                unseal(decoded, keys, record.topic, record.key)
                found.append(decoded)
        return found


async def install(kafka: KafkaSettings, tenant: config_pb2.TenantConfiguration) -> None:
    """Create topics and write the configuration."""
    await apply(kafka)
    async with DurableProducer(kafka, client_id="test") as producer:
        await producer.publish("config.v1", tenant.tenant.encode(), tenant.SerializeToString())


@asynccontextmanager
async def ingest(kafka: KafkaSettings, tmp_path: Path, **overrides: Any) -> AsyncIterator[Edges]:
    """Yield the service once it is ready, when an orchestrator would send it traffic; by default with edges only."""
    secret = secrets.token_hex(32).encode()
    file = tmp_path / "jwt"
    file.write_bytes(secret)
    values: dict[str, Any] = {
        "instance": "test",
        "insecure_dev": True,
        "jwt": {"secret_file": file},
        "kafka": kafka,
        "drain_s": 0,
        "stop_grace_s": 1,
        "role": "edge",
        "verdict_timeout_s": 15 if overrides.get("role") == "all" else 3,
        "history": False,
        "state_dir": str(tmp_path),
        **overrides,
    }
    async with serving("ingest", IngestSettings(**values), build, clock=system_clock) as service:
        await _ready(service)
        yield Edges(service, kafka, secret)


async def _ready(service: Service[Any]) -> None:
    changed = asyncio.Event()
    service.health.on_change(lambda ready: changed.set() if ready else None)
    try:
        await asyncio.wait_for(changed.wait(), _READY_S)
    except TimeoutError:
        raise AssertionError(f"not ready: {service.health.reasons()}") from None


@pytest.fixture
def edge_secrets(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the accounts' secrets in the variables that their references name."""
    for name, value in SECRET.items():
        monkeypatch.setenv(f"{env_prefix('demo')}{name}", value)
    return SECRET


@pytest.fixture
async def edges(kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]) -> AsyncIterator[Edges]:
    """Yield a running ingest with the tenant `demo`."""
    settings = kafka.settings(prefix)
    await install(settings, configuration())
    async with ingest(settings, tmp_path) as running:
        yield running
