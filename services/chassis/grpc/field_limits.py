"""Limits of requests' fields, as the contract states them in the option `(chapar.common.v1.limits)`.

A message type is compiled once into checks by field; a request then costs one look at each field that is set, one pass
over each string that is not too long, and nothing for the rest of a field that is. Lengths are compared before contents
and before items, and a request of more than `MAX_PARTS` messages is refused, so the cost is bounded for every request.

Beyond the option: a number is finite, a Timestamp is a time of the years 1 to 9999, and a field that the contract does
not know is dropped, or a caller could have any amount of bytes stored unseen.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from chapar.common.v1 import limits_pb2
from services.chassis.errors import ChaparError, ErrorKind, FieldViolation
from services.chassis.reasons import Reason

MAX_PARTS: Final = 2000
"""Messages that one request may consist of."""
_MAX_VIOLATIONS: Final = 20
_NOT_IN_LINE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_NOT_IN_ID: Final = re.compile("[^\x21-\x7e]")
_TIMESTAMP: Final = "google.protobuf.Timestamp"
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799
_STRINGS: Final = frozenset({FieldDescriptor.CPPTYPE_STRING})
_FLOATS: Final = frozenset({FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT})


class _Findings:
    """The violations found in one request, and the number of its parts that were checked."""

    __slots__ = ("parts", "violations")

    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []
        self.parts = 0

    def add(self, path: str, description: str) -> None:
        self.violations.append(FieldViolation(path, description))

    @property
    def full(self) -> bool:
        return self.parts > MAX_PARTS or len(self.violations) >= _MAX_VIOLATIONS


_Check = Callable[[Any, str, _Findings], None]


class FieldLimits:
    """Checks requests. Keeps one compiled entry for each message type of the contracts."""

    def __init__(self) -> None:
        self._compiled: dict[str, dict[str, _Check]] = {}

    def check(self, request: Message) -> None:
        """Drop unknown fields. Raises INVALID INVALID_FIELD with a violation for each field that breaks its limits."""
        request.DiscardUnknownFields()
        found = _Findings()
        self._message(request, "", found)
        if found.parts > MAX_PARTS:
            found.add("", f"has more than {MAX_PARTS} parts")
        if found.violations:
            text = "; ".join(f"{each.field} {each.description}".strip() for each in found.violations[:5])
            raise ChaparError(ErrorKind.INVALID, Reason.INVALID_FIELD, text, violations=tuple(found.violations))

    def _message(self, message: Message, prefix: str, found: _Findings) -> None:
        found.parts += 1
        descriptor = message.DESCRIPTOR
        checks = self._compiled.get(descriptor.full_name)
        if checks is None:
            checks = self._compiled[descriptor.full_name] = self._compile(descriptor)
        for field, value in message.ListFields():
            if found.full:
                return
            check = checks.get(field.name)
            if check is not None:
                check(value, prefix + field.name, found)

    def _compile(self, descriptor: Any) -> dict[str, _Check]:
        if descriptor.full_name == _TIMESTAMP:
            return {"seconds": _range(_FIRST_S, _LAST_S), "nanos": _range(0, 999_999_999)}
        return {field.name: check for field in descriptor.fields if (check := self._of(field)) is not None}

    def _of(self, field: FieldDescriptor) -> _Check | None:
        limits = limits_of(field)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            values = field.message_type.fields_by_name["value"]
            keys = limits_pb2.FieldLimits(max_length=limits.max_key_length, kind=limits_pb2.TEXT_KIND_LINE)
            return _map(limits, _text(keys), self._single(values, limits))
        single = self._single(field, limits)
        return _repeated(limits, single) if is_repeated(field) else single

    def _single(self, field: FieldDescriptor, limits: limits_pb2.FieldLimits) -> _Check | None:
        if field.message_type is not None:
            return lambda value, path, found: self._message(value, f"{path}.", found)
        if field.cpp_type in _STRINGS:
            return _bytes(limits) if field.type == FieldDescriptor.TYPE_BYTES else _text(limits)
        if limits.HasField("least") or limits.HasField("most") or field.cpp_type in _FLOATS:
            least = limits.least if limits.HasField("least") else -math.inf
            return _range(least, limits.most if limits.HasField("most") else math.inf)
        return None


def limits_of(field: FieldDescriptor) -> limits_pb2.FieldLimits:
    """Return the limits of a field; empty ones when the contract states none."""
    return field.GetOptions().Extensions[limits_pb2.limits]


def is_repeated(field: FieldDescriptor) -> bool:
    """Return whether the field is a list or a map."""
    return bool(field.is_repeated)


def _text(limits: limits_pb2.FieldLimits) -> _Check:
    most, kind = limits.max_length, limits.kind

    def check(value: str, path: str, found: _Findings) -> None:
        if most and len(value) > most:
            found.add(path, f"has {len(value)} characters, at most {most} are allowed")
        elif kind == limits_pb2.TEXT_KIND_ID:
            if _NOT_IN_ID.search(value):
                found.add(path, "must consist of visible ASCII characters")
        elif kind == limits_pb2.TEXT_KIND_LINE:
            if _NOT_IN_LINE.search(value):
                found.add(path, "must be one line, without control characters and marks that reorder it")
        elif "\x00" in value:
            found.add(path, "holds a NUL character (U+0000): take it out")

    return check


def _bytes(limits: limits_pb2.FieldLimits) -> _Check:
    most = limits.max_length

    def check(value: bytes, path: str, found: _Findings) -> None:
        if most and len(value) > most:
            found.add(path, f"has {len(value)} bytes, at most {most} are allowed")

    return check


def _range(least: float, most: float) -> _Check:
    def check(value: float, path: str, found: _Findings) -> None:
        # Also false for "not a number".
        if not least <= value <= most or math.isinf(value):
            found.add(path, f"must be a number from {least:.15g} to {most:.15g}")

    return check


def _repeated(limits: limits_pb2.FieldLimits, single: _Check | None) -> _Check:
    most = limits.max_items

    def check(values: Iterable[Any], path: str, found: _Findings) -> None:
        count = len(values)  # type: ignore[arg-type]  # a container of protobuf's own
        if most and count > most:
            found.add(path, f"has {count} items, at most {most} are allowed")
        elif single is not None:
            for index, value in enumerate(values):
                if found.full:
                    return
                single(value, f"{path}[{index}]", found)

    return check


def _map(limits: limits_pb2.FieldLimits, key_check: _Check, single: _Check | None) -> _Check:
    most = limits.max_items

    def check(values: Mapping[Any, Any], path: str, found: _Findings) -> None:
        if most and len(values) > most:
            found.add(path, f"has {len(values)} items, at most {most} are allowed")
            return
        # Entries are numbered, not named: a key may be what is wrong, or a customer's own words.
        for index, key in enumerate(values):
            if found.full:
                return
            if isinstance(key, str):
                key_check(key, f"{path}[{index}].key", found)
            if single is not None:
                single(values[key], f"{path}[{index}].value", found)

    return check
