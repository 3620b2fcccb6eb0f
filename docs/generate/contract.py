"""The keys of a tenant's configuration, read from the contract with its comments.

A field's comment is prose, and may end in a line `Default: X.`, `Bounds: Y.` or `Default: X. Bounds: Y.`. A field without a default
is required. A field that ends in `_ms` is a duration, and its key has no suffix.
"""

import importlib.resources
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = ("chapar/config/v1/config.proto", "chapar/common/v1/types.proto")
START: Final = "TenantConfiguration"
SET_BY_APPLY: Final = frozenset({"version", "content_hash"})
"""Fields of the record that a file must not set."""

_DEFAULT: Final = re.compile(r"^Default: (?P<default>.+?)\.(?: Bounds: (?P<bounds>.+)\.)?$")
_BOUNDS: Final = re.compile(r"^Bounds: (?P<bounds>.+)\.$")
_MESSAGES, _ENUMS, _FIELDS, _VALUES = (
    4,
    5,
    2,
    2,
)  # numbers of fields in descriptor.proto, which a location's path is made of
_NUMBERS: Final = (FieldDescriptorProto.TYPE_DOUBLE, FieldDescriptorProto.TYPE_FLOAT)


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `kind` is its type in Markdown; `default` is empty for a required key, `bounds` for a key without limits of its own."""

    name: str
    field: str
    kind: str
    default: str
    bounds: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Section:
    """One message of the contract. `choices` are the values of its enumerations with their meanings, by the keys that have them."""

    name: str
    meaning: str
    keys: tuple[Key, ...]
    choices: Mapping[str, Mapping[str, str]]


class Contract:
    """Messages, enumerations and comments of the configuration's contract."""

    def __init__(self, files: FileDescriptorSet) -> None:
        self._messages: dict[str, DescriptorProto] = {}
        self._enums: dict[str, EnumDescriptorProto] = {}
        self._comments: dict[tuple[str, ...], str] = {}
        for file in files.file:
            if file.name in FILES:
                self._read(file)

    def sections(self) -> tuple[Section, ...]:
        """Every message that a file can hold, from the tenant down, each once."""
        names = [START]
        for name in names:  # grows while it is read
            names += [m for f in self._messages[name].field if (m := self._held(f)) and m not in names]
        return tuple(self._section(name) for name in names)

    def _section(self, name: str) -> Section:
        fields = [f for f in self._messages[name].field if not (name == START and f.name in SET_BY_APPLY)]
        enums: dict[str, list[str]] = {}
        for field in fields:
            if field.type == FieldDescriptorProto.TYPE_ENUM:
                enums.setdefault(field.type_name.rpartition(".")[2], []).append(f"`{field.name}`")
        keys = tuple(self._key(name, field) for field in fields)
        choices = {", ".join(names): self._choices(enum) for enum, names in enums.items()}
        return Section(name, self._comment(name), keys, choices)

    def _key(self, message: str, field: FieldDescriptorProto) -> Key:
        prose, default, bounds = split(self._comment(message, field.name))
        return Key(field.name.removesuffix("_ms"), field.name, self._kind(field), default, bounds, prose)

    def _kind(self, field: FieldDescriptorProto) -> str:
        entry = self._entry(field)
        if entry is not None:
            return f"map of {self._one(entry.field[1])} by text"
        one = self._one(field)
        return f"list of {one}" if field.label == FieldDescriptorProto.LABEL_REPEATED else one

    def _one(self, field: FieldDescriptorProto) -> str:
        if field.type == FieldDescriptorProto.TYPE_MESSAGE:
            name = field.type_name.rpartition(".")[2]
            return f"[{name}](#{name.lower()})"
        if field.type == FieldDescriptorProto.TYPE_ENUM:
            return ", ".join(f"`{value}`" for value in self._choices(field.type_name.rpartition(".")[2]))
        if field.type == FieldDescriptorProto.TYPE_STRING:
            return "text"
        if field.type == FieldDescriptorProto.TYPE_BOOL:
            return "true or false"
        if field.name.endswith("_ms"):
            return "duration"
        return "number" if field.type in _NUMBERS else "whole number"

    def _choices(self, enum: str) -> dict[str, str]:
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum).upper() + "_"
        values = self._enums[enum].value
        return {v.name.removeprefix(prefix).lower(): self._comment(enum, v.name) for v in values if v.number != 0}

    def _entry(self, field: FieldDescriptorProto) -> DescriptorProto | None:
        # Two messages may have a map of the same name, so the entry is looked for in its own message.
        *_, owner, name = ("", *field.type_name.split("."))
        message = self._messages.get(owner)
        nested = message.nested_type if message is not None else ()
        return next((n for n in nested if n.name == name and n.options.map_entry), None)

    def _held(self, field: FieldDescriptorProto) -> str:
        entry = self._entry(field)
        held = entry.field[1] if entry is not None else field
        return held.type_name.rpartition(".")[2] if held.type == FieldDescriptorProto.TYPE_MESSAGE else ""

    def _comment(self, *path: str) -> str:
        return self._comments.get(path, "")

    def _read(self, file: FileDescriptorProto) -> None:
        self._messages.update({message.name: message for message in file.message_type})
        self._enums.update({enum.name: enum for enum in file.enum_type})
        for location in file.source_code_info.location:
            if path := self._named(file, tuple(location.path)):
                self._comments[path] = location.leading_comments.strip()

    @staticmethod
    def _named(file: FileDescriptorProto, path: tuple[int, ...]) -> tuple[str, ...]:
        """Names of a location: (message,), (message, field), (enum,), (enum, value); empty for everything else."""
        match path:
            case (kind, at) if kind == _MESSAGES:
                return (file.message_type[at].name,)
            case (kind, at, part, field) if (kind, part) == (_MESSAGES, _FIELDS):
                return (file.message_type[at].name, file.message_type[at].field[field].name)
            case (kind, at) if kind == _ENUMS:
                return (file.enum_type[at].name,)
            case (kind, at, part, value) if (kind, part) == (_ENUMS, _VALUES):
                return (file.enum_type[at].name, file.enum_type[at].value[value].name)
        return ()


def split(comment: str) -> tuple[str, str, str]:
    """(prose, default, bounds) of a field's comment. The prose is one paragraph."""
    lines = [line.strip() for line in comment.splitlines()]
    found = (_DEFAULT.match(lines[-1]) or _BOUNDS.match(lines[-1])) if lines else None
    if found is None:
        return " ".join(lines), "", ""
    parts = found.groupdict()
    return " ".join(lines[:-1]), parts.get("default") or "", parts.get("bounds") or ""


def paragraphs(comment: str) -> Iterator[str]:
    """A message's comment as Markdown: paragraphs and lists, without the line breaks of the source."""
    for block in re.split(r"\n\s*\n", comment):
        lines = [line.removeprefix(" ") for line in block.splitlines()]
        joined: list[str] = []
        for line in lines:
            if line.startswith("- ") or not joined:
                joined.append(line.rstrip())
            else:
                joined[-1] = f"{joined[-1]} {line.strip()}"
        yield "\n".join(joined)


def read_contract() -> Contract:
    """The contract as it is in this checkout, compiled by protoc with its comments."""
    protos = ROOT / "protos"
    well_known = str(importlib.resources.files("grpc_tools") / "_proto")
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "contract.binpb"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{protos}", f"-I{well_known}"]
        command += [f"--descriptor_set_out={target}", "--include_source_info", *FILES]
        subprocess.run(command, check=True, cwd=protos)  # noqa: S603 fixed arguments
        return Contract(FileDescriptorSet.FromString(target.read_bytes()))
