"""The packed table is a dictionary that needs little memory."""

import gc
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.packed_table import MAX_VALUE_BYTES, PackedTable, digest_of

NAMES = st.integers(0, 60).map(str)
STEPS = st.lists(st.tuples(st.sampled_from(("put", "pop", "get")), NAMES, st.binary(max_size=20)), max_size=300)


@settings(max_examples=60)
@given(STEPS)
def test_it_does_what_a_dictionary_does(steps: list[tuple[str, str, bytes]]) -> None:
    """Values are added, replaced, read and removed, in any order."""
    table, wanted = PackedTable(), dict[bytes, bytes]()
    for what, name, value in steps:
        digest = digest_of(name)
        if what == "put":
            table.put(digest, value)
            wanted[digest] = value
        elif what == "pop":
            assert table.pop(digest) == wanted.pop(digest, None)
        else:
            assert table.get(digest) == wanted.get(digest)
        assert len(table) == len(wanted)
    assert dict(table) == wanted


def test_many_values_are_found_while_it_grows() -> None:
    """Each bucket is divided in its turn: every value is where it is looked for, during any round."""
    table = PackedTable()
    for number in range(1_000):
        table.put(digest_of(str(number)), str(number).encode())
        if not number % 97:
            assert all(table.get(digest_of(str(one))) == str(one).encode() for one in range(number + 1))
    assert [table.pop(digest_of(str(number))) for number in range(1_000)] == [str(n).encode() for n in range(1_000)]
    assert len(table) == 0


def test_a_value_may_contain_the_digest_of_another() -> None:
    """Values of customers are text that they choose."""
    table = PackedTable()
    table.put(digest_of("first"), b"x" + digest_of("second") + b"y")
    assert table.get(digest_of("second")) is None
    table.put(digest_of("second"), b"2")
    assert table.pop(digest_of("second")) == b"2"
    assert table.get(digest_of("first")) == b"x" + digest_of("second") + b"y"


def test_a_value_that_is_too_long_is_refused() -> None:
    """And nothing is changed."""
    table = PackedTable()
    table.put(digest_of("a"), b"1")
    with pytest.raises(ValueError, match="too long"):
        table.put(digest_of("a"), bytes(MAX_VALUE_BYTES + 1))
    assert table.get(digest_of("a")) == b"1"


def test_it_needs_about_22_bytes_beyond_each_value() -> None:
    """A dictionary needs 150 to 200: an object for the key, one for the value, and a slot."""
    table = PackedTable()
    gc.collect()
    tracemalloc.start()
    for number in range(4_000):
        table.put(digest_of(str(number)), b"v" * 100)
    needed = tracemalloc.get_traced_memory()[0] / 4_000
    tracemalloc.stop()
    assert 119 < needed < 130
