"""The start of a replay, and the records that are left out: a replay never compares from an unknown state."""

import copy

import pytest

from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.changelog import Position
from services.chassis.kafka.contract import Outbox
from services.router.domain.changelog.snapshot import Restorer
from services.router.domain.entries import SessionEntry, Value
from services.router.lanes.shard import ShardProcessor
from services.router.replay.capture import newest
from services.router.replay.fold import idle_clocks
from services.router.replay.log import NotComparable
from services.router.replay.state import ShardState
from services.router.replay.window import At, Offset, Window
from tests.fakes.lane import finish
from tests.unit.router.replay.recorded import MemoryLog, Recorded
from tests.unit.router.replay.test_differences import a_life, difference


def refused(log: MemoryLog, state: ShardState | None = None, window: Window | None = None) -> str:
    """Return the reason why nothing was compared."""
    with pytest.raises(NotComparable) as caught:
        finish(log.replayed(state, window or Window()))
    return str(caught.value)


def a_state_after(log: MemoryLog, batches: int) -> ShardState:
    """Return the state after the first `batches` batches."""
    part, state = copy.copy(log), ShardState(0)
    part.journal_ = log.journal_[:batches]
    assert finish(part.replayed(state)).identical
    return state


def test_a_journal_whose_beginning_is_gone_needs_a_state() -> None:
    """The message says how to get one."""
    log = a_life().log()
    log.journal_begin = 3
    why = refused(log)
    assert "the journal's beginning is no longer kept" in why
    assert "--capture" in why
    state = a_state_after(a_life().log(), 5)
    assert finish(log.replayed(state)).identical


def test_commands_that_are_gone_need_a_state() -> None:
    """The journal is kept longer than the commands."""
    log = a_life().log()
    state = a_state_after(log, 5)
    log.commands_ = [record for record in log.commands_ if record.offset >= 3]
    assert "can't be decided again" in refused(log)
    assert finish(log.replayed(copy.deepcopy(state))).identical
    log.commands_ = [record for record in log.commands_ if record.offset > state.position]
    assert "routing.commands.v1 is kept from" in refused(log, state)


def test_a_journal_that_does_not_begin_with_the_first_owner_is_refused() -> None:
    """The state that the first owner left is not known."""
    log = a_life().log()
    log.journal_ = [record._replace(offset=n) for n, record in enumerate(log.journal_[2:])]
    log.rewrite(0, lane_epoch=2)
    assert "begins with owner 2" in refused(log)


@pytest.mark.parametrize("lives", [1, 3])
def test_owners_that_died_before_their_first_transaction_decided_nothing(lives: int) -> None:
    """Their claims are durable, so the numbers of the owners have a gap; the replay takes over as the next owner did."""
    shard = a_life()
    last = shard.lane.position
    shard.lane.position = Position(last.offset, last.now_ms, last.epoch + lives)
    shard.crash()
    shard.enqueue()
    shard.wait(30_000)
    log = shard.log()
    assert {log.journaled(n).lane_epoch for n in range(len(log.journal_))} == {1, 2 + lives}
    assert finish(log.replayed()).identical


def test_a_first_owner_that_died_before_its_first_transaction_decided_nothing() -> None:
    """The journal begins with the second owner, before the first command."""
    log = a_life().log()
    for number in range(len(log.journal_)):
        log.rewrite(number, lane_epoch=2)
    assert log.journaled(0).next_offset == 0
    assert finish(log.replayed()).identical


def test_a_state_that_is_older_than_the_journal_is_refused() -> None:
    """There is a gap between them."""
    log = a_life().log()
    state = a_state_after(log, 2)
    log.journal_begin = 4
    assert "the state file ends at journal offset 1, and the journal is kept from 4 only" in refused(log, state)


def test_a_state_of_another_log_is_refused() -> None:
    """The topics were recreated: the record at the state's place is another one."""
    log = a_life().log()
    state = a_state_after(log, 4)
    log.rewrite(3, effects=77)
    assert "the state file is of another log" in refused(log, state)


def test_a_state_that_this_version_cannot_read_is_refused() -> None:
    """A later version has saved it."""
    log = a_life().log()
    state = a_state_after(log, 4)
    key = next(iter(state.entities))
    state.entities[key] = b"\xff" + state.entities[key][1:]
    assert "the saved state can't be read" in refused(log, state)


def test_a_window_before_the_state_is_refused() -> None:
    """The state cannot answer what the window asks for."""
    log = a_life().log()
    state = a_state_after(log, 5)
    assert "take an earlier file" in refused(log, copy.deepcopy(state), Window(At(state.now_ms - 1)))
    assert "take an earlier file" in refused(log, copy.deepcopy(state), Window(Offset(state.position - 1)))
    assert finish(log.replayed(state, Window(At(state.now_ms)))).identical


def test_a_takeover_that_was_not_journaled_is_refused() -> None:
    """An earlier version wrote it: the time at which the leases were renewed is not known."""
    shard = a_life()
    shard.crash()
    shard.enqueue()
    shard.wait(100)
    log = shard.log()
    taken_over = next(n for n in range(1, len(log.journal_)) if log.journaled(n).lane_epoch == 2)
    kept = [record for n, record in enumerate(log.journal_) if n != taken_over]
    log.journal_ = [record._replace(offset=n) for n, record in enumerate(kept)]
    assert "does not say when owner 2 took over from owner 1" in refused(log)


def test_a_restore_that_loses_something_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay restores as the next owner did: here sessions are forgotten, so no lease ends at the time of the original."""
    shard = Recorded()
    shard.wait(100)
    shard.crash()
    shard.wait(30_000)
    log = shard.log()
    assert finish(log.replayed()).identical
    add = Restorer.add

    def forgetful(self: Restorer, name: str, value: Value) -> None:
        if not isinstance(value, SessionEntry):
            add(self, name, value)

    monkeypatch.setattr(Restorer, "add", forgetful)
    found = difference(finish(log.replayed()))
    assert (found.owner, found.effects[1]) == (2, 0)
    assert found.found.summary == "the re-run has no such effect"
    assert found.found.original is not None
    assert found.found.original.record["reason"] == "LEASE_EXPIRED"


def test_records_that_never_reached_the_processor_are_left_out() -> None:
    """Records that an operator skipped, or whose effects were too large, are known from the dead letters."""
    shard = a_life()
    shard.lane.skip(shard.commands[-1].offset + 2)
    shard.enqueue()
    shard.enqueue()
    shard.enqueue()
    shard.wait(100)
    assert [verdict.reason for _, verdict in shard.lane.dead_letters] == ["SKIPPED_BY_OPERATOR"]
    log = shard.log()
    foreign = log.letters[0]._replace(value=b"\xff\xff")
    log.letters[:0] = [foreign, foreign._replace(value=None)]
    assert finish(log.replayed()).identical, "records that are not dead letters are ignored"
    log.letters.clear()
    assert not finish(log.replayed()).identical


def test_records_with_too_large_effects_are_left_out() -> None:
    """The lane restored itself and ran the batch again without the record."""
    shard = a_life()
    attributes = pb.InteractionAttributes(interaction_id="large", conversation_id="c", channel="chat", queue="q")
    attributes.labels["x"] = "y" * 950_000
    shard.enqueue()
    shard.tell(enqueue=pb.Enqueue(interaction=attributes))
    shard.enqueue()
    shard.wait(100)
    assert [verdict.reason for _, verdict in shard.lane.dead_letters] == ["OUTPUT_TOO_LARGE"]
    log = shard.log()
    report = finish(log.replayed())
    assert report.identical, report.difference
    assert report.takeovers == 2
    log.letters.clear()
    assert "OUTPUT_TOO_LARGE" in difference(finish(log.replayed())).found.summary


def test_an_empty_shard_is_identical() -> None:
    """Nothing was decided, and the replay decides nothing."""
    report = finish(MemoryLog([], [], []).replayed())
    assert (report.identical, report.batches) == (True, 0)


def test_the_newest_batch_of_a_changelog_is_found_in_the_journal() -> None:
    """It is found by owner and clock, and not after the position."""
    shard = a_life()
    log, position = shard.log(), shard.lane.position
    found = finish(newest(log, 0, position, -2_000))
    assert found is not None
    assert found == (len(log.journal_) - 1, log.journaled(-1))
    assert finish(newest(log, 0, Position(position.offset, position.now_ms + 1, position.epoch), 0)) is None
    before = Position(position.offset, log.journaled(3).now_ms, position.epoch)
    assert finish(newest(log, 0, before, 0)) == (3, log.journaled(3))


def test_an_owner_that_has_only_taken_over_is_found_by_its_first_record() -> None:
    """The lane's position still has the clock of the previous owner."""
    shard = a_life()
    before = shard.lane.position
    shard.crash(1_000)
    log = shard.log()
    taken_over = Position(before.offset, before.now_ms, before.epoch + 1)
    assert finish(newest(log, 0, taken_over, 0)) == (len(log.journal_) - 1, log.journaled(-1))
    assert finish(newest(log, 0, taken_over, len(log.journal_) - 1)) is None


def test_timers_without_an_effect_run_at_the_original_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A declined interaction may be offered again, and no agent is present: without an effect or transaction, the re-run still looks then."""
    shard = Recorded()
    looked: list[int] = []
    advance = ShardProcessor.advance

    def watched(self: ShardProcessor, now_ms: int, outbox: Outbox) -> None:
        looked.append(now_ms)
        advance(self, now_ms, outbox)

    monkeypatch.setattr(ShardProcessor, "advance", watched)
    for agent in "bcd":
        shard.tell(set_agent_state=pb.SetAgentState(agent_id=agent, state=pb.AGENT_STATE_AWAY))
    shard.enqueue("w")
    shard.cut()
    ((offer,),) = [interaction.offers.values() for interaction in shard.interactions()]
    shard.tell(decline_offer=pb.DeclineOffer(agent_id="a", offer_id=offer.offer_id, retry_after_ms=3_000))
    shard.tell(set_agent_state=pb.SetAgentState(agent_id="a", state=pb.AGENT_STATE_AWAY))
    began = shard.lane.now_ms
    shard.wait(4_000)
    assert looked == [began + 3_000]
    shard.enqueue()
    log = shard.log()
    assert list(idle_clocks(log.journaled(-1))) == [(at, at) for at in looked]
    live, looked[:] = list(looked), []
    assert finish(log.replayed()).identical
    assert looked == live


def test_an_effect_where_the_original_had_none_is_a_difference() -> None:
    """The original looked at its timers and nothing was due; the re-run has something to do."""
    shard = Recorded()
    shard.enqueue()
    shard.wait(100)
    log = shard.log()
    shard.wait(9_800)
    shard.enqueue()
    log = shard.log()
    log.rewrite(-1, idle_ms=[shard.lane.now_ms + 200])
    found = difference(finish(log.replayed()))
    assert "nothing was due, the re-run has" in found.found.summary
