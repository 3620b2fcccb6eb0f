"""A lane recognises the records that relays have written more than once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.kafka.headers import RELAYED_FROM
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.kafka.relayed import RelayedPlaces, relayed_from

T0 = 1_700_000_000_000


def read(offset: int, at_ms: int | None = None, partition: int = 0, topic: str = "routing.events.v1") -> Record:
    """A record that a relay wrote for the record at this place."""
    origin = Record(topic, partition, offset, T0 + offset if at_ms is None else at_ms, b"k", b"v", ())
    return Record("inbound.v1", 0, 0, T0, b"k", b"v", (("event-id", b"e"), relayed_from(origin)))


def handle(places: RelayedPlaces, record: Record) -> bool:
    """Return whether the lane handles the record."""
    if places.repeated(record):
        return False
    places.handled(record)
    return True


def restored(places: RelayedPlaces) -> RelayedPlaces:
    """Return the places of the next owner."""
    outbox = BatchOutbox(1, 100_000)
    places.save(outbox)
    new = RelayedPlaces()
    for key, value in outbox.changes().items():
        assert value is not None
        assert new.restore(key, value)
    return new


def test_a_record_without_an_origin_is_never_a_repetition() -> None:
    """Edges and callers write such records; their ids are remembered."""
    record = Record("inbound.v1", 0, 0, T0, b"k", b"v", ())
    places = RelayedPlaces()
    assert [handle(places, record), handle(places, record)] == [True, True]


def test_partitions_of_origin_are_independent() -> None:
    places = RelayedPlaces()
    assert handle(places, read(10, partition=0))
    assert handle(places, read(3, partition=1))
    assert handle(places, read(3, topic="other.v1"))
    assert not handle(places, read(10, partition=0))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Offsets of origin, and the log that several relays write: each in order from an offset before which all is in the
    log, interleaved with predecessors that were not stopped in time."""
    offsets = sorted(draw(st.sets(st.integers(0, 200), min_size=1, max_size=30)))
    log: list[int] = []
    relays: list[int] = [0]
    done = 0
    for _ in range(draw(st.integers(1, 80))):
        which = draw(st.integers(0, len(relays)))
        if which == len(relays):
            relays.append(draw(st.integers(0, done)))  # a successor begins at or before what is acknowledged
            continue
        if relays[which] < len(offsets):
            log.append(offsets[relays[which]])
            relays[which] += 1
            done = max(done, relays[which])
    return offsets[:done], log


@given(histories(), st.data())
def test_whatever_relays_repeat_each_record_is_handled_once_in_order(
    history: tuple[list[int], list[int]], data: st.DataObject
) -> None:
    """Any number of relays, alive at the same time, and a lane that is restored at any time."""
    offsets, log = history
    places = RelayedPlaces()
    handled: list[int] = []
    for offset in log:
        if data.draw(st.booleans()):
            everything = RelayedPlaces()
            everything._highest = dict(places._highest)
            places = everything
        if handle(places, read(offset)):
            handled.append(offset)
    assert handled == offsets


def test_the_places_survive_a_takeover() -> None:
    places = RelayedPlaces()
    handle(places, read(10))
    places = restored(places)
    assert not handle(places, read(10))
    assert handle(places, read(11))


def test_nothing_is_written_when_nothing_changed() -> None:
    """A batch of repetitions costs no transaction."""
    places = RelayedPlaces()
    handle(places, read(10))
    places = restored(places)
    assert not handle(places, read(10))
    outbox = BatchOutbox(1, 100_000)
    places.save(outbox)
    assert outbox.empty


def test_a_topic_that_was_created_again_is_read_from_its_beginning() -> None:
    """Its offsets begin again, its times do not."""
    places = RelayedPlaces()
    for offset in range(100, 110):
        assert handle(places, read(offset))
    later = T0 + 1_000_000
    assert [handle(places, read(offset, later + offset)) for offset in range(3)] == [True] * 3
    assert [handle(places, read(offset, later + offset)) for offset in range(3)] == [False] * 3


@pytest.mark.parametrize("place", [b"", b"/", b"a/0/1", b"a/0/-1/5", b"a/0/1/" + b"9" * 19, b"\xff/0/1/2"])
def test_a_header_that_names_no_place_is_refused(place: bytes) -> None:
    record = Record("inbound.v1", 0, 0, T0, b"k", b"v", ((RELAYED_FROM, place),))
    with pytest.raises(InvalidRecord):
        RelayedPlaces().repeated(record)
