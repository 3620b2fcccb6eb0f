"""What a decision about a partition loses or repeats, and when it is refused."""

from functools import partial

import pytest

from services.chassis.errors import ChaparError
from services.chassis.kafka.changelog import Position, Restored
from services.chassis.kafka.claims import Claim
from services.chassis.kafka.intervention import Repair, Situation
from services.chassis.kafka.witness import InputState, Witness
from services.cli.lane_decisions import Plan, rebuild, reset, skip
from services.cli.lane_table import EFFECTS, LANES, lane_of
from services.feedback.lanes import survey
from services.ingest.lanes import intake, sender
from services.router.lanes import shard
from services.sla.lanes import deadlines

ROUTER, SLA = LANES["router"], LANES["sla"]
ENTRIES = {b"a": b"1", b"b": b"2"}


def a_situation(
    position: int | None = 10,
    *,
    refused: str = "",
    topic: str = "one",
    begin: int = 2,
    end: int = 20,
    witness: int = 10,
    owner: str = "",
    skips: tuple[int, ...] = (),
) -> Situation:
    """Return a stopped partition with two entries, whose lane has read to 10 of 2 to 20."""
    last = None if position is None else Position(position, 1_000, 3)
    claim = Claim("" if refused or not owner else "w", 3, 3, "one", refused, skips)
    return Situation(
        0,
        InputState(topic, begin, end, "", 10, Witness("one", 3, witness)),
        Restored(dict(ENTRIES), last, claim),
        owner,
    )


def numbers(plan: Plan) -> tuple[int | None, int, int]:
    return plan.repair.offset, plan.left_out, plan.again


def test_the_lanes_are_those_of_the_services() -> None:
    """The table of topics gives each lane's name, input, changelog and group."""
    specs = (survey.SPEC, intake.SPEC, sender.SPEC, shard.SPEC, deadlines.SPEC)
    assert {spec.name: (spec.input, spec.changelog_topic, spec.group) for spec in specs} == {
        name: (lane.input, lane.changelog_topic, lane.group) for name, lane in LANES.items()
    }
    assert EFFECTS.keys() == LANES.keys()


def test_an_unknown_lane_is_named() -> None:
    with pytest.raises(ChaparError, match="no lane is named shards: there are ingest-intake") as error:
        lane_of("shards")
    assert error.value.reason == "UNKNOWN_LANE"


@pytest.mark.parametrize(
    ("to", "expected"),
    [("end", (20, 10, 0)), ("start", (2, 0, 8)), ("10", (10, 0, 0)), ("12", (12, 2, 0)), ("7", (7, 0, 3))],
)
def test_a_reset_counts_what_it_leaves_out_and_repeats(to: str, expected: tuple[int, int, int]) -> None:
    assert numbers(reset(ROUTER, a_situation(), to)) == expected


def test_offsets_of_another_log_say_nothing() -> None:
    """The input was recreated: nothing of the new log was handled, so nothing is repeated."""
    recreated = a_situation(topic="two", begin=0, end=5)
    assert numbers(reset(ROUTER, recreated, "start")) == (0, 0, 0)
    plan = reset(ROUTER, recreated, "end")
    assert numbers(plan) == (5, 5, 0)
    assert any("never routed" in sentence for sentence in plan.says)


def test_a_lost_changelog_is_counted_from_what_the_group_knows() -> None:
    lost = a_situation(None)
    assert numbers(reset(ROUTER, lost, "start")) == (2, 0, 8)
    plan = reset(ROUTER, lost, "end")
    assert numbers(plan) == (20, 10, 0)
    assert any("forgotten" in sentence for sentence in plan.says)


def test_a_cut_input_that_has_grown_again_is_explained() -> None:
    grown = a_situation(refused="INPUT_TAIL_LOST", owner="router@a:1")
    assert any("after the cut" in sentence for sentence in reset(ROUTER, grown, "end").says)


@pytest.mark.parametrize("to", ["1", "21", "-1", "٣", "latest", "", "9" * 5_000])
def test_an_offset_that_does_not_exist_is_refused(to: str) -> None:
    with pytest.raises(ChaparError) as error:
        reset(ROUTER, a_situation(), to)
    assert error.value.reason == "OFFSET_OUT_OF_RANGE"


def test_a_working_lane_is_neither_reset_nor_rebuilt() -> None:
    """It is stopped first, or it waits because it refuses the partition."""
    working = a_situation(owner="router@a:1")
    for lane, plan in ((ROUTER, partial(reset, to="end")), (SLA, rebuild)):
        with pytest.raises(ChaparError, match="stop every replica") as error:
            plan(lane, working)
        assert error.value.reason == "LANE_WORKS"
    waiting = a_situation(owner="router@a:1", refused="CHANGELOG_LOST")
    assert reset(ROUTER, waiting, "end").repair == Repair(20)


def test_only_a_lane_that_repeats_nothing_outside_is_rebuilt() -> None:
    plan = rebuild(SLA, a_situation())
    assert plan.repair == Repair(2, forget=True)
    assert (plan.again, plan.forgotten) == (18, 2)
    assert any("first 2 records no longer exist" in sentence for sentence in plan.says)
    for name in LANES.keys() - {"sla"}:
        with pytest.raises(ChaparError, match="reset") as error:
            rebuild(LANES[name], a_situation())
        assert error.value.reason == "REBUILD_REPEATS"


def test_a_skip_keeps_those_that_still_lie_before_the_lane() -> None:
    """Also while the lane works; its owner takes over again."""
    plan = skip(ROUTER, a_situation(owner="router@a:1", skips=(4, 15)), 12)
    assert plan.repair == Repair(skips=(12, 15))
    assert any("router@a:1 takes its partitions over again" in sentence for sentence in plan.says)


@pytest.mark.parametrize("offset", [9, 20])
def test_a_record_that_is_handled_or_not_written_is_not_skipped(offset: int) -> None:
    with pytest.raises(ChaparError, match="records 10 to 19 before it") as error:
        skip(ROUTER, a_situation(), offset)
    assert error.value.reason == "OFFSET_OUT_OF_RANGE"


def test_no_record_of_a_refused_partition_is_skipped() -> None:
    with pytest.raises(ChaparError) as error:
        skip(ROUTER, a_situation(topic="two"), 12)
    assert error.value.reason == "LANE_REFUSES"
