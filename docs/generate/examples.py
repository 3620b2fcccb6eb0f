"""Examples of configuration keys, cut from docs/examples/every-key.yaml.

A section's examples are the first entries of the file that together have every key of the section.
"""

from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from ruamel.yaml import YAML

from chapar.config.v1 import config_pb2
from docs.generate.contract import ROOT, START, Section

FILE: Final = ROOT / "docs/examples/every-key.yaml"
_WIDTH: Final = 1000
"""Wider than any line: entries are shown as they are written in the file."""


class Examples:
    """The entries of a configuration file, by the message of the contract that each one fills."""

    def __init__(self, file: Path = FILE) -> None:
        self._yaml = YAML(typ="rt")
        self._yaml.width = _WIDTH
        self._yaml.preserve_quotes = True
        self._yaml.indent(mapping=2, sequence=4, offset=2)
        self._found: dict[str, list[Mapping[str, Any]]] = {}
        content = self._yaml.load(file.read_text(encoding="utf-8"))
        self._collect(config_pb2.TenantConfiguration.DESCRIPTOR, content)

    def missing(self, section: Section) -> tuple[str, ...]:
        """Keys of a section that no entry of the file has."""
        seen = {key for entry in self._found.get(section.name, ()) for key in entry}
        return tuple(dict.fromkeys(key.name for key in section.keys if key.name not in seen))

    def of(self, section: Section) -> str:
        """YAML of a section's examples. The tenant's own example has no lists of entries: each has a section of its own."""
        left = {key.name for key in section.keys}
        chosen: list[Mapping[str, Any]] = []
        for entry in self._found.get(section.name, ()):
            if left & entry.keys():
                chosen.append(entry)
                left -= entry.keys()
        if section.name == START:
            return self._dump(
                {k: v for k, v in chosen[0].items() if not (isinstance(v, Sequence) and _holds_entries(v))}
            )
        return self._dump(chosen if len(chosen) > 1 else chosen[0])

    def _dump(self, node: Any) -> str:
        out = StringIO()
        self._yaml.dump(node, out)
        text = out.getvalue().rstrip()
        # A list at the start of a document needs no indentation.
        return "\n".join(line.removeprefix("  ") for line in text.splitlines()) if text.startswith("  ") else text

    def _collect(self, owner: Descriptor, entry: Mapping[str, Any]) -> None:
        self._found.setdefault(owner.name, []).append(entry)
        for name, value in entry.items():
            field: FieldDescriptor | None = owner.fields_by_name.get(name)
            if field is not None and field.message_type is not None:
                for held, part in _parts(field.message_type, value):
                    self._collect(held, part)


def _parts(message: Descriptor, value: Any) -> Iterator[tuple[Descriptor, Mapping[str, Any]]]:
    if message.GetOptions().map_entry:
        held = message.fields_by_name["value"].message_type
        if held is not None:
            yield from ((held, part) for part in value.values())
    elif isinstance(value, Mapping):
        yield message, value
    else:
        yield from ((message, part) for part in value)


def _holds_entries(value: Sequence[Any]) -> bool:
    return not isinstance(value, str) and any(isinstance(part, Mapping) for part in value)
