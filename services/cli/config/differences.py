"""Compares two configurations of a tenant part by part. Pure.

Parts of a list are paired by what names them (a queue's name, an agent's id), so that a part that was moved is not shown as removed and added.
Values are written as a file would write them: `20s`, `pick_up`. An empty value means the default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from chapar.config.v1 import config_pb2

SET_BY_APPLY: Final = frozenset({"version", "content_hash"})
TENANT: Final = "tenant"
"""The section of settings that are in no list."""
_NAMES: Final = (("name",), ("agent_id",), ("id",), ("kind",), ("channel", "account"), ("channel",), ("date",))
"""The fields that name a part of a list; the first ones that a message has count."""
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms"))
_NOT_DECIDING: Final = frozenset(
    {"agents", "skills", "capacity_profiles", "channels", "calendars", "templates", "webhooks"}
)
"""Sections whose order means nothing."""


class DifferenceKind(StrEnum):
    """What happened to a part."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    REORDERED = "reordered"


@dataclass(frozen=True, slots=True)
class Difference:
    """One part that differs. `field` is empty for a whole part; `before` and `after` are empty for a default."""

    kind: DifferenceKind
    section: str
    """A list of the configuration such as "queues", or "tenant"."""
    name: str
    """The part's name in its section; empty for the section itself."""
    field: str = ""
    """The path of a setting in the part, such as `targets[pick_up].adequate`."""
    before: str = ""
    after: str = ""

    def data(self) -> dict[str, str]:
        """Return the difference for JSON."""
        return {name: str(value) for name, value in asdict(self).items()}


def differences(
    before: config_pb2.TenantConfiguration, after: config_pb2.TenantConfiguration
) -> tuple[Difference, ...]:
    """Return what differs, in the order of the contract. The fields that `chapar config apply` sets are left out."""
    return tuple(_all(before, after))


def summary(found: Sequence[Difference]) -> str:
    """Return the number of parts that differ in each section, on one line."""
    parts: dict[str, dict[DifferenceKind, set[str]]] = {}
    for each in found:
        parts.setdefault(each.section, {}).setdefault(each.kind, set()).add(each.name or each.field)
    texts = (
        f"{section}: " + ", ".join(_count(kind, len(names)) for kind, names in kinds.items())
        for section, kinds in parts.items()
    )
    return "; ".join(texts) or "nothing changed"


def _count(kind: DifferenceKind, count: int) -> str:
    return str(kind) if kind is DifferenceKind.REORDERED else f"{count} {kind}"


def _all(before: Any, after: Any) -> Iterator[Difference]:
    for field in before.DESCRIPTOR.fields:
        if field.name in SET_BY_APPLY:
            continue
        old, new = _named(field, before), _named(field, after)
        if field.message_type is None or old is None or new is None:
            for path, was, becomes in _field(field, before, after, ""):
                yield Difference(DifferenceKind.CHANGED, TENANT, "", path, was, becomes)
        else:
            yield from _section(field.name, old, new)


def _section(section: str, old: dict[str, Message], new: dict[str, Message]) -> Iterator[Difference]:
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield Difference(DifferenceKind.REMOVED, section, name, before=_text(old[name]))
        elif name not in old:
            yield Difference(DifferenceKind.ADDED, section, name, after=_text(new[name]))
        else:
            for path, was, becomes in _message(old[name], new[name], ""):
                yield Difference(DifferenceKind.CHANGED, section, name, path, was, becomes)
    kept = [name for name in old if name in new], [name for name in new if name in old]
    if section not in _NOT_DECIDING and kept[0] != kept[1]:
        yield Difference(DifferenceKind.REORDERED, section, "", before=", ".join(kept[0]), after=", ".join(kept[1]))


def _message(before: Any, after: Any, path: str) -> Iterator[tuple[str, str, str]]:
    for field in before.DESCRIPTOR.fields:
        yield from _field(field, before, after, path)


def _field(field: FieldDescriptor, before: Any, after: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield path, text before and text after of each setting below a field that differs."""
    old, new = getattr(before, field.name), getattr(after, field.name)
    here = f"{path}.{spelled(field)}" if path else spelled(field)
    if _is_map(field):
        yield from _map(field, old, new, here)
    elif field.is_repeated:
        yield from _list(field, before, after, here)
    elif field.message_type is not None and before.HasField(field.name) and after.HasField(field.name):
        yield from _message(old, new, here)
    else:
        was, becomes = _set_text(field, before), _set_text(field, after)
        if was != becomes:
            yield here, was, becomes


def _map(field: FieldDescriptor, old: Any, new: Any, here: str) -> Iterator[tuple[str, str, str]]:
    assert field.message_type is not None
    value = field.message_type.fields_by_name["value"]
    for key in sorted({*old, *new}):
        was = _value(value, old[key]) if key in old else ""
        becomes = _value(value, new[key]) if key in new else ""
        if was != becomes:
            yield f"{here}[{key}]", was, becomes


def _list(field: FieldDescriptor, before: Any, after: Any, here: str) -> Iterator[tuple[str, str, str]]:
    old, new = _named(field, before), _named(field, after)
    if old is None or new is None:
        texts = [_values(field, getattr(each, field.name)) for each in (before, after)]
        if texts[0] != texts[1]:
            yield here, texts[0], texts[1]
        return
    for name in [*old, *(name for name in new if name not in old)]:
        if name in old and name in new:
            yield from _message(old[name], new[name], f"{here}[{name}]")
        else:
            was, becomes = (_text(each[name]) if name in each else "" for each in (old, new))
            yield f"{here}[{name}]", was, becomes
    kept = [name for name in old if name in new], [name for name in new if name in old]
    if kept[0] != kept[1]:
        yield f"{here} (order)", ", ".join(kept[0]), ", ".join(kept[1])


def _named(field: FieldDescriptor, owner: Any) -> dict[str, Message] | None:
    """Return the parts of a list by their names; None for a field that is not a list of messages with names of their own."""
    if not field.is_repeated or field.message_type is None or _is_map(field):
        return None
    fields: Any = field.message_type.fields_by_name
    chosen = next((names for names in _NAMES if all(name in fields for name in names)), None)
    if chosen is None:
        return None
    parts = getattr(owner, field.name)
    named = {"/".join(_value(fields[name], getattr(part, name)) for name in chosen): part for part in parts}
    return named if len(named) == len(parts) and all(name.strip("/") for name in named) else None


def spelled(field: FieldDescriptor) -> str:
    """Return a field's name as files write it: without the suffix of milliseconds."""
    return field.name.removesuffix("_ms")


def _set_text(field: FieldDescriptor, owner: Any) -> str:
    """Return the text of a field; empty when it is not set, or has the value that means the default."""
    if field.has_presence and not owner.HasField(field.name):
        return ""
    value = getattr(owner, field.name)
    return "" if not field.has_presence and value == field.default_value else _value(field, value)


def _value(field: FieldDescriptor, value: Any) -> str:
    if field.message_type is not None:
        return _text(value)
    if field.enum_type is not None:
        return _enum(field.enum_type, value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int) and field.name.endswith("_ms"):
        return time_text(value)
    return str(value)


def _values(field: FieldDescriptor, values: Any) -> str:
    return f"[{', '.join(_value(field, each) for each in values)}]" if values else ""


def _text(message: Message) -> str:
    """Return a whole part on one line, in the form of a file."""
    parts = []
    for field, value in message.ListFields():
        if _is_map(field):
            assert field.message_type is not None
            inner: Any = field.message_type.fields_by_name["value"]
            shown = "{" + ", ".join(f"{key}: {_value(inner, value[key])}" for key in sorted(value)) + "}"
        else:
            shown = _values(field, value) if field.is_repeated else _value(field, value)
        parts.append(f"{spelled(field)}: {shown}")
    return "{" + ", ".join(parts) + "}"


def _enum(descriptor: EnumDescriptor, number: int) -> str:
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", descriptor.name).upper() + "_"
    known = descriptor.values_by_number.get(number)
    return str(number) if known is None else known.name.removeprefix(prefix).lower()


def time_text(ms: int) -> str:
    """Write a time as files do: `1h30m`, `250ms`, `0s`."""
    if ms < 0:
        return f"{ms}ms"
    parts = []
    for size, unit in _UNITS:
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
