"""Reads tenant configuration: from YAML that people write to the contract's message, with the line of every error.

Besides the contract's own field names, the files may use these forms:
- a field that ends in `_ms` may be written without the suffix and with units: `offer_timeout: 20s`, `1h30m`, `250ms`. If the contract has
  a field with the suffix and one without, text sets the time and a number sets the other: `threshold: 60s`, `threshold: 10`;
- an enum value may be written short and in lower case: `kind: pick_up` for TARGET_KIND_PICK_UP;
- a value of a channel's settings may be a reference (`env:…`); it is resolved where it is used, never here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from services.chassis.destinations import PUBLIC, Destinations
from services.cli.config.account_schema import with_declarations

LARGEST_FILE = 4_000_000
MOST_ENTRIES = 200_000
DEEPEST = 16
"""The most steps in a path. Real configurations need twelve; an alias that contains itself never ends."""
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """An error or a warning: the problem, its place, and how to fix it. `severity` is "error" or "warning"."""

    file: str
    line: int
    code: str
    message: str
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity}: {self.message} [{self.code}]"


@dataclass(slots=True)
class Document:
    """One tenant's file: its message, and the line of each part."""

    file: str
    configuration: config_pb2.TenantConfiguration
    lines: dict[Path_, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    rules: Destinations = PUBLIC
    """The destinations that services may send to."""

    def line(self, *path: str | int) -> int:
        """Return the line of a part; if the file does not contain it, the line of the nearest enclosing part."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def find(self, code: str, message: str, *path: str | int, severity: str = "error") -> None:
        """Add a finding about a part."""
        self.findings.append(Finding(self.file, self.line(*path), code, message, severity))


def parse_duration_ms(text: str) -> int:
    """Convert "1h30m", "20s" or "250ms" to milliseconds. Raises ValueError for other text."""
    compact = text.replace(" ", "")
    parts = list(_DURATION_PART.finditer(compact))
    if not parts or "".join(part.group(0) for part in parts) != compact:
        raise ValueError(text)
    return round(sum(float(part.group(1)) * _UNIT_MS[part.group(2)] for part in parts))


def load(path: Path) -> Document:
    """Read one file. Errors are added to the document's findings. Raises only OSError, for a file that cannot be read."""
    document = Document(str(path), config_pb2.TenantConfiguration())
    if path.stat().st_size > LARGEST_FILE:
        document.find("TOO_LARGE", f"the file is larger than {LARGEST_FILE:,} bytes; split it by tenant")
        return document
    yaml = YAML(typ="rt")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        document.findings.append(Finding(str(path), line, "NOT_YAML", str(error.problem or "not valid YAML")))
        return document
    except RecursionError:
        document.find("TOO_DEEP", "the file is nested too deeply")
        return document
    except (YAMLError, ValueError, TypeError) as error:
        # Not UTF-8; an invalid date; a number of thousands of digits; a key that holds a mapping.
        document.findings.append(Finding(str(path), 1, "NOT_YAML", f"not valid UTF-8 YAML: {error}"))
        return document
    if not isinstance(content, CommentedMap):
        document.find("NOT_A_MAPPING", "the file must be a mapping that begins with `tenant:`")
        return document
    try:
        _Reader(document).message(content, document.configuration, ())
    except _Expanded:
        document.find(
            "TOO_LARGE",
            f"aliases expand this file to more than {MOST_ENTRIES:,} entries: write the needed entries without aliases",
        )
    return document


class _Expanded(Exception):  # noqa: N818 - names the state that aliases cause
    """Raised when aliases of aliases, written in a few lines, expand to more entries than a file could hold."""


class _Reader:
    """Fills messages from YAML nodes by the contract's descriptors."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = MOST_ENTRIES

    def message(self, node: Mapping[Any, Any], target: Message, path: Path_) -> None:
        self._count(len(node))
        owner: Any = target.DESCRIPTOR
        fields = owner.fields_by_name
        self._mark(node, path)
        if len(path) > DEEPEST:
            self._document.find("TOO_DEEP", "this is nested too deeply; requirements have at most three levels", *path)
            return
        for key, value in node.items():
            here = (*path, str(key))
            self._mark_key(node, key, here)
            name = str(key)
            timed = f"{name}_ms" in fields and (name not in fields or isinstance(value, str))
            descriptor: Any = fields.get(f"{name}_ms" if timed else name)  # the stubs disagree on the C++ class
            if descriptor is None or name in _SET_BY_APPLY:
                self._unknown(name, owner, here)
            elif value is not None:
                # Findings use the contract's field names, whichever form the file uses.
                self._document.lines[*path, descriptor.name] = self._document.lines[here]
                self._field(target, descriptor, value, here, timed=timed)

    def _field(self, target: Message, descriptor: FieldDescriptor, value: Any, path: Path_, *, timed: bool) -> None:
        if _is_map(descriptor):
            self._map(target, descriptor, value, path)
        elif descriptor.is_repeated:
            if not isinstance(value, CommentedSeq):
                self._wrong("a list", value, path)
                return
            self._mark(value, path)
            self._count(len(value))
            for index, item in enumerate(value):
                here = (*path, index)
                self._mark_item(value, index, here)
                if descriptor.message_type is not None:
                    if isinstance(item, CommentedMap):
                        self.message(item, getattr(target, descriptor.name).add(), here)
                    else:
                        self._wrong("a mapping", item, here)
                elif (scalar := self._scalar(descriptor, item, here, timed=timed)) is not None:
                    self._keep(getattr(target, descriptor.name).append, scalar, here)
        elif descriptor.message_type is not None:
            if isinstance(value, CommentedMap):
                self.message(value, getattr(target, descriptor.name), path)
            else:
                self._wrong("a mapping", value, path)
        elif (scalar := self._scalar(descriptor, value, path, timed=timed)) is not None:
            self._keep(partial(setattr, target, descriptor.name), scalar, path)

    def _keep(self, put: Callable[[Any], object], value: Any, path: Path_) -> None:
        try:
            put(value)
        except (ValueError, TypeError):
            self._wrong("a value in range", value, path)

    def _count(self, entries: int) -> None:
        self._left -= entries + 1
        if self._left < 0:
            raise _Expanded

    def _map(self, target: Message, descriptor: FieldDescriptor, value: Any, path: Path_) -> None:
        if not isinstance(value, CommentedMap):
            self._wrong("a mapping", value, path)
            return
        assert descriptor.message_type is not None
        value_field = descriptor.message_type.fields_by_name["value"]
        self._count(len(value))
        for key, item in value.items():
            here = (*path, str(key))
            self._mark_key(value, key, here)
            if value_field.message_type is not None:
                if isinstance(item, CommentedMap):
                    self.message(item, getattr(target, descriptor.name)[str(key)], here)
                else:
                    self._wrong("a mapping", item, here)
            elif (scalar := self._scalar(value_field, item, here, timed=False)) is not None:
                self._keep(partial(getattr(target, descriptor.name).__setitem__, str(key)), scalar, here)

    def _scalar(self, descriptor: FieldDescriptor, value: Any, path: Path_, *, timed: bool) -> Any:
        if descriptor.enum_type is not None:
            return self._enum(descriptor.enum_type, value, path)
        kind = descriptor.cpp_type
        if kind == FieldDescriptor.CPPTYPE_STRING:
            if isinstance(value, str):
                return str(value)
            self._wrong("text (put it in quotes)", value, path)
        elif kind == FieldDescriptor.CPPTYPE_BOOL:
            if isinstance(value, bool):
                return value
            self._wrong("true or false", value, path)
        elif kind == FieldDescriptor.CPPTYPE_DOUBLE:
            if isinstance(value, int | float) and not isinstance(value, bool):
                try:
                    return float(value)
                except OverflowError:
                    pass  # a whole number too large for a float
            self._wrong("a number", value, path)
        elif timed:
            try:
                return parse_duration_ms(str(value))
            except ValueError:
                self._wrong("a time such as 20s, 5m or 1h30m", value, path)
        elif isinstance(value, int) and not isinstance(value, bool):
            return int(value)
        else:
            self._wrong("a whole number", value, path)
        return None

    def _enum(self, descriptor: EnumDescriptor, value: Any, path: Path_) -> int | None:
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", descriptor.name).upper() + "_"
        names = {v.name: v.number for v in descriptor.values if v.number != 0}
        number = names.get(str(value)) or names.get(prefix + str(value).upper())
        if number is None:
            choices = ", ".join(name.removeprefix(prefix).lower() for name in names)
            self._document.find("UNKNOWN_VALUE", f"`{value}` is not one of {choices}", *path)
        return number

    def _unknown(self, name: str, descriptor: Descriptor, path: Path_) -> None:
        if name in _SET_BY_APPLY and len(path) == 1:
            self._document.find("SET_BY_APPLY", f"`{name}` is set by `chapar config apply`; remove it", *path)
            return
        known = [spelling for f in descriptor.fields for spelling in _spellings(f.name)]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else f"; known are {', '.join(sorted(known))}"
        self._document.find("UNKNOWN_KEY", f"`{name}` is not a key here{hint}", *path)

    def _wrong(self, wanted: str, value: Any, path: Path_) -> None:
        shown = (
            repr(value)
            if isinstance(value, str | int | float | bool)
            else type(value).__name__.removeprefix("Commented").lower()
        )
        self._document.find("WRONG_TYPE", f"`{path[-1]}` must be {wanted}, not {shown}", *path)

    def _mark(self, node: Any, path: Path_) -> None:
        self._document.lines.setdefault(path, node.lc.line + 1)

    def _mark_key(self, node: Any, key: Any, path: Path_) -> None:
        self._document.lines[path] = node.lc.key(key)[0] + 1

    def _mark_item(self, node: Any, index: int, path: Path_) -> None:
        self._document.lines[path] = node.lc.item(index)[0] + 1


_ACCOUNT = config_pb2.ChannelAccount.DESCRIPTOR.full_name
_SET_BY_APPLY = frozenset({"version", "content_hash"})


def _spellings(name: str) -> Iterator[str]:
    if name in _SET_BY_APPLY:
        return
    yield name.removesuffix("_ms")


def _is_map(descriptor: FieldDescriptor) -> bool:
    return descriptor.message_type is not None and bool(descriptor.message_type.GetOptions().map_entry)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration file, for editors. It is generated from the contract, so the two cannot differ."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Chapar tenant configuration",
        **_message_schema(config_pb2.TenantConfiguration.DESCRIPTOR),
        "required": ["tenant", "pools", "queues"],
        # A recursive type cannot be written out in place.
        "$defs": {"Selector": _message_schema(types_pb2.Selector.DESCRIPTOR)},
    }


def _message_schema(descriptor: Descriptor) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for descriptor_field in descriptor.fields:
        if descriptor_field.name in _SET_BY_APPLY:
            continue
        short = descriptor_field.name.removesuffix("_ms")
        both = short in properties
        made = _field_schema(descriptor_field)
        properties[short] = {"anyOf": [properties[short], made]} if both else made
        if descriptor_field.name.endswith("_ms"):
            whole = {"type": "integer", "minimum": 0}
            properties[descriptor_field.name] = (
                {"type": "array", "items": whole} if descriptor_field.is_repeated else whole
            )
    made = {"type": "object", "additionalProperties": False, "properties": properties}
    return with_declarations(made) if descriptor.full_name == _ACCOUNT else made


def _field_schema(descriptor: FieldDescriptor) -> dict[str, Any]:
    if _is_map(descriptor):
        assert descriptor.message_type is not None
        return {
            "type": "object",
            "additionalProperties": _field_schema(descriptor.message_type.fields_by_name["value"]),
        }
    if descriptor.message_type is None:
        one = _scalar_schema(descriptor)
    elif descriptor.message_type.full_name == types_pb2.Selector.DESCRIPTOR.full_name:
        one = {"$ref": "#/$defs/Selector"}
    else:
        one = _message_schema(descriptor.message_type)
    return {"type": "array", "items": one} if descriptor.is_repeated else one


def _scalar_schema(descriptor: FieldDescriptor) -> dict[str, Any]:
    if descriptor.enum_type is not None:
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", descriptor.enum_type.name).upper() + "_"
        return {"enum": [v.name.removeprefix(prefix).lower() for v in descriptor.enum_type.values if v.number != 0]}
    if descriptor.name.endswith("_ms"):
        return {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"}
    kinds = {
        FieldDescriptor.CPPTYPE_STRING: "string",
        FieldDescriptor.CPPTYPE_BOOL: "boolean",
        FieldDescriptor.CPPTYPE_DOUBLE: "number",
    }
    return {"type": kinds.get(descriptor.cpp_type, "integer")}
