"""Commands that read a topic once go on past records that they cannot decode."""

import pytest
from aiokafka import AIOKafkaProducer

from chapar.common.v1.dead_letter_pb2 import DeadLetter
from chapar.common.v1.revocation_pb2 import Revocation
from chapar.config.v1.config_pb2 import TenantConfiguration
from services.chassis.cluster_topics import apply as apply_topics
from services.cli.commands import deadletters
from services.cli.config import publishing
from services.cli.revocations import in_force
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]
POISON = ((b"shop", b"\xff\xff\xff"), (b"\xff\xfe", b"\x08\x96\x01"), (b"\xff\xfe", None), (b"bank", b""))


async def test_poison_hides_no_record(kafka: KafkaUnderTest, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations, revocations and dead letters before and behind poison are found."""
    settings = kafka.settings(prefix)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", settings.bootstrap_servers)
    monkeypatch.setenv("CHAPAR_TOPIC_PREFIX", prefix)
    await apply_topics(settings)
    good = {
        "config.v1": (b"shop", TenantConfiguration(tenant="shop", version=7).SerializeToString()),
        "revocations.v1": (b"token/a", Revocation(token_id="a", expires_at_ms=9).SerializeToString()),
        "deadletters.v1": (b"inbound.v1", DeadLetter(origin_topic="inbound.v1", reason="X").SerializeToString()),
    }
    async with AIOKafkaProducer(**settings.client_options()) as producer:
        for topic, record in good.items():
            for key, value in (record, *POISON):
                await producer.send_and_wait(prefix + topic, value, key)
    assert {tenant: each.version for tenant, each in (await publishing.current(settings)).items()} == {"shop": 7}
    assert list(await in_force(settings, now_ms=5)) == ["token/a"]
    assert "X" in {letter.reason for _, letter in await deadletters._letters()}
