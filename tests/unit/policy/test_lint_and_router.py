"""Lint asks the reader and the engine of the router: an error is reported to its author, never as a dead letter."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from chapar.config.v1 import config_pb2
from services.cli.config.files import Document
from services.cli.config.lint import lint
from services.policy.model.validity import is_valid
from services.policy.reading.routing import to_pool

_YEAR_MS = 366 * 86_400_000
_NASTY: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.CPPTYPE_INT64: (-1, 0, _YEAR_MS, _YEAR_MS + 1),
    FieldDescriptor.CPPTYPE_INT32: (-1, 11, 2**31 - 1),
    FieldDescriptor.CPPTYPE_DOUBLE: (float("nan"), float("inf"), -1.0, 0.0, 2.0, 1e300),
    FieldDescriptor.CPPTYPE_STRING: ("",),
    FieldDescriptor.CPPTYPE_BOOL: (True, False),
}
_SELECTOR = {"attribute": "x", "number": 5, "weight": 1, "expiresAfterMs": 90, "steps": [{"afterMs": 5, "number": 4}]}
_ASKED = [
    _SELECTOR,
    {"anyOf": [{"allOf": [_SELECTOR]}], "weight": 1},
    {"attribute": "x", "operator": 7, "texts": ["y"]},
]
EVERYTHING: dict[str, Any] = {
    "tenant": "t",
    "pools": [{"name": "default", "sessionLeaseMs": 1, "assignmentGraceMs": 1}],
    "skills": [{"name": "x"}],
    "queues": [
        {
            "name": "q", "pool": "default", "priority": 1, "requirements": _ASKED, "choice": 1, "offerTimeoutMs": 1,
            "wrapUpMs": 1, "stickyMs": 1, "ageingPerMinute": 1, "serviceLevelMs": 1, "order": 2, "serviceLevelGoal": 0.5,
            "delayMs": 1, "maxOffers": 2, "keepFree": 1, "stickyTeamMs": 1, "transferHoldMs": 1,
            "rings": [
                {"afterMs": 5, "drop": ["x"], "lower": {"x": 3}, "queues": ["r"]},
                {"afterMs": 6, "lower": {"x": 2}},
            ],
            "overflow": [
                {"name": "a", "when": 1, "threshold": 3, "queue": "r", "setPriority": 1, "addPriority": 1, "requirements": [_SELECTOR]},
                {"name": "b", "when": 2, "thresholdMs": 5, "replaceRequirements": True},
                {"name": "c", "when": 3, "thresholdMs": 5, "cancel": True},
                {"name": "d", "when": 4, "threshold": 0.5, "addPriority": 1},
            ],
        },
        {"name": "r", "pool": "default"},
    ],
    "agents": [{"agentId": "a", "pool": "default", "skills": {"x": 5}, "queues": ["q"], "team": "red"}],
    "capacityProfiles": [
        {
            "name": "p", "total": 10, "defaultWeight": 1, "occupancyLimit": 0.5, "occupancyWindowMs": 1,
            "channels": [{"channel": "voice", "weight": 1, "maximum": 1, "exclusive": True, "interrupts": ["email"]}],
        }
    ],
    "slaPolicies": [{"name": "s", "targets": [{"kind": 1, "desiredMs": 10, "adequateMs": 2 * _YEAR_MS}]}],
}  # fmt: skip


def a_configuration() -> config_pb2.TenantConfiguration:
    """Return a configuration with every field that the router reads, all valid."""
    return ParseDict(EVERYTHING, config_pb2.TenantConfiguration())


def spoilt(message: Message) -> Iterator[str]:
    """Set each value in a message, one after the other, to each bad value of its type; then restore it."""
    descriptor: Any
    for descriptor in message.DESCRIPTOR.fields:
        value = getattr(message, descriptor.name)
        inside = descriptor.message_type is not None
        if inside and descriptor.message_type.GetOptions().map_entry:
            nasty = _NASTY[descriptor.message_type.fields_by_name["value"].cpp_type]
            for key, kept in list(value.items()):
                for bad in nasty:
                    value[key] = bad
                    yield f"{descriptor.full_name}[{key}] = {bad}"
                value[key] = kept
        elif inside:
            for part in value if descriptor.is_repeated else ():
                yield from spoilt(part)
        elif descriptor.is_repeated:
            for index, kept in enumerate(list(value)):
                for bad in _NASTY[descriptor.cpp_type]:
                    value[index] = bad
                    yield f"{descriptor.full_name}[{index}] = {bad}"
                value[index] = kept
        elif descriptor.enum_type is not None:
            for known in descriptor.enum_type.values:
                setattr(message, descriptor.name, known.number)
                yield f"{descriptor.full_name} = {known.name}"
            setattr(message, descriptor.name, value)
        else:
            there = message.HasField(descriptor.name) if descriptor.has_presence else True
            for bad in _NASTY[descriptor.cpp_type]:
                setattr(message, descriptor.name, bad)
                yield f"{descriptor.full_name} = {bad}"
            setattr(message, descriptor.name, value)
            if not there:
                message.ClearField(descriptor.name)


def test_the_router_accepts_what_lint_accepts() -> None:
    """For each value of a complete configuration and each bad value: lint reports an error, or translation and engine accept it."""
    configuration = a_configuration()
    tried = refused = 0
    for what in spoilt(configuration):
        tried += 1
        document = Document("t.yaml", configuration)
        lint(document)
        if any(finding.severity == "error" for finding in document.findings):
            refused += 1
            continue
        try:
            taken = is_valid(to_pool(configuration, "default"))
        except ValueError as error:
            raise AssertionError(f"{what}: {error}") from error
        assert taken, what
    assert configuration == a_configuration(), "a value was not restored"
    assert 100 < refused < tried - 100, "nothing was tried"


def test_the_complete_configuration_is_valid() -> None:
    """Otherwise the test above would check nothing."""
    document = Document("t.yaml", a_configuration())
    lint(document)
    assert [str(finding) for finding in document.findings if finding.severity == "error"] == []
    assert is_valid(to_pool(document.configuration, "default"))


def test_what_only_the_reader_of_the_router_refuses_is_an_error_of_lint() -> None:
    """An operator of a newer contract: no check of lint knows it. The finding is at the queue; a part with another error has no second one."""
    configuration = a_configuration()
    selector: Any = configuration.queues[0].requirements[0]
    selector.operator = 99
    document = Document("t.yaml", configuration)
    lint(document)
    found = [finding for finding in document.findings if finding.severity == "error"]
    assert [(finding.code, finding.message) for finding in found] == [
        ("ROUTING", "requirement x: operator 99 is not known")
    ]
    selector.operator = 0
    selector.weight = -1
    document = Document("t.yaml", configuration)
    lint(document)
    assert [finding.code for finding in document.findings if finding.severity == "error"] == ["OUT_OF_RANGE"]
