"""A short campaign: two faults strike the running product together, and the checker finds nothing."""

import pytest

from tests.chaos.campaign.__main__ import chosen, unknown_after_kills
from tests.chaos.campaign.faults import FAULTS
from tests.chaos.campaign.play import Row, play
from tests.chaos.campaign.stage import a_stage
from tests.chaos.campaign.traffic import SHARES, Traffic

TRAFFIC = Traffic(rate=8, seconds=12)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.timeout(240)
async def test_nothing_is_violated_while_a_router_dies_inside_a_commit_and_providers_cut() -> None:
    """Customers of all channels of both tenants are served; each invariant holds on what they saw and what the topics hold."""
    faults = (FAULTS["kill router inside commit"], FAULTS["providers cut after they accepted"])
    async with a_stage() as stage:
        row, found = await play(stage, faults, TRAFFIC, seed=4, say=lambda text: None)
    assert [str(violation) for violation in found] == []
    assert row.restarts in ({"router": 1}, {"router-2": 1}), "one router killed itself"
    assert row.unknown > 0, "a provider cut a connection after it accepted"
    assert row.interactions > TRAFFIC.rate * TRAFFIC.seconds / 2
    assert set(row.by_channel) == {"/".join(each) for each in SHARES}


def test_a_campaign_plays_each_fault_and_then_pairs_of_different_ones() -> None:
    """The pairs are drawn with the seed; none contains the run without a fault, or a fault that needs a run of its own."""
    runs = chosen((), 10, seed=3)
    pairs = [run for run in runs if len(run) == 2]
    assert len(pairs) == 10
    assert chosen((), 10, seed=3) == runs
    assert all(pair[0].name != pair[1].name for pair in pairs)
    assert {fault.name for pair in pairs for fault in pair}.isdisjoint(
        {"none", "full disk", "rolling upgrade", "input recreated", "input shortened", "history shortened by retention"}
    )


def test_the_share_of_unknown_replies_counts_kills_of_services_alone() -> None:
    """A provider that cuts connections, or a broker that dies, makes other unknown outcomes."""

    def a_row(fault: str, replies: int, unknown: int) -> Row:
        return Row(fault, 0, 0, replies, 0, 0, unknown, 0, 0, 0.0, 0.0, 0.0, {}, {}, {})

    rows = [a_row("kill ingest", 300, 2), a_row("kill sla", 100, 0), a_row("kill broker", 100, 50), a_row("none", 9, 9)]
    assert unknown_after_kills([*rows, a_row("kill sla + providers away", 10, 10)]) == 0.005
    assert unknown_after_kills(rows[2:]) is None
