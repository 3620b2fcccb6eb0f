"""An outage of the log ends no session: grace counts from when the shard has read the log again."""

import pytest

from chapar.router.v1 import records_pb2 as pb
from services.policy.model.routing import LEASE_MS
from tests.flow.router.test_shard import Shard, events

OFFER_MS, OUTAGE_MS = 20_000, 60_000


@pytest.fixture
def shard() -> Shard:
    made = Shard()
    made.configure()
    made.sign_in()
    return made


def ended(shard: Shard) -> list[str]:
    return [e.reason for e in events(shard.lane.sent) if e.agent_state_changed.after == pb.AGENT_STATE_OFFLINE]


def outage(shard: Shard) -> None:
    """The log is away: time passes, nothing is read, and the lane's watermark does not move."""
    shard.lane.behind_ms = OUTAGE_MS
    shard.lane.advance(OUTAGE_MS)
    assert ended(shard) == [], "no lease ends while the log is away"
    shard.lane.behind_ms, shard.lane.returned = 0, True
    shard.lane.advance(1)


def test_a_desk_that_is_still_there_stays_signed_in(shard: Shard) -> None:
    outage(shard)
    shard.lane.advance(LEASE_MS - 1_000)
    shard.tell(renew_leases=pb.RenewLeases(session_ids=["s"]))
    shard.lane.advance(LEASE_MS - 1_000)
    assert ended(shard) == []


def test_a_desk_that_left_meanwhile_is_signed_out(shard: Shard) -> None:
    """A lease after the return, and not before."""
    outage(shard)
    shard.lane.advance(LEASE_MS - 10)
    assert ended(shard) == []
    shard.lane.advance(10)
    assert ended(shard) == ["LEASE_EXPIRED"]


def test_a_renewal_that_waited_in_the_log_counts(shard: Shard) -> None:
    """The lane was stopped for longer than the lease; the renewals of the time between are in the log."""
    shard.lane.now_ms += LEASE_MS - 5_000
    renewal = shard.lane.record(shard.command(renew_leases=pb.RenewLeases(session_ids=["s"])))
    shard.lane.now_ms += 10_000
    shard.lane.advance(100)
    assert ended(shard) == []
    shard.lane.batch(renewal)
    shard.lane.advance(LEASE_MS - 1_000)
    assert ended(shard) == []


def test_an_offer_that_was_answered_in_time_does_not_expire(shard: Shard) -> None:
    """The acceptance was in the log before the offer was over; the lane reads it afterwards."""
    shard.enqueue()
    [offered] = [e.offered for e in events(shard.lane.sent) if e.WhichOneof("event") == "offered"]
    shard.lane.now_ms += 5_000
    answer = pb.AcceptOffer(agent_id="a", offer_id=offered.offer_id)
    accepted = shard.lane.record(shard.command(accept_offer=answer))
    shard.lane.now_ms += 10 * OFFER_MS
    shard.lane.advance(100)
    found = [e.WhichOneof("event") for e in events(shard.lane.batch(accepted))]
    assert "assigned" in found
