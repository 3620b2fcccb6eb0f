"""After any life of a shard, a replay of its journal gives the same effects and the same state."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from services.router.replay.state import ShardState, StateFile, StateWriter
from services.router.replay.window import At, Offset, Window
from tests.fakes.lane import finish
from tests.unit.router.replay.lives import Step, live, lives
from tests.unit.router.replay.recorded import Recorded

MODEST = settings(max_examples=60, suppress_health_check=list(HealthCheck))


@MODEST
@given(lives(takeovers=True))
def test_a_replay_is_identical_and_ends_in_the_same_state(steps: list[Step]) -> None:
    """With life cycles, timers, changes of owner, garbage and repetitions, every effect is equal by hash, and the changelog entry by entry."""
    shard = Recorded()
    live(shard, steps)
    log, state = shard.log(), ShardState(0)
    report = finish(log.replayed(state))
    assert report.identical, report
    assert (report.batches, report.commands) == (len(log.journal_), len(shard.commands))
    assert list(state.entities.items()) == list(shard.lane.changelog.items())
    assert (state.position, state.epoch) == (shard.lane.position.offset, shard.lane.position.epoch)
    event(f"takeovers: {min(report.takeovers, 5)}")


@MODEST
@given(lives(takeovers=True, least=10), st.data())
def test_a_replay_goes_on_from_a_saved_state(steps: list[Step], data: st.DataObject) -> None:
    """A replay that stops at any batch, is saved to a file and continued gives the same as one without a stop."""
    shard = Recorded()
    live(shard, steps)
    log, whole, part = shard.log(), ShardState(0), ShardState(0)
    assert finish(log.replayed(whole)).identical
    cut = data.draw(st.integers(0, len(log.journal_)), label="batches of the first part")
    rest = log.journal_[cut:]
    log.journal_ = log.journal_[:cut]
    first = finish(log.replayed(part))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        with StateWriter(path, "chapar.") as writer:
            writer.add(part)
            writer.commit()
        resumed = StateFile(path, "chapar.").shard(0)
    log.journal_ += rest
    second = finish(log.replayed(resumed))
    assert first.identical
    assert second.identical, second
    assert first.batches + second.batches == len(log.journal_)
    assert (resumed.position, resumed.epoch, resumed.now_ms) == (whole.position, whole.epoch, whole.now_ms)
    assert remembered(resumed) == remembered(whole)


def remembered(state: ShardState) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    """Return the entities, and the chunks of remembered commands without their numbers, which start again when nothing is remembered."""
    plain = [(key, value) for key, value in state.entities.items() if not key.startswith(b"d|")]
    return plain, [value for key, value in state.entities.items() if key.startswith(b"d|")]


def a_day() -> Recorded:
    """Return one owner's shard with four interactions, one minute apart."""
    shard = Recorded()
    for number in range(4):
        shard.enqueue(person=number)
        shard.wait(60_000)
        for agent in "abcd":
            shard.sign_in(agent)
        shard.cut()
    return shard


def test_a_life_of_one_owner_is_identical() -> None:
    """The counts of the plain case are correct."""
    shard = a_day()
    report = finish(shard.log().replayed())
    assert report.identical
    assert report.commands == len(shard.commands)
    assert report.effects > 50


def test_a_window_counts_its_own_batches_and_compares_earlier_ones_too() -> None:
    """A window by time, and one by offset; both are half-open."""
    log = a_day().log()
    clocks = [log.journaled(n).now_ms for n in range(len(log.journal_))]
    third = clocks[3]
    report = finish(log.replayed(window=Window(At(third), At(clocks[-1]))))
    inside = [clock for clock in clocks if third <= clock < clocks[-1]]
    assert (report.batches, report.before_window) == (len(inside), sum(clock < third for clock in clocks))
    assert (report.from_ms, report.to_ms) == (inside[0], inside[-1])
    offset = log.journaled(3).next_offset - 1
    by_offset = finish(log.replayed(window=Window(Offset(offset), Offset(offset + 1))))
    assert by_offset.commands >= 1
    assert by_offset.next_offset > offset


def test_a_difference_before_the_window_is_reported() -> None:
    """Batches that are only folded are compared too."""
    log = a_day().log()
    log.rewrite(1, effects=99)
    report = finish(log.replayed(window=Window(At(log.journaled(5).now_ms))))
    assert report.difference is not None
    assert report.difference.journal_offset == 1
