"""How to damage a history: changes of one record, or of one thing that clients saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from tests.chaos.history.model import Arrival, ConfirmedCommand, Evidence, LogRecord
from tests.chaos.history.topics import SCHEMAS

T = TypeVar("T")
Choose = Callable[[Sequence[Any]], Any]
"""Chooses one of several things."""
Apply = Callable[[Evidence, Choose], Evidence]
"""Damages a history at a chosen place."""
Predicate = Callable[[Any], bool]


def decoded(record: LogRecord) -> Any:
    """Return the message of a record."""
    return SCHEMAS[record.topic].FromString(record.value)


def some(evidence: Evidence, choose: Choose, topic: str, wanted: Predicate) -> LogRecord:
    found = [record for record in evidence.records if record.topic == topic and wanted(decoded(record))]
    assert found, f"the history has no such record of {topic}"
    chosen: LogRecord = choose(found)
    return chosen


def dropped(topic: str, wanted: Predicate) -> Apply:
    """Return a damage that loses a record."""

    def apply(evidence: Evidence, choose: Choose) -> Evidence:
        lost = some(evidence, choose, topic, wanted)
        return replace(evidence, records=tuple(record for record in evidence.records if record is not lost))

    return apply


def doubled(topic: str, wanted: Predicate, change: Callable[[Any], object] = lambda message: None) -> Any:
    """Return a damage that writes a record again at the end of its partition, perhaps changed."""

    def apply(evidence: Evidence, choose: Choose) -> Evidence:
        original = some(evidence, choose, topic, wanted)
        message = decoded(original)
        change(message)
        same = [record.offset for record in evidence.records if record.place[:2] == original.place[:2]]
        again = original._replace(offset=max(same) + 1, value=message.SerializeToString())
        return replace(evidence, records=(*evidence.records, again))

    return apply


def changed(topic: str, wanted: Predicate, change: Callable[[Any], object]) -> Apply:
    """Return a damage that changes a record in its place."""

    def apply(evidence: Evidence, choose: Choose) -> Evidence:
        original = some(evidence, choose, topic, wanted)
        message = decoded(original)
        change(message)
        new = original._replace(value=message.SerializeToString())
        return replace(evidence, records=tuple(new if record is original else record for record in evidence.records))

    return apply


def swapped(topic: str, wanted: Predicate, line: Callable[[Any], str]) -> Apply:
    """Return a damage that exchanges two records of one line."""

    def apply(evidence: Evidence, choose: Choose) -> Evidence:
        found = [record for record in evidence.records if record.topic == topic and wanted(decoded(record))]
        pairs = [
            (one, other) for one in found for other in found if line(decoded(one)) == line(decoded(other)) and one.offset < other.offset
        ]  # fmt: skip
        one, other = choose(pairs)
        swapped = {one: one._replace(value=other.value), other: other._replace(value=one.value)}
        return replace(evidence, records=tuple(swapped.get(record, record) for record in evidence.records))

    return apply


def header(topic: str, name: str, value: bytes) -> Apply:
    """Return a damage that changes a header of a record that is not the first of its partition."""

    def apply(evidence: Evidence, choose: Choose) -> Evidence:
        original = choose([record for record in evidence.records if record.topic == topic and record.offset])
        headers = tuple((key, value if key == name else old) for key, old in original.headers)
        new = original._replace(headers=headers)
        return replace(evidence, records=tuple(new if record is original else record for record in evidence.records))

    return apply


def seen(**change: Callable[[tuple[Any, ...], Choose], tuple[Any, ...]]) -> Apply:
    """Return a damage to what clients saw."""

    def apply(evidence: Evidence, choose: Choose) -> Evidence:
        new = {name: alter(getattr(evidence.clients, name), choose) for name, alter in change.items()}
        return replace(evidence, clients=replace(evidence.clients, **new))

    return apply


def live(**change: Any) -> Apply:
    def apply(evidence: Evidence, choose: Choose) -> Evidence:
        chosen = choose(evidence.live)
        live = tuple(replace(state, **change) if state is chosen else state for state in evidence.live)
        return replace(evidence, live=live)

    return apply


def hang(evidence: Evidence, choose: Choose) -> Evidence:
    """Return the history with a partition that cannot be read to its end."""
    return replace(evidence, hanging=(choose(evidence.records).place,))


def event(kind: str) -> Predicate:
    return lambda message: message.WhichOneof("event") == kind


def record(kind: str) -> Predicate:
    return lambda message: message.WhichOneof("record") == kind


def by(author: int) -> Predicate:
    return lambda message: message.WhichOneof("record") == "message" and message.message.author_kind == author


def sla(kind: int) -> Predicate:
    return lambda message: message.kind == kind


def passed(message: Any) -> bool:
    """Return whether a level passed."""
    return message.kind in (sla_pb2.SLA_EVENT_KIND_DESIRED_PASSED, sla_pb2.SLA_EVENT_KIND_BREACHED)


def add(name: str, by: int) -> Callable[[Any], object]:
    """Return a change that adds to a field, named with dots."""

    def change(message: Any) -> None:
        *path, last = name.split(".")
        for part in path:
            message = getattr(message, part)
        setattr(message, last, getattr(message, last) + by)

    return change


def assign(name: str, value: Any) -> Callable[[Any], object]:
    def change(message: Any) -> None:
        *path, last = name.split(".")
        for part in path:
            message = getattr(message, part)
        setattr(message, last, value)

    return change


def to_breach(message: Any) -> None:
    message.kind, message.level = sla_pb2.SLA_EVENT_KIND_BREACHED, sla_pb2.SLA_LEVEL_ADEQUATE
    message.occurred_at_ms = message.adequate_at_ms


def to_expired(message: Any) -> None:
    message.offer_ended.end = router_pb2.OFFER_END_EXPIRED


def smaller(message: Any) -> None:
    message.capacity_profiles[0].total = 10


def exclusive(message: Any) -> None:
    message.capacity_profiles[0].channels[0].maximum = 0
    message.capacity_profiles[0].channels[0].weight = 101


def without(items: tuple[Any, ...], choose: Choose) -> tuple[Any, ...]:
    lost = choose(items)
    return tuple(item for item in items if item is not lost)


def twice(items: tuple[Any, ...], choose: Choose) -> tuple[Any, ...]:
    return (*items, choose(items))


def foreign(items: tuple[Any, ...], choose: Choose) -> tuple[Any, ...]:
    moved = choose(items)
    return tuple(replace(item, tenant="rival") if item is moved else item for item in items)


def from_nowhere(items: tuple[Any, ...], choose: Choose) -> tuple[Any, ...]:
    return (*items, Arrival("shop", "webchat", "customer-1", "#rx-999", 1_800_000_000_000))


def phantom(kind: str) -> Callable[[tuple[Any, ...], Choose], tuple[Any, ...]]:
    return lambda items, choose: (*items, ConfirmedCommand(kind, "sara", "nothing.1", 1_800_000_000_000))
