"""Any change in a log is found as the first difference exactly where it is, with both sides."""

import hashlib
import struct

from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.records import Record
from services.router.lanes.shard import EVENTS, FEED
from services.router.replay.difference import Located, align
from services.router.replay.run import Difference, ShardReport
from tests.fakes.lane import finish
from tests.unit.router.replay.lives import Step, live, lives
from tests.unit.router.replay.recorded import MemoryLog, Recorded, a_configuration, an_event

MODEST = settings(max_examples=40, suppress_health_check=list(HealthCheck))


def difference(report: ShardReport) -> Difference:
    """Return the difference of a report that must have one."""
    assert report.difference is not None
    return report.difference


def a_life() -> Recorded:
    """Return three interactions that are offered, accepted, and completed, each step in its own batch with its own clock."""
    shard = Recorded()
    shard.wait(100)
    for _ in range(3):
        shard.enqueue()
        shard.wait(100)
        (interaction,) = [each for each in shard.interactions() if each.offers]
        (offer,) = interaction.offers.values()
        shard.tell(accept_offer=pb.AcceptOffer(agent_id=offer.agent_id, offer_id=offer.offer_id))
        shard.wait(100)
        shard.tell(complete_interaction=pb.CompleteInteraction(agent_id=offer.agent_id, interaction_id=interaction.id))
        shard.wait(1_000)
    return shard


def events_of(log: MemoryLog, number: int) -> list[Record]:
    """Return the events of one batch, by the journal's number, in the order of its effects."""
    journal = log.journaled(number)
    taken = [r for r in log.commands_ if journal.first_offset <= r.offset < journal.next_offset]
    ineligibility = {"", *(command_id(r) for r in taken)}
    at = (journal.now_ms, b"%d" % journal.lane_epoch)
    same = [r for r in log.effects_ if r.topic == EVENTS and (r.timestamp_ms, dict(r.headers)["lane-epoch"]) == at]
    return [r for r in same if an_event(r).command_id in ineligibility]


def command_id(record: Record) -> str:
    """Return the id of a command; empty for garbage."""
    try:
        return pb.RoutingCommand.FromString(record.value or b"").command_id
    except DecodeError:
        return ""


def replace(log: MemoryLog, old: Record, new: list[Record]) -> None:
    """Replace an original record."""
    at = log.effects_.index(old)
    log.effects_[at : at + 1] = new


@MODEST
@given(lives(takeovers=False), st.data())
def test_a_flipped_effect_is_found_at_its_place(steps: list[Step], data: st.DataObject) -> None:
    """One event of one batch has another agent or reason; the journal's hash is that of the changed effects."""
    shard = Recorded()
    live(shard, steps)
    log = shard.log()
    clocks = [log.journaled(n).now_ms for n in range(len(log.journal_))]
    # Batches of one millisecond have the same neighbours; only the order shows which of them an effect of a timer belongs to.
    candidates = [n for n in range(len(log.journal_)) if events_of(log, n) and clocks.count(clocks[n]) == 1]
    assume(candidates)
    number = data.draw(st.sampled_from(candidates), label="batch")
    victim = data.draw(st.sampled_from(events_of(log, number)), label="effect")
    event = an_event(victim)
    event.reason = "TAMPERED"
    replace(log, victim, [victim._replace(value=event.SerializeToString(deterministic=True))])
    log.rewrite(number, effects_sha256=b"\0" * 32)
    found = difference(finish(log.replayed()))
    assert found.journal_offset == number
    assert found.found.fields == (("reason", "TAMPERED", an_event(victim).reason),)
    assert found.found.rerun is not None
    assert found.found.rerun.record["event_id"] == event.event_id


@MODEST
@given(lives(takeovers=False), st.integers(1, 5), st.data())
def test_a_flipped_clock_is_found_at_its_batch(steps: list[Step], by: int, data: st.DataObject) -> None:
    """The originals, which have the true clock, are found nevertheless."""
    shard = Recorded()
    live(shard, steps)
    log = shard.log()
    clocks = [log.journaled(n).now_ms for n in range(len(log.journal_))]
    candidates = [
        n
        for n in range(1, len(clocks))
        if events_of(log, n) and clocks[n] - clocks[n - 1] > by and (n + 1 == len(clocks) or clocks[n + 1] > clocks[n])
    ]
    assume(candidates)
    number = data.draw(st.sampled_from(candidates), label="batch")
    log.rewrite(number, now_ms=clocks[number] - by)
    found = difference(finish(log.replayed()))
    assert (found.journal_offset, found.clock_ms) == (number, clocks[number] - by)
    if not found.found.summary.startswith("at "):  # a timer that was not due yet shows before any effect
        assert found.found.original is not None
        assert found.found.original.record["occurred_at_ms"] == str(clocks[number])


def test_another_policy_shows_at_the_first_offer_that_it_changes() -> None:
    """Offers are open for 9 s instead of 10: everything before the first offer is the same, and then its end differs."""
    log = a_life().log()
    position = next(
        n
        for n, r in enumerate(log.commands_)
        if pb.RoutingCommand.FromString(r.value or b"").HasField("activate_configuration")
    )
    command = pb.RoutingCommand.FromString(log.commands_[position].value or b"")
    command.activate_configuration.configuration.CopyFrom(a_configuration(offer_ms=9_000))
    log.commands_[position] = log.commands_[position]._replace(value=command.SerializeToString())
    found = difference(finish(log.replayed()))
    first = next(n for n in range(len(log.journal_)) if any(an_event(e).HasField("offered") for e in events_of(log, n)))
    assert found.journal_offset == first
    ((path, original, rerun),) = found.found.fields
    assert path == "offered.expires_at_ms"
    assert int(original) - int(rerun) == 1_000
    assert found.found.ordinal == 2  # after the announcement and the command's result


def test_a_tampered_journal_is_distinguished_from_another_effect() -> None:
    """Every effect equals the original's: only the journal's record differs."""
    log = a_life().log()
    log.rewrite(4, effects_sha256=hashlib.sha256(b"other").digest())
    found = difference(finish(log.replayed()))
    assert found.journal_offset == 4
    assert found.found == Located("every effect equals the original's, so the journal's own record differs")


def test_an_effect_missing_in_the_rerun_and_one_missing_in_the_original() -> None:
    """The original has one effect more, and then one less."""
    log = a_life().log()
    number = 2
    last = events_of(log, number)[-1]
    extra = an_event(last)
    extra.event_id = "another"
    replace(log, last, [last, last._replace(value=extra.SerializeToString())])
    log.rewrite(number, effects_sha256=b"\0" * 32, effects=9)
    found = difference(finish(log.replayed())).found
    assert found.rerun is None
    assert found.original is not None
    assert found.original.record["event_id"] == "another"
    log = a_life().log()
    gone = events_of(log, number)[0]
    replace(log, gone, [])
    log.rewrite(number, effects_sha256=b"\0" * 32, effects=1)
    found = difference(finish(log.replayed())).found
    assert found.original is None
    assert found.rerun is not None
    assert found.rerun.record["event_id"] == an_event(gone).event_id


def test_originals_that_are_no_longer_kept_are_reported_and_not_guessed() -> None:
    """Notices are kept for an hour: the difference is somewhere among them, and the report shows no invented original."""
    log = a_life().log()
    log.effects_ = [record for record in log.effects_ if record.topic != FEED]
    log.lost = frozenset((FEED, partition) for partition in range(8))
    log.rewrite(4, effects_sha256=b"\0" * 32)
    found = difference(finish(log.replayed())).found
    assert found.ordinal is None
    assert "no longer kept (gateway.feed.v1)" in found.summary
    assert found.original is None


def test_commands_that_no_batch_took_are_a_difference() -> None:
    """A command between two batches is not a dead letter: the shard has skipped it."""
    shard = Recorded()
    shard.put(
        pb.RoutingCommand(
            command_id="x", tenant="acme", pool="default", renew_leases=pb.RenewLeases()
        ).SerializeToString()
    )
    log = shard.log()
    passed = shard.commands[-1].offset
    log.journal_.pop()
    shard.enqueue()
    shard.cut()
    log.commands_, log.journal_ = (
        shard.commands,
        [*log.journal_, shard.log().journal_[-1]._replace(offset=len(log.journal_))],
    )
    assert difference(finish(log.replayed())).found.summary == f"no batch took the commands at {passed}"


def test_a_rerun_that_fails_is_a_difference_that_names_the_command() -> None:
    """This version's engine has a bug."""
    log = a_life().log()

    real = log.commands_[5]
    log.commands_[5] = real._replace(value=3)  # type: ignore[arg-type]  # anything that makes `handle` raise
    found = difference(finish(log.replayed())).found
    assert found.summary.startswith(f"the command at {real.offset} failed: TypeError")


def _send(text: str, partition: int = 0) -> Send:
    return Send(FEED, partition, b"k", pb.FeedRecord(agent_id=text).SerializeToString(), ())


def _record(text: str, partition: int = 0) -> Record:
    return Record(FEED, partition, 0, 0, b"k", pb.FeedRecord(agent_id=text).SerializeToString(), ())


def _place(topic: str, partition: int | None, key: bytes) -> tuple[str, int]:
    return topic, partition or 0


def test_effects_are_compared_within_their_partition() -> None:
    """The topics keep no order between partitions, so the comparison expects none."""
    sends = [_send("a", 0), _send("b", 1), _send("c", 0)]
    assert align(sends, [_record("b", 1), _record("a", 0), _record("c", 0)], _place).ordinal is None
    assert align(sends, [_record("b", 1), _record("c", 0), _record("a", 0)], _place).ordinal == 0
    assert align(sends, [_record("a", 0), _record("c", 0), _record("x", 1)], _place).ordinal == 1


def test_the_digest_is_of_topic_partition_key_and_value() -> None:
    """The digest is also computed here: what the journal holds must not change by accident."""
    shard = a_life()
    log = shard.log()
    number = next(n for n in range(len(log.journal_)) if log.journaled(n).effects)
    total, sends = hashlib.sha256(), iter(shard.lane.sent)
    for _ in range(number):
        while next(sends).topic != "routing.journal.v1":
            pass
    for send in sends:
        if send.topic == "routing.journal.v1":
            break
        at = -1 if send.partition is None else send.partition
        total.update(struct.pack(">HiII", len(send.topic), at, len(send.key), len(send.value)))
        total.update(send.topic.encode() + send.key + send.value)
    assert total.digest() == log.journaled(number).effects_sha256
