"""What an owner knew about the log is in the journal: a replay lets the same timers fire, and begins the same leases again."""

from chapar.router.v1 import records_pb2 as pb
from services.router.replay.fold import followed, idle_clocks
from tests.fakes.lane import finish
from tests.unit.router.replay.recorded import MemoryLog, Recorded


def a_shard_that_was_behind() -> MemoryLog:
    """An offer is over by the clock, and the log has not been read up to then, in batches with and without effects."""
    shard = Recorded(offer_ms=5_000)
    shard.enqueue()
    shard.cut()
    shard.lane.behind_ms = shard.lane.now_ms  # as for a lane that has not asked yet
    shard.wait(6_000)
    shard.tell(renew_leases=pb.RenewLeases())
    shard.cut()
    shard.lane.behind_ms = 3_000
    shard.enqueue()
    shard.cut()
    assert [len(i.offers) for i in shard.interactions()] == [1, 1], "no offer has ended"
    shard.wait(2_500)
    shard.lane.behind_ms = 0
    shard.wait(1)
    shard.enqueue()
    return shard.log()


def a_shard_whose_log_was_away() -> MemoryLog:
    """Leases would be over, but the log was out of reach."""
    shard = Recorded()
    shard.lane.behind_ms = 1 << 40
    shard.wait(40_000)
    shard.lane.behind_ms, shard.lane.returned = 0, True
    shard.wait(1)
    shard.enqueue()
    shard.cut()
    assert len(shard.core.sessions) == 4
    shard.wait(40_000)
    assert not shard.core.sessions
    return shard.log()


def test_a_watermark_behind_the_clock_is_replayed() -> None:
    log = a_shard_that_was_behind()
    assert finish(log.replayed()).identical


def test_the_watermark_of_the_journal_matters() -> None:
    """Without it, the re-run ends the offer that the original left."""
    log = a_shard_that_was_behind()
    behind = next(
        n for n in range(len(log.journal_)) if log.journaled(n).now_ms - (log.journaled(n).until_ms or 1 << 62) > 1
    )
    log.rewrite(behind, until_ms=0)
    assert finish(log.replayed()).difference is not None


def test_a_return_of_the_log_is_replayed() -> None:
    log = a_shard_whose_log_was_away()
    assert finish(log.replayed()).identical
    returned = [n for n in range(len(log.journal_)) if log.journaled(n).returned]
    assert len(returned) == 1
    log.rewrite(returned[0], returned=False)
    assert finish(log.replayed()).difference is not None


def test_checks_without_effect_have_their_watermarks() -> None:
    """A journal that holds only clocks is of a version whose timers fired by the clock."""
    journal = pb.JournalRecord(idle_ms=[5, 9], idle_until_ms=[4, 9], now_ms=12)
    assert list(idle_clocks(journal)) == [(5, 4), (9, 9)]
    assert followed(journal) == (12, False)
    journal.ClearField("idle_until_ms")
    assert list(idle_clocks(journal)) == [(5, 5), (9, 9)]
