"""The headers of records. This is the only module that names them.

    content-type    application/protobuf
    schema          full name of the value's message, from the table of topics
    event-id        id of the event, the same after any repetition
    tenant          name of the tenant; absent if the record belongs to none
    traceparent     W3C trace context of the call or record that caused it; absent if that had none
    replayed        how often an operator has put a dead letter back; absent from all other records
    relayed-from    where a relay read the record that this one repeats under another key (`relayed`); absent otherwise

A lane adds its epoch (`records.EPOCH_HEADER`) and the trace context of the record being handled; a `DurableProducer` adds the current trace
context. A tombstone has no value, so it has no headers of its own. Records of changelogs have the epoch only: their version is in the value
(`changelog`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.chassis.kafka.records import Headers
from services.chassis.topics import TOPICS

CONTENT_TYPE: Final = "content-type"
SCHEMA: Final = "schema"
EVENT_ID: Final = "event-id"
TENANT: Final = "tenant"
RELAYED_FROM: Final = "relayed-from"
REPLAYED: Final = "replayed"
PROTOBUF: Final = b"application/protobuf"

_OF_TOPIC: Final[Mapping[str, Headers]] = MappingProxyType(
    {
        topic.name: ((CONTENT_TYPE, PROTOBUF), (SCHEMA, topic.schema.encode()))
        for topic in TOPICS.values()
        if topic.schema
    }
)


def record_headers(topic: str, event_id: str, tenant: str) -> Headers:
    """Return the headers of a record of a topic (logical name). `tenant` is empty for a record that belongs to no tenant.

    Raises KeyError for a changelog and for a topic that is not in the table, ValueError without an event id.
    """
    if not event_id:
        raise ValueError(f"a record of {topic} needs an event id")
    own: Headers = ((EVENT_ID, event_id.encode("utf-8", "surrogatepass")),)
    if tenant:
        own = (own[0], (TENANT, tenant.encode("utf-8", "surrogatepass")))
    return _OF_TOPIC[topic] + own
