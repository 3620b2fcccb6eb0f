"""Each service steps over records that it can't process, in every topic that it reads, and continues.

The topics come from the readers that `tests/unit/poison` compares with the table of topics, so a new topic can't be forgotten.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from chapar.common.v1.dead_letter_pb2 import DeadLetter
from chapar.config.v1 import config_pb2
from services.chassis import cluster_topics
from services.chassis.kafka.clients import admin_client
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.topics import TOPICS
from tests.contract.lane.real import read_all
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.test_waiting_for_kafka import SERVICES, Started, started, until
from tests.unit.poison.registry import READERS

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]
UNDECODABLE = b"\xff\xff\xff"
KEY = b"acme/x"
METRIC = re.compile(
    r'(?:chapar_records_stepped_over_total\{reason="[^"]*",topic="(?P<topic>[^"]*)"\}'
    r'|chapar_history_records_total\{outcome="refused",topic="(?P<history>[^"]*)"\}'
    r'|chapar_config_changes_total\{outcome="refused"\}) (?P<count>\S+)'
)
TAKEN = re.compile(r'chapar_config_changes_total\{outcome="taken"\}')
NOT_COUNTED = {
    "ingest.verdicts.v1": "logged: the caller who waits for this verdict gets a time-out",
    "feedback.verdicts.v1": "logged: the caller who waits for this verdict gets a time-out",
    "formats.v1": "logged: lanes go on with the format that they have",
    "personal.keys.v1": "logged: records that the key seals stay sealed",
    "sla.state.v1": "the read model leaves out an unknown entry: a later version may have written it",
}
"""Topics whose readers continue without a metric or a dead letter, and what they do instead."""


def topics_of(service: str) -> dict[str, type[Message]]:
    """Return the topics that the service reads, with their schemas. Some readers are part of every service."""
    return {reader.topic: reader.schema for reader in READERS if reader.name.startswith((f"{service} ", "all "))}


def meaningless(schema: type[Message]) -> bytes:
    """Return a valid message of the schema without content, except the name of a tenant if the schema has one."""
    made: Any = schema()
    if "tenant" in schema.DESCRIPTOR.fields_by_name:
        made.tenant = "acme"
    return bytes(made.SerializeToString())


def partitions_of(topic: str) -> int:
    """Return the number of partitions that the table of topics gives a topic."""
    return TOPICS[TOPICS[topic].follows or topic].partitions


Places = dict[tuple[str, int], list[int]]
"""Offsets by topic and partition."""


async def poisoned(kafka: KafkaSettings, topics: dict[str, type[Message]]) -> Places:
    """Write three records to each partition of each topic: undecodable, meaningless, undecodable. Return their offsets."""
    found: Places = {}
    async with DurableProducer(kafka, client_id="attacker") as producer:
        for topic, schema in topics.items():
            for partition in range(partitions_of(topic)):
                for value in (UNDECODABLE, meaningless(schema), UNDECODABLE):
                    _, offset = await producer.publish(topic, KEY, value, partition=partition, timeout=30)
                    found.setdefault((topic, partition), []).append(offset)
    return found


async def reported(service: Started, kafka: KafkaSettings) -> Counter[str]:
    """Count the records that were refused or stepped over, by topic, in the service's metrics and among the dead letters."""
    counted: Counter[str] = Counter()
    for line in (await service.get("/metrics")).text.splitlines():
        if found := METRIC.match(line):
            counted[found["topic"] or found["history"] or "config.v1"] += int(float(found["count"]))
    for record in await read_all(kafka, "deadletters.v1"):
        counted[DeadLetter.FromString(record.value or b"").origin_topic] += 1
    return counted


async def behind(kafka: KafkaSettings, places: Places) -> list[str]:
    """Return the groups that have not read past the last of these records."""
    found: list[str] = []
    async with admin_client(kafka, client_id="test") as admin:
        for group, *_ in await admin.list_consumer_groups():
            if group.startswith(kafka.topic_prefix):
                for place, at in (await admin.list_consumer_group_offsets(group)).items():
                    last = places.get((place.topic.removeprefix(kafka.topic_prefix), place.partition), [-1])[-1]
                    if at.offset <= last:
                        found.append(f"{group} at {at.offset} of {place.topic}/{place.partition}")
    return found


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_goes_on_after_records_that_it_cannot_take(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, name: str
) -> None:
    """Every reader reports both undecodable records, so it continues after the first. The groups commit past them, and a later
    configuration is applied.
    """
    settings, topics = kafka.settings(prefix), topics_of(name)
    assert topics
    await cluster_topics.apply(settings)
    async with (
        DurableProducer(settings, client_id="operator") as producer,
        started(name, settings, tmp_path) as service,
    ):

        async def configured(version: int) -> None:
            tenant = config_pb2.TenantConfiguration(tenant="acme", time_zone="UTC", version=version)
            await producer.publish("config.v1", b"acme", tenant.SerializeToString(), timeout=30)

        async def ready() -> bool:
            return (await service.get("/readyz")).status_code == 200

        await configured(1)
        await until(ready, "ready")
        places = await poisoned(settings, topics)
        await configured(2)
        loud = {topic for topic in topics if topic not in NOT_COUNTED}

        async def missing() -> list[str]:
            counted = await reported(service, settings)
            # The gateway reads one partition of its topic.
            wanted = {t: 2 * (1 if t == "gateway.feed.v1" else partitions_of(t)) for t in loud}
            return [f"{t}: {counted[t]} of {wanted[t]}" for t in loud if counted[t] < wanted[t]]

        async def done() -> bool:
            return not await missing() and not await behind(settings, places)

        try:
            await until(done, "every record is reported", 40)
        except AssertionError as error:
            raise AssertionError(f"{await missing()}; {await behind(settings, places)}") from error
        assert not {topic for topic in await reported(service, settings) if topic in NOT_COUNTED}, "it is counted now"
        assert await ready()
        if "config.v1" in topics:
            taken = [line for line in (await service.get("/metrics")).text.splitlines() if TAKEN.match(line)]
            assert taken
            assert float(taken[0].split()[-1]) >= 2
