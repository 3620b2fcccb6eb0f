"""Finds the personal fields of a message by the option `(chapar.common.v1.personal)`, and moves them out and back.

The plan of a type is made once. Elements of repeated messages keep their index: the plain list and the personal list have the same length.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from chapar.common.v1 import options_pb2

SEALED: Final = "sealed"
"""Name of the field that contains the personal part, in every record that has one."""


def is_personal(field: FieldDescriptor) -> bool:
    """Return whether the field is marked."""
    return bool(field.GetOptions().Extensions[options_pb2.personal])


@dataclass(frozen=True, slots=True)
class Plan:
    """The personal parts of one message type."""

    values: tuple[str, ...]
    """Single values without presence."""
    lists: tuple[str, ...]
    """Repeated values and maps."""
    choices: tuple[tuple[str, frozenset[str]], ...]
    """Oneofs of messages, and their members with personal fields inside."""
    inner: tuple[str, ...]
    """Single messages with personal fields inside."""
    inner_lists: tuple[str, ...]
    """Repeated messages with personal fields inside."""
    mergeable: bool
    """Whether protobuf's own merge joins the parts: not where lists of messages must be joined by index."""


def move_out(source: Message, part: Message) -> None:
    """Move the personal fields from `source` into `part`, an empty message of the same type."""
    _move(_plan_of(source.DESCRIPTOR), source, part)


def move_back(part: Message, target: Message) -> None:
    """Put back the fields that `move_out` took."""
    plan = _plan_of(part.DESCRIPTOR)
    if plan.mergeable:
        target.MergeFrom(part)
    else:
        _join(plan, part, target)


@cache
def has_personal(descriptor: Descriptor) -> bool:
    """Return whether the type has a personal field, at any depth."""
    seen: set[str] = set()
    line = [descriptor]
    while line:
        each = line.pop()
        if each.full_name in seen:
            continue
        seen.add(each.full_name)
        for field in each.fields:
            if is_personal(field):
                return True
            if field.message_type is not None:
                line.append(field.message_type)
    return False


@cache
def _plan_of(descriptor: Descriptor) -> Plan:
    values: list[str] = []
    lists: list[str] = []
    inner: list[str] = []
    inner_lists: list[str] = []
    choices: dict[str, set[str]] = {}
    for field in descriptor.fields:
        message = field.message_type
        if is_personal(field):
            if field.is_repeated:
                lists.append(field.name)
            elif field.has_presence:
                raise TypeError(f"{field.full_name}: mark the fields inside, not a message or an optional value")
            else:
                values.append(field.name)
        elif message is not None and has_personal(message):
            if message.GetOptions().map_entry:
                raise TypeError(f"{field.full_name}: a map of messages with personal fields cannot be sealed")
            if field.is_repeated:
                inner_lists.append(field.name)
            elif field.containing_oneof is not None and len(field.containing_oneof.fields) > 1:
                choices.setdefault(field.containing_oneof.name, set()).add(field.name)
            else:
                inner.append(field.name)
    below = [*inner, *(name for names in choices.values() for name in names)]
    mergeable = not inner_lists and all(
        _plan_of(descriptor.fields_by_name[name].message_type).mergeable for name in below
    )
    return Plan(
        tuple(values),
        tuple(lists),
        tuple((name, frozenset(members)) for name, members in choices.items()),
        tuple(inner),
        tuple(inner_lists),
        mergeable,
    )


def _move(plan: Plan, source: Any, part: Any) -> None:
    for name in plan.values:
        value = getattr(source, name)
        if value:
            setattr(part, name, value)
            source.ClearField(name)
    for name in plan.lists:
        values = getattr(source, name)
        if values:
            getattr(part, name).MergeFrom(values)
            source.ClearField(name)
    for choice, members in plan.choices:
        chosen = source.WhichOneof(choice)
        if chosen in members:
            below = getattr(source, chosen)
            _move(_plan_of(below.DESCRIPTOR), below, getattr(part, chosen))
    for name in plan.inner:
        if source.HasField(name):
            below = getattr(source, name)
            _move(_plan_of(below.DESCRIPTOR), below, getattr(part, name))
    for name in plan.inner_lists:
        elements = getattr(part, name)
        for element in getattr(source, name):
            _move(_plan_of(element.DESCRIPTOR), element, elements.add())


def _join(plan: Plan, part: Any, target: Any) -> None:
    for name in plan.values:
        value = getattr(part, name)
        if value:
            setattr(target, name, value)
    for name in plan.lists:
        values = getattr(part, name)
        if values:
            getattr(target, name).MergeFrom(values)
    below = [*plan.inner, *(name for _, members in plan.choices for name in members)]
    for name in below:
        if part.HasField(name):
            move_back(getattr(part, name), getattr(target, name))
    for name in plan.inner_lists:
        # If a list was shortened on its way, elements are missing; no element gets the words of another.
        for taken, element in zip(getattr(part, name), getattr(target, name), strict=False):
            move_back(taken, element)
