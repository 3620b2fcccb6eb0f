"""What is fuzzed: the registry's entries by kind of input, and the configuration's YAML. One process fuzzes one kind."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from services.cli.config.files import load
from services.cli.config.lint import lint
from tests.hostile.entry import Entry
from tests.hostile.registry import ENTRIES

CORPUS: Final = Path(__file__).parent / "corpus"
MOST_BYTES: Final = 16 << 10


def feed_of(kind: str) -> Callable[[bytes], None]:
    """A function of any bytes: the first byte chooses the entry, the rest is its input. What it raises is a fault."""
    if kind == "yaml":
        return _yaml
    entries = KINDS[kind]

    def feed(data: bytes) -> None:
        if data:
            entry = entries[data[0] % len(entries)]
            entry.feed(entry.given(data[1:]))

    return feed


def seeds_of(kind: str) -> list[bytes]:
    """The kept inputs of a kind, for each of its entries."""
    kept = [path.read_bytes() for path in sorted((CORPUS / kind).iterdir())]
    if kind == "yaml":
        return kept
    return [bytes([number]) + seed for seed in kept for number in range(len(KINDS[kind]))]


def _yaml(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(data)
        file.flush()
        lint(load(Path(file.name)))


def _of(kind: str) -> tuple[Entry, ...]:
    return tuple(entry for entry in ENTRIES if entry.inputs == kind)


KINDS: Final[Mapping[str, tuple[Entry, ...]]] = MappingProxyType(
    {**{kind: _of(kind) for kind in ("texts", "bytes", "documents", "mails")}, "yaml": ()}
)
