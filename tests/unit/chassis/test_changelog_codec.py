"""The values of changelogs: one byte of version, then MessagePack."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.kafka.changelog import Position, Restored
from services.chassis.kafka.changelog_codec import ChangelogCodec, UnknownVersion
from services.chassis.kafka.changelog_formats import Formats


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry of a lane."""

    name: str
    count: int = 0


def test_a_value_is_a_version_and_messagepack() -> None:
    """Another program can see the version before it decodes the rest."""
    value = ChangelogCodec[Kept](Kept, version=3).encode(Kept("a", 1))
    assert (value[0], msgspec.msgpack.decode(value[1:])) == (3, {"name": "a", "count": 1})


def test_a_new_field_with_a_default_reads_entries_without_it() -> None:
    """Such a field needs no other version."""
    value = ChangelogCodec[Any](Any).encode({"name": "a"})
    assert ChangelogCodec[Kept](Kept).decode(value) == Kept("a")


def test_an_earlier_version_is_read_only_if_the_lane_names_it() -> None:
    """A restored state is never guessed: the error names the versions."""
    value = ChangelogCodec[Kept](Kept, version=1).encode(Kept("a"))
    assert ChangelogCodec[Kept](Kept, version=2, reads=(1,)).decode(value) == Kept("a")
    with pytest.raises(UnknownVersion, match="of version 1, this program reads 2"):
        ChangelogCodec[Kept](Kept, version=2).decode(value)
    with pytest.raises(UnknownVersion, match="of no version, this program reads 1"):
        ChangelogCodec[Kept](Kept).decode(b"")


def test_an_earlier_version_can_be_written_too() -> None:
    """Until the new one is finalised: a program of the version before reads what it wrote."""
    before = ChangelogCodec[str](str, version=1)
    now = ChangelogCodec[Kept](Kept, version=2, earlier={1: lambda kept: kept.name})
    assert before.decode(now.encode(Kept("a", 1), 1)) == "a"
    assert now.encode(Kept("a", 1), 2) == now.encode(Kept("a", 1))
    with pytest.raises(UnknownVersion, match="of version 2, this program reads 1"):
        before.decode(now.encode(Kept("a", 1), 2))
    with pytest.raises(KeyError):
        now.encode(Kept("a", 1), 3)


@pytest.mark.parametrize(("finalised", "written"), [(0, 3), (2, 3), (3, 3), (4, 4), (5, 5), (6, 5)])
def test_the_format_to_write_is_one_that_was_finalised(finalised: int, written: int) -> None:
    """As long as the program can write it; otherwise the nearest that it can."""
    assert Formats(newest=5, oldest=3).to_write(finalised) == written


@pytest.mark.parametrize(("oldest", "newest"), [(0, 1), (3, 2), (1, 128)])
def test_formats_are_a_range(oldest: int, newest: int) -> None:
    """A program that writes nothing, or an entry that begins like one without a version, is a mistake of its author."""
    with pytest.raises(ValueError, match="1 to 127"):
        Formats(newest, oldest)


def test_the_position_has_a_version_too() -> None:
    """A lane does not take over at a position that it cannot read."""
    position = Position(7, 1_000, 3)
    restored = Restored()
    restored.apply(b"\x00position", position.encode())
    assert restored.position == position
    with pytest.raises(UnknownVersion):
        restored.apply(b"\x00position", msgspec.msgpack.encode(position))


@given(st.one_of(st.dictionaries(st.text(), st.integers(-(2**63), 2**64 - 1)), st.lists(st.text()), st.text()))
def test_an_entry_without_a_version_is_refused(entry: Any) -> None:
    """Maps, lists and texts of MessagePack do not begin with a version that a codec may have."""
    with pytest.raises(UnknownVersion):
        ChangelogCodec[Any](Any, version=127, reads=range(1, 127)).decode(msgspec.msgpack.encode(entry))


@pytest.mark.parametrize("version", [0, 128])
def test_a_version_is_one_to_127(version: int) -> None:
    """0 begins a sealed entry, and 128 begins a map of MessagePack."""
    with pytest.raises(ValueError, match="1 to 127"):
        ChangelogCodec[Any](Any, version=version)
