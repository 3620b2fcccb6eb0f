"""The rules for every lane, with any transport. `LaneContract` is inherited once for the fake and once for real Kafka."""

from typing import Protocol

import pytest

from services.chassis.kafka.contract import ProcessorFailed
from services.chassis.kafka.records import EPOCH_HEADER, Headers
from tests.contract.lane.ledger import Ledger


class Harness(Protocol):
    """Drives a lane with the `Ledger`, on one partition, for the suite."""

    replies: list[str]

    async def feed(self, *commands: str, headers: Headers = ()) -> None:
        """Send `key=command` records as one burst; return when all are committed."""

    async def restart(self, *, clock_back_ms: int = 0, skip: tuple[int, ...] = ()) -> None:
        """Let another owner take over; its clock may be behind, and it may skip records by offset."""

    async def lose_changelog(self) -> None:
        """Stop the lane, and empty its changelog."""

    async def recreate_input(self) -> None:
        """Stop the lane, and replace its input by an empty topic of the same name."""

    async def lose_tail(self) -> None:
        """Stop the lane, and let its input end one record before its position."""

    async def grow(self, records: int) -> None:
        """Append records to the input while no lane runs."""

    async def refusal(self) -> str:
        """Start a lane, wait until it refuses the partition, stop it, and return the reason."""

    async def pass_time(self, ms: int) -> None: ...
    async def outputs(self) -> list[tuple[str, str, Headers]]:
        """Return (key, value, headers) of all committed outputs, without the `start` records."""

    async def starts(self) -> list[str]:
        """Return the `start` records."""

    async def dead_letters(self) -> list[tuple[int, str]]:
        """Return (offset of the origin, reason)."""

    def ledger(self) -> Ledger:
        """Return the live instance."""


def simple(outputs: list[tuple[str, str, Headers]]) -> list[str]:
    return [f"{key}:{value}" for key, value, _ in outputs]


class LaneContract:
    """Inherit from this class, and define a `lane` fixture."""

    async def test_each_input_has_its_outputs_once_in_order(self, lane: Harness) -> None:
        """The outputs of a batch are committed, once, in order per key; after that the replies follow in order."""
        await lane.feed("a=add", "b=add", "a=add")
        await lane.feed("a=add")
        assert simple(await lane.outputs()) == ["a:count 1", "b:count 1", "a:count 2", "a:count 3"]
        assert lane.replies == ["a=1", "b=1", "a=2", "a=3"]

    async def test_state_and_position_survive(self, lane: Harness) -> None:
        """The next owner continues exactly at the last commit."""
        await lane.feed("a=add", "a=add", "b=add")
        await lane.restart()
        assert lane.ledger().counts == {b"a": 2, b"b": 1}
        await lane.feed("a=add")
        assert simple(await lane.outputs())[-1] == "a:count 3"
        assert lane.replies == ["a=1", "a=2", "b=1", "a=3"]

    async def test_a_record_without_a_trace_leaves_none(self, lane: Harness) -> None:
        """A record that writes nothing is handled in its order; another owner goes on behind it."""
        await lane.feed("a=add", "a=look", "a=add")
        await lane.feed("a=look")
        await lane.restart()
        await lane.feed("a=add")
        assert simple(await lane.outputs()) == ["a:count 1", "a:count 2", "a:count 3"]
        assert await lane.dead_letters() == []

    async def test_a_deleted_entry_stays_deleted(self, lane: Harness) -> None:
        """A tombstone deletes; restore passes each live key once, ordered by last write."""
        await lane.feed("a=add", "b=add", "c=add", "a=add", "b=del")
        await lane.restart()
        assert lane.ledger().restored == [b"count/c", b"count/a"]

    async def test_every_ownership_has_its_own_epoch(self, lane: Harness) -> None:
        """The epoch increases with each owner, is on every output, and `start` is committed once per ownership."""
        await lane.feed("a=add")
        await lane.restart()
        await lane.feed("a=add")
        epochs = [int(dict(headers)[EPOCH_HEADER]) for _, _, headers in await lane.outputs()]
        assert epochs[0] < epochs[1] == lane.ledger().context.epoch
        assert await lane.starts() == [f"started {epoch}" for epoch in epochs]

    async def test_trace_context_passes_through(self, lane: Harness) -> None:
        """Trace headers of the input are copied to its outputs, unless the processor sets its own."""
        await lane.feed("a=add", headers=(("traceparent", b"00-aa"), ("secret", b"x")))
        await lane.feed("a=traced:own", headers=(("traceparent", b"00-aa"),))
        (_, _, passed), (_, _, own) = await lane.outputs()
        assert dict(passed)["traceparent"] == b"00-aa"
        assert "secret" not in dict(passed)
        assert [value for name, value in own if name == "traceparent"] == [b"own"]

    async def test_poison_becomes_a_dead_letter_and_the_other_records_continue(self, lane: Harness) -> None:
        """A refused record becomes a dead letter in the same transaction; the other records of the batch are not affected."""
        await lane.feed("a=add", "a=poison", "a=what", "a=add")
        assert simple(await lane.outputs()) == ["a:count 1", "a:count 2"]
        assert await lane.dead_letters() == [(1, "UNDECODABLE"), (2, "UNKNOWN_COMMAND")]

    async def test_a_record_refused_half_way_leaves_no_trace(self, lane: Harness) -> None:
        """The record's writes are rolled back, and its changes in memory too."""
        await lane.feed("a=add", "a=half", "b=half", "a=add")
        assert simple(await lane.outputs()) == ["a:count 1", "a:count 2"]
        assert lane.ledger().counts == {b"a": 2}
        assert lane.replies == ["a=1", "a=2"]
        assert await lane.dead_letters() == [(1, "SECOND_THOUGHTS"), (2, "SECOND_THOUGHTS")]

    @pytest.mark.parametrize("command", ["huge", "swallow"])
    async def test_an_oversized_output_affects_no_other_record(self, lane: Harness, command: str) -> None:
        """The input that caused it becomes a dead letter, even if the processor swallowed the exception; the state is as if it never existed."""
        await lane.feed("a=add", f"a={command}", "b=add", "a=add")
        assert simple(await lane.outputs()) == ["a:count 1", "b:count 1", "a:count 2"]
        assert lane.ledger().counts == {b"a": 2, b"b": 1}
        assert await lane.dead_letters() == [(1, "OUTPUT_TOO_LARGE")]

    async def test_an_oversized_poison_is_shortened(self, lane: Harness) -> None:
        """A dead letter always fits: the original is still at its origin."""
        await lane.feed("a=" + "x" * 30_000, "a=add")
        assert await lane.dead_letters() == [(0, "UNKNOWN_COMMAND")]
        assert simple(await lane.outputs()) == ["a:count 1"]

    async def test_timers_fire_once_across_owners(self, lane: Harness) -> None:
        """A timer that one owner set is fired by the next owner, once, even if it became due in between."""
        await lane.feed("a=timer:400", "b=timer:5", "c=timer:3600000")
        await lane.pass_time(100)
        await lane.restart()
        await lane.pass_time(600)
        await lane.restart()
        await lane.pass_time(100)
        assert simple(await lane.outputs()) == ["b:fired", "a:fired"]
        assert lane.ledger().timers.keys() == {b"timer/c"}

    async def test_time_never_goes_backwards(self, lane: Harness) -> None:
        """An owner whose clock is behind continues from the time of the last batch."""
        await lane.feed("a=now")
        await lane.restart(clock_back_ms=3_600_000)
        await lane.feed("a=now")
        first, second = (int(value.removeprefix("now ")) for _, value, _ in await lane.outputs())
        assert second >= first
        assert (lane.ledger().started_at or 0) >= first

    async def test_a_bug_becomes_a_dead_letter_and_the_other_records_continue(self, lane: Harness) -> None:
        """After another exception the record is retried; then it is as if it never existed, and the other records of the batch are not affected."""
        await lane.feed("a=add")
        await lane.feed("a=add", "a=bug", "b=bug", "a=add")
        assert simple(await lane.outputs()) == ["a:count 1", "a:count 2", "a:count 3"]
        assert lane.ledger().counts == {b"a": 3}
        assert await lane.dead_letters() == [(2, "PROCESSOR_FAILED"), (3, "PROCESSOR_FAILED")]

    async def test_an_operator_may_skip_a_record(self, lane: Harness) -> None:
        """A record that an operator names becomes a dead letter without being handled."""
        await lane.feed("a=add")
        await lane.restart(skip=(2,))
        await lane.feed("a=add", "a=add", "a=add")
        assert simple(await lane.outputs()) == ["a:count 1", "a:count 2", "a:count 3"]
        assert await lane.dead_letters() == [(2, "SKIPPED_BY_OPERATOR")]

    async def test_a_bug_without_a_record_ends_the_lane(self, lane: Harness) -> None:
        """If there is no record to skip, continuing would be wrong: the run ends and reports where."""
        with pytest.raises(ProcessorFailed, match="start, begin, advance or end failed 3 times"):
            await lane.feed("a=break")

    async def test_a_lost_changelog_is_refused(self, lane: Harness) -> None:
        """A lane with history and without a changelog would decide everything again: it does not start, now or later."""
        await lane.feed("a=add", "b=add")
        before = await lane.outputs()
        await lane.lose_changelog()
        assert await lane.refusal() == "CHANGELOG_LOST"
        assert await lane.refusal() == "CHANGELOG_LOST"
        assert await lane.outputs() == before

    async def test_a_recreated_input_is_refused(self, lane: Harness) -> None:
        """Also when the new log has outgrown the old position: the lane would leave out the records before it."""
        await lane.feed("a=add", "b=add")
        before = await lane.outputs()
        await lane.recreate_input()
        assert await lane.refusal() == "INPUT_RECREATED"
        await lane.grow(5)
        assert await lane.refusal() == "INPUT_RECREATED"
        assert await lane.outputs() == before

    async def test_a_lost_tail_is_refused(self, lane: Harness) -> None:
        """Also when the input has grown again by the time of the next start: the refusal is remembered."""
        await lane.feed("a=add", "b=add")
        before = await lane.outputs()
        await lane.lose_tail()
        assert await lane.refusal() == "INPUT_TAIL_LOST"
        await lane.grow(5)
        assert await lane.refusal() == "INPUT_TAIL_LOST"
        assert await lane.outputs() == before
