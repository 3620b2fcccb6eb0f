"""Time that is passed in, and ids that are the same at every retry."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.clock import Clock, ManualClock, system_clock
from services.chassis.ids import derive, random_id

# Lone surrogates are included: some providers send them.
PARTS = st.lists(st.text(st.characters(codec=None), max_size=8), min_size=1, max_size=4)


def test_a_manual_clock_moves_only_on_advance() -> None:
    """It never moves back."""
    clock = ManualClock(1000)
    as_port: Clock = clock
    assert as_port() == as_port() == 1000
    assert clock.advance(250) == clock() == 1250
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


def test_the_system_clock_counts_milliseconds() -> None:
    """The value is between 2020 and 2100: neither seconds nor microseconds."""
    assert 1_577_836_800_000 < system_clock() < 4_102_444_800_000


def test_a_derived_id_never_changes() -> None:
    """Ids are in topics and databases, so this value must stay the same."""
    assert derive("acme", "telegram", "42") == "6fe7227e-7ea0-5524-93ac-ef1b440dbe12"
    assert uuid.UUID(derive("x")).version == 5


@given(PARTS, PARTS)
@settings(max_examples=60)
def test_different_parts_give_different_ids(one: list[str], other: list[str]) -> None:
    """Also when their concatenations are equal."""
    assert (derive(*one) == derive(*other)) == (one == other)


def test_parts_are_not_joined_without_their_lengths() -> None:
    """Parts are joined neither directly nor by a separator that a part may contain."""
    assert len({derive("a", "bc"), derive("ab", "c"), derive("abc"), derive("a", "b", "c"), derive("1:a", "bc")}) == 5


def test_an_id_needs_a_part() -> None:
    """An id of no parts would be the same for everything."""
    with pytest.raises(ValueError, match="at least one part"):
        derive()


def test_random_ids_are_new_and_are_version_7() -> None:
    """They are ordered by time to the millisecond, which suits databases."""
    ids = [random_id() for _ in range(500)]
    assert len(set(ids)) == 500
    assert {(uuid.UUID(i).version, uuid.UUID(i).variant) for i in ids} == {(7, uuid.RFC_4122)}
    stamps = [i[:13] for i in ids]
    assert stamps == sorted(stamps)
