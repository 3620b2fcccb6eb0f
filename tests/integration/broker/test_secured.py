"""A cluster that asks for TLS and SASL, reached by settings alone: a real broker, with a test's own certificate authority."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.chassis.kafka_settings import KafkaSettings
from services.cli.local.broker.ports import free_port
from services.cli.local.broker.properties import TEMPLATE
from services.cli.local.broker.server import BrokerServer
from services.cli.local.broker.settings import BrokerSettings
from tests.integration.broker.certificates import Authority
from tests.integration.broker.test_broker_suite import producer_of, read, topic

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@dataclass(frozen=True)
class SecuredKafka:
    sasl: str
    """Address of SASL_SSL: TLS, and PLAIN with someone/geheim-7."""
    mutual: str
    """Address of SSL that asks clients for a certificate."""
    authority: Authority
    stranger: Authority


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    directory = tmp_path_factory.mktemp("secured")
    authority, stranger = Authority.create(directory, "authority"), Authority.create(directory, "stranger")
    authority.issue("broker")
    sasl, mutual = free_port(), free_port()
    lines = []
    for line in TEMPLATE.read_text().splitlines():
        key = line.partition("=")[0]
        if key in ("listeners", "advertised.listeners"):
            line += f",SECURED://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual}"
        elif key == "listener.security.protocol.map":
            line += ",SECURED:SASL_SSL,MUTUAL:SSL"
        lines.append(line)
    for listener in ("secured", "mutual"):
        lines += [
            f"listener.name.{listener}.ssl.keystore.type=PEM",
            f"listener.name.{listener}.ssl.keystore.location={directory}/broker.both.pem",
            f"listener.name.{listener}.ssl.truststore.type=PEM",
            f"listener.name.{listener}.ssl.truststore.location={authority.file}",
        ]
    lines += [
        "listener.name.mutual.ssl.client.auth=required",
        "listener.name.secured.sasl.enabled.mechanisms=PLAIN",
        "listener.name.secured.plain.sasl.jaas.config="
        'org.apache.kafka.common.security.plain.PlainLoginModule required user_someone="geheim-7";',
    ]
    template = directory / "server.properties"
    template.write_text("\n".join(lines))
    server = BrokerServer(BrokerSettings(home=directory / "home", kafka_port=None), template=template)
    server.start(tethered=True)
    try:
        yield SecuredKafka(f"127.0.0.1:{sasl}", f"127.0.0.1:{mutual}", authority, stranger)
    finally:
        server.reset()


def set_environment(monkeypatch: pytest.MonkeyPatch, prefix: str, **environment: str) -> KafkaSettings:
    """Set the variables as an operator does, and read them as a service does."""
    for name, value in environment.items():
        monkeypatch.setenv(f"KAFKA_{name}", value)
    monkeypatch.setenv("CHAPAR_TOPIC_PREFIX", prefix)
    return KafkaSettings.from_environment()


def sasl_environment(secured: SecuredKafka) -> dict[str, str]:
    return {
        "BOOTSTRAP_SERVERS": secured.sasl,
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_MECHANISM": "PLAIN",
        "SASL_USERNAME": "someone",
        "SASL_PASSWORD": "geheim-7",
        "SSL_CAFILE": str(secured.authority.file),
    }


async def write_and_read(settings: KafkaSettings) -> None:
    async with topic(settings, "secured") as name:
        async with producer_of(settings, "writer") as producer, producer.transaction():
            await producer.send_and_wait(name, b"by a safe way")
        assert await read(settings, name, "read_committed") == [b"by a safe way"]


async def refused(settings: KafkaSettings) -> None:
    admin = AIOKafkaAdminClient(**settings.client_options(), request_timeout_ms=5_000)
    try:
        with pytest.raises(KafkaError):
            await admin.start()
    finally:
        await admin.close()


async def test_sasl_over_tls_works_by_settings_alone(
    secured: SecuredKafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Admin client, transactional producer and consumer all connect with the same options."""
    await write_and_read(set_environment(monkeypatch, prefix, **sasl_environment(secured)))


async def test_a_client_certificate_works_by_settings_alone(
    secured: SecuredKafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mutual TLS: certificate and key from two files."""
    certificate, key = secured.authority.issue("client")
    environment = {"SSL_CERTFILE": str(certificate), "SSL_KEYFILE": str(key), "SSL_CAFILE": str(secured.authority.file)}
    await write_and_read(
        set_environment(monkeypatch, prefix, BOOTSTRAP_SERVERS=secured.mutual, SECURITY_PROTOCOL="SSL", **environment)
    )


async def test_a_wrong_password_is_refused(secured: SecuredKafka, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker refuses, and the client raises instead of trying for ever."""
    environment = sasl_environment(secured) | {"SASL_PASSWORD": "guessed"}
    await refused(set_environment(monkeypatch, prefix, **environment))


async def test_a_broker_with_a_certificate_of_another_authority_is_refused(
    secured: SecuredKafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates are verified: with another authority's file no password is sent."""
    environment = sasl_environment(secured) | {"SSL_CAFILE": str(secured.stranger.file)}
    await refused(set_environment(monkeypatch, prefix, **environment))
