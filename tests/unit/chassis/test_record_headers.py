"""The headers of records: one spelling, from the table of topics."""

import pytest
from google.protobuf import descriptor_pool

from services.chassis.kafka.deadletters import dead_letter_headers
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.records import Record
from services.chassis.topics import TOPICS
from services.chassis.tracing import extract, inject
from tests.unit.chassis.privacy import test_fields

RECORDS = test_fields.RECORDS
PARENT = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)


def test_a_record_names_its_type_its_event_and_its_tenant() -> None:
    """The order is fixed, and a record that belongs to no tenant has no tenant header."""
    assert record_headers("routing.events.v1", "event-1", "acme") == (
        ("content-type", b"application/protobuf"),
        ("schema", b"chapar.router.v1.RoutingEvent"),
        ("event-id", b"event-1"),
        ("tenant", b"acme"),
    )
    assert "tenant" not in dict(record_headers("routing.journal.v1", "event-1", ""))


def test_a_record_without_an_id_is_refused() -> None:
    """Readers recognise a repetition by the id."""
    with pytest.raises(ValueError, match="event id"):
        record_headers("routing.events.v1", "", "acme")


@pytest.mark.parametrize("topic", ["router.state.v1", "routing.event.v1"])
def test_a_changelog_and_an_unknown_topic_have_no_headers(topic: str) -> None:
    """The value of a changelog's record has its own version."""
    with pytest.raises(KeyError):
        record_headers(topic, "event-1", "acme")


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS.values() if topic.schema])
def test_the_table_names_a_message_of_the_contracts(topic: str) -> None:
    """The message that the privacy tests know for a topic is the message in the table."""
    schema = TOPICS[topic].schema
    assert descriptor_pool.Default().FindMessageTypeByName(schema).full_name == schema
    assert RECORDS[topic].DESCRIPTOR.full_name == schema


def test_only_changelogs_have_no_schema() -> None:
    """A topic without a schema is a changelog."""
    assert all(name.endswith(".state.v1") for name, topic in TOPICS.items() if not topic.schema)


def test_a_dead_letter_has_the_place_and_the_tenant_of_its_record() -> None:
    """So an operator finds all dead letters of one tenant without reading their values."""
    record = Record("inbound.v1", 2, 40, 0, b"k", b"v", record_headers("inbound.v1", "event-1", "acme"))
    named = dict(dead_letter_headers(record))
    assert (named["event-id"], named["tenant"]) == (b"inbound.v1/2/40", b"acme")
    assert named["schema"] == b"chapar.common.v1.DeadLetter"
    assert "tenant" not in dict(dead_letter_headers(record._replace(headers=())))


def test_trace_context_is_added_to_the_headers() -> None:
    """The context of the call is in the record that the call writes."""
    headers = record_headers("inbound.v1", "event-1", "acme")
    assert dict(inject(headers, extract(PARENT))) == dict(headers) | dict(PARENT)
