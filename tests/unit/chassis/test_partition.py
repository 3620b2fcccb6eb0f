"""A lane takes each record once, although a fetch may repeat records that it has."""

from hypothesis import given
from hypothesis import strategies as st

from services.chassis.kafka.read_ahead import not_before
from services.chassis.kafka.records import Record


def records(first: int, count: int) -> list[Record]:
    """Return records with consecutive offsets."""
    return [Record("t", 0, first + n, 0, b"k", b"v", ()) for n in range(count)]


@given(first=st.integers(0, 20), count=st.integers(1, 10), offset=st.integers(0, 40))
def test_records_before_the_lanes_position_are_dropped(first: int, count: int, offset: int) -> None:
    """They belong to an earlier fetch; the others stay, in order."""
    kept = [record.offset for record in not_before(records(first, count), offset)]
    assert kept == list(range(max(first, offset), first + count))
