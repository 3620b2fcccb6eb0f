"""Reads all records of an installation and reports those that break the contract of headers and versions."""

from collections.abc import Iterator

import msgspec

from services.chassis.kafka.records import EPOCH_HEADER, Record
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.topics import TOPICS, Topic
from tests.contract.lane.real import read_all
from tests.unit.chassis.privacy import test_fields

SEALED = b"\x00sealed\x01"
"""The first bytes of an entry that is encrypted with a person's key."""
VERSIONS = (1, 4)


def faults(topic: Topic, record: Record) -> Iterator[str]:
    """Yield what is wrong with a record of a topic."""
    if record.value is None:
        return
    named = dict(record.headers)
    if len(named) != len(record.headers):
        yield "a header occurs twice"
    if topic.schema:
        yield from _faults_of_message(topic, record, named)
    else:
        yield from _faults_of_entry(record, named)


def _faults_of_message(topic: Topic, record: Record, named: dict[str, bytes]) -> Iterator[str]:
    if named.get("content-type") != b"application/protobuf":
        yield f"content-type {named.get('content-type')!r}"
    if named.get("schema") != topic.schema.encode():
        yield f"schema {named.get('schema')!r}"
    if not named.get("event-id"):
        yield "no event-id"
    message = test_fields.RECORDS[topic.name].FromString(record.value or b"")
    tenant = getattr(message, "tenant", "")
    if tenant and named.get("tenant") != tenant.encode():
        yield f"tenant {named.get('tenant')!r}"
    repeated = getattr(message, "event_id", "")
    if repeated and named.get("event-id") != repeated.encode():
        yield "the event-id of another event"


def _faults_of_entry(record: Record, named: dict[str, bytes]) -> Iterator[str]:
    if EPOCH_HEADER not in named:
        yield f"no {EPOCH_HEADER}"
    value = record.value or b""
    if value.startswith(SEALED):
        return  # the version is in the sealed part
    if value[0] not in VERSIONS:
        yield f"version {value[0]}"
    try:
        msgspec.msgpack.decode(value[1:])
    except msgspec.DecodeError as error:
        yield f"not MessagePack after the version: {error}"


async def survey(kafka: KafkaSettings) -> tuple[dict[str, int], list[str], dict[str, set[bytes]]]:
    """Return the number of records of each topic, the faults, and the trace contexts of each topic."""
    counted: dict[str, int] = {}
    found: list[str] = []
    traces: dict[str, set[bytes]] = {}
    for name, topic in TOPICS.items():
        records = await read_all(kafka, name)
        counted[name] = len(records)
        for record in records:
            found += [f"{name}/{record.partition}/{record.offset}: {fault}" for fault in faults(topic, record)]
            traces.setdefault(name, set()).update(value for key, value in record.headers if key == "traceparent")
    return counted, found, traces
