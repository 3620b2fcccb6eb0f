"""Every string, list, map and bytes field that a caller can send has a limit in the contract."""

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import ingest_pb2
from chapar.router.v1 import router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.grpc.field_limits import is_repeated, limits_of

CONTRACTS = (ingest_pb2, router_pb2, sla_pb2, feedback_pb2)
MOST_CHARACTERS = 200_000
MOST_BYTES = 16 << 20
"""Of a file. A request that is too large is refused before this limit is looked at (`grpc_max_request_bytes`)."""
MOST_OF_A_NAME = 2_000
TEXTS = frozenset({"text", "comment", "note", "words"})
"""Fields for text that people write. All other fields are names, ids and keys."""


def requests() -> dict[str, Descriptor]:
    """Return every message type that is part of an RPC's request."""
    found: dict[str, Descriptor] = {}

    def walk(descriptor: Descriptor) -> None:
        if descriptor.full_name in found or descriptor.full_name.startswith("google.protobuf."):
            return
        found[descriptor.full_name] = descriptor
        for field in descriptor.fields:
            if field.message_type is not None and not field.message_type.GetOptions().map_entry:
                walk(field.message_type)

    for module in CONTRACTS:
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                walk(method.input_type)
    return found


def fields() -> Iterator[FieldDescriptor]:
    for descriptor in requests().values():
        yield from descriptor.fields


def lacking(field: FieldDescriptor) -> list[str]:
    """Return the limits that a field should have and lacks."""
    limits = limits_of(field)
    missing = ["max_items"] if is_repeated(field) and not limits.max_items else []
    values = field
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, values = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        if key.cpp_type == FieldDescriptor.CPPTYPE_STRING and not limits.max_key_length:
            missing.append("max_key_length")
    if values.cpp_type == FieldDescriptor.CPPTYPE_STRING and not limits.max_length:
        missing.append("max_length")
    return missing


@pytest.mark.parametrize("field", list(fields()), ids=lambda field: field.full_name)
def test_a_field_of_a_request_has_its_limits(field: FieldDescriptor) -> None:
    """A field without limits accepts megabytes, which every replica then stores, copies and compares."""
    assert lacking(field) == []
    if field.type == FieldDescriptor.TYPE_BYTES:
        assert limits_of(field).max_length <= MOST_BYTES
        return
    assert limits_of(field).max_length <= MOST_CHARACTERS
    if field.name not in TEXTS:
        assert limits_of(field).max_length <= MOST_OF_A_NAME


def test_the_walk_reaches_nested_and_repeated_messages() -> None:
    """A walk that skipped them would prove nothing."""
    found = requests()
    assert {"chapar.common.v1.Selector", "chapar.config.v1.AgentProfile", "chapar.router.v1.Transfer"} <= found.keys()
    assert len(found) > 60


def test_a_field_without_limits_is_found() -> None:
    """The check itself can fail: responses have strings, lists and maps, and no limits."""
    response = ingest_pb2.DESCRIPTOR.message_types_by_name
    assert lacking(response["SubmitResponse"].fields_by_name["message_id"]) == ["max_length"]
    assert lacking(response["StoryEntry"].fields_by_name["details"]) == ["max_items", "max_key_length", "max_length"]
    assert lacking(response["ConversationView"].fields_by_name["interaction_ids"]) == ["max_items", "max_length"]
