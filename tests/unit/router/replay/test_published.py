"""D23: a replay proves what was published. The journal is untouched; the records that others read are not."""

from collections.abc import Callable

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.records import Record
from services.router.lanes.shard import EVENTS, FEED
from services.router.replay.log import DISORDER_MS
from services.router.replay.run import Difference, ShardReport
from tests.fakes.lane import finish
from tests.unit.router.replay.lives import Step, live, lives
from tests.unit.router.replay.recorded import EVENT_PARTITIONS, FEED_PARTITIONS, MemoryLog, Recorded, an_event

MODEST = settings(max_examples=40, suppress_health_check=list(HealthCheck))
HOUR_MS = 3_600_000


def a_log(steps: list[Step]) -> MemoryLog:
    """Return the log of a life."""
    shard = Recorded()
    live(shard, steps)
    return shard.log()


def a_busy_log(pause_ms: int = 100) -> MemoryLog:
    """Return the log of ten interactions, each of which is offered."""
    shard = Recorded()
    for person in range(10):
        shard.enqueue(person=person)
        shard.wait(pause_ms)
    return shard.log()


def difference(report: ShardReport) -> Difference:
    """Return the difference of a report that must have one."""
    assert report.difference is not None
    return report.difference


def changed(record: Record, **fields: str) -> Record:
    """Return an event with other fields."""
    event = an_event(record)
    event.MergeFrom(pb.RoutingEvent(**fields))  # type: ignore[arg-type]  # names of the contract
    return record._replace(value=event.SerializeToString(deterministic=True))


def batch_at(log: MemoryLog, found: Difference) -> int:
    """Return the clock of the batch that a difference names."""
    return log.journaled(found.journal_offset).now_ms


def test_four_changed_events_are_found_and_the_first_is_shown() -> None:
    """The case: four events with another reason, and a valid checksum of the broker."""
    log = a_busy_log()
    events = [n for n, record in enumerate(log.effects_) if record.topic == EVENTS]
    victims = events[3:7]
    for n in victims:
        log.effects_[n] = changed(log.effects_[n], reason="TAMPERED")
    found = difference(finish(log.replayed())).found
    assert found.summary == "the topic holds another record than was decided"
    assert found.original is not None
    assert found.original.record["reason"] == "TAMPERED"
    ((path, theirs, ours),) = found.fields
    assert (path, theirs) == ("reason", "TAMPERED")
    assert ours != "TAMPERED"


def test_an_untouched_log_has_all_its_records_compared() -> None:
    log = a_busy_log()
    report = finish(log.replayed())
    assert report.identical
    assert (report.published, report.not_kept) == (len(log.effects_), 0)


@MODEST
@given(lives(takeovers=True), st.data())
def test_any_change_of_any_record_is_a_difference(steps: list[Step], data: st.DataObject) -> None:
    """One record, event or notice, has another value, is gone, or has changed places with the next one of its partition."""
    log = a_log(steps)
    at = data.draw(st.integers(0, len(log.effects_) - 1), label="record")
    victim = log.effects_[at]
    change = data.draw(st.sampled_from(["value", "gone", "swapped"]), label="change")
    if change == "value":
        log.effects_[at] = victim._replace(value=(victim.value or b"")[:-1])
    elif change == "gone":
        twins = [
            r for r in log.effects_ if (r.topic, r.partition, r.key, r.value) == (*victim[:2], victim.key, victim.value)
        ]
        assume(len(twins) == 1)  # equal notices stand for each other
        del log.effects_[at]
    else:
        assume(at + 1 < len(log.effects_))
        other = log.effects_[at + 1]
        assume((other.topic, other.partition) == (victim.topic, victim.partition) and other.value != victim.value)
        log.effects_[at : at + 2] = [other, victim]
    found = difference(finish(log.replayed()))
    assert batch_at(log, found) >= victim.timestamp_ms
    if change != "swapped":
        assert batch_at(log, found) == victim.timestamp_ms


@MODEST
@given(lives(takeovers=True), st.data())
def test_an_event_that_nothing_decided_is_a_difference(steps: list[Step], data: st.DataObject) -> None:
    """It may be anywhere in a partition, also in one that the shard never wrote to."""
    log = a_log(steps)
    events = [record for record in log.effects_ if record.topic == EVENTS]
    twin = data.draw(st.sampled_from(events), label="twin")
    last_ms = log.journaled(len(log.journal_) - 1).now_ms
    assume(twin.timestamp_ms < last_ms)
    forged = changed(twin, event_id="forged")._replace(partition=data.draw(st.integers(0, EVENT_PARTITIONS - 1)))
    log.effects_.insert(data.draw(st.integers(0, len(log.effects_)), label="place"), forged)
    found = difference(finish(log.replayed())).found
    assert found.summary == "no batch decided this event, and the topic holds it"
    assert found.original is not None
    assert found.original.record["event_id"] == "forged"


@MODEST
@given(lives(takeovers=True), st.data())
def test_records_of_others_are_no_difference(steps: list[Step], data: st.DataObject) -> None:
    """Other shards' events, notices of other shards and services, and records that cannot be read are not this shard's."""
    log = a_log(steps)
    ours = list(log.effects_)
    for _ in range(5):
        twin = data.draw(st.sampled_from(ours), label="twin")
        if twin.topic == EVENTS:
            event = an_event(twin)
            event.pool = "elsewhere"
            value = data.draw(st.sampled_from([event.SerializeToString(), b"\xff"]), label="value")
        else:
            value = pb.FeedRecord(gateway_id="another", customer_acted=pb.CustomerActed()).SerializeToString()
        log.effects_.insert(data.draw(st.integers(0, len(log.effects_)), label="place"), twin._replace(value=value))
    assert finish(log.replayed()).identical


def test_a_commit_that_is_on_its_way_is_no_difference() -> None:
    """The journal's record of a transaction may be visible before its events are: a running shard can be replayed."""
    log = a_busy_log()
    last_ms = log.journaled(len(log.journal_) - 1).now_ms
    log.late = [record for record in log.effects_ if record.timestamp_ms == last_ms]
    assert log.late
    log.effects_ = [record for record in log.effects_ if record.timestamp_ms < last_ms]
    assert finish(log.replayed()).identical


def without(log: MemoryLog, topic: str, gone: Callable[[Record], bool]) -> int:
    """Let retention remove records of a topic. Returns their number."""
    before = len(log.effects_)
    log.effects_ = [record for record in log.effects_ if record.topic != topic or not gone(record)]
    count = EVENT_PARTITIONS if topic == EVENTS else FEED_PARTITIONS
    log.lost |= {(topic, partition) for partition in range(count)}
    return before - len(log.effects_)


def test_records_that_are_no_longer_kept_are_counted_and_later_ones_compared() -> None:
    """Notices are kept for an hour: of those before, nothing is concluded."""
    log = a_busy_log(pause_ms=600_000)
    last_ms = log.journaled(len(log.journal_) - 1).now_ms
    removed = without(log, FEED, lambda record: record.timestamp_ms < last_ms - HOUR_MS)
    report = finish(log.replayed())
    assert report.identical
    assert (report.not_kept, report.published) == (removed, len(log.effects_))
    notices = [n for n, record in enumerate(log.effects_) if record.topic == FEED]
    victim = log.effects_[notices[-1]]
    log.effects_[notices[-1]] = victim._replace(value=(victim.value or b"")[:-1])
    assert batch_at(log, difference(finish(log.replayed()))) == victim.timestamp_ms


def test_a_topic_without_any_record_left_proves_nothing() -> None:
    """All events and notices are gone: the report says how many, and that none was compared."""
    log = a_busy_log()
    removed = sum(without(log, topic, lambda _record: True) for topic in (EVENTS, FEED))
    report = finish(log.replayed())
    assert (report.identical, report.published, report.not_kept) == (True, 0, removed)


def test_an_event_that_was_removed_from_the_middle_is_not_taken_for_one_that_is_not_kept() -> None:
    """Retention removes the oldest records only."""
    log = a_busy_log(pause_ms=DISORDER_MS)
    first_ms = log.effects_[0].timestamp_ms
    without(log, EVENTS, lambda record: record.timestamp_ms <= first_ms)
    victim = [record for record in log.effects_ if record.topic == EVENTS][-1]
    log.effects_.remove(victim)
    assert batch_at(log, difference(finish(log.replayed()))) == victim.timestamp_ms


def test_after_the_first_record_that_is_kept_each_one_must_be_there() -> None:
    """The events of the first offer are gone by retention; soon after the first one that is kept, another is missing."""
    log = a_busy_log(pause_ms=1_000)
    events = [record for record in log.effects_ if record.topic == EVENTS]
    busy = max(range(EVENT_PARTITIONS), key=lambda n: sum(record.partition == n for record in events))
    inside = sorted((r for r in events if r.partition == busy), key=lambda record: record.offset)
    gone, victim = inside[0], inside[2]
    assert victim.timestamp_ms < gone.timestamp_ms + DISORDER_MS
    without(log, EVENTS, lambda record: record == gone)
    assert finish(log.replayed()).not_kept == 1
    log.effects_.remove(victim)
    assert batch_at(log, difference(finish(log.replayed()))) == victim.timestamp_ms
