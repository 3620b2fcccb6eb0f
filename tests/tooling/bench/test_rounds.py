"""Rounds of messages end, and say what is missing."""

import asyncio

import pytest

from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from tests.bench.open_offers import OpenOffers
from tests.bench.rounds import Clocked, RoundIncomplete, at_rate


def offered(number: int) -> api.SessionResponse:
    return api.SessionResponse(offered=view(number))


def revoked(number: int) -> api.SessionResponse:
    return api.SessionResponse(revoked=pb.OfferRevoked(offer_id=f"i{number}.1"))


def welcome(*numbers: int) -> api.SessionResponse:
    snapshot = pb.AgentSnapshot(offers=[view(number) for number in numbers])
    return api.SessionResponse(welcome=api.Welcome(snapshot=snapshot))


def view(number: int) -> pb.OfferView:
    return pb.OfferView(offer_id=f"i{number}.1", interaction=pb.InteractionAttributes(interaction_id=f"i{number}"))


def test_an_incomplete_round_ends_with_the_numbers() -> None:
    """Without this, a bench would wait for ever for one lost message."""

    async def round_() -> None:
        clocked = Clocked(3)

        async def submit(number: int) -> None:
            clocked.submit(number)
            clocked.acknowledge(number)

        await at_rate(1000, 3, submit)
        clocked.arrive(0)
        await clocked.complete(within_s=0.01)

    with pytest.raises(RoundIncomplete, match="of 3 messages, 3 were acknowledged and 1 arrived"):
        asyncio.run(round_())


def test_a_complete_round_needs_acknowledgements_and_arrivals() -> None:
    """An offer may overtake its acknowledgement; both count."""

    async def round_() -> list[float]:
        clocked = Clocked(1)
        clocked.submit(0)
        clocked.arrive(0)
        with pytest.raises(RoundIncomplete):
            await clocked.complete(within_s=0.01)
        clocked.acknowledge(0)
        await clocked.complete(within_s=0.01)
        return clocked.latencies()

    assert asyncio.run(round_()) == [0.0]


def test_a_new_session_replaces_what_the_agent_had() -> None:
    """Revocations while the session was lost are not sent again: only the snapshot shows them."""

    async def lost() -> OpenOffers:
        offers = OpenOffers()
        offers.handle("a0", welcome())
        for number in (1, 2, 3):
            offers.handle("a0", offered(number))
        assert [each.offer_id for each in offers.handle("a0", welcome(2, 4))] == ["i2.1", "i4.1"]
        with pytest.raises(RoundIncomplete, match="2 offers are open"):
            await offers.none_left(within_s=0.01)
        offers.handle("a0", revoked(2))
        offers.handle("a0", revoked(4))
        await offers.none_left(within_s=0.01)
        return offers

    offers = asyncio.run(lost())
    assert offers.reconnects == 1
    assert offers.take_interactions() == {"i1", "i2", "i3", "i4"}
    assert not offers.take_interactions()


def test_an_offer_that_moves_to_another_agent_is_still_open() -> None:
    """The second agent's offer may be seen before the first one's revocation."""

    async def moved() -> None:
        offers = OpenOffers()
        offers.handle("a0", offered(1))
        second = pb.OfferView(offer_id="i1.2", interaction=pb.InteractionAttributes(interaction_id="i1"))
        offers.handle("a1", api.SessionResponse(offered=second))
        offers.handle("a0", revoked(1))
        with pytest.raises(RoundIncomplete, match="1 offers are open"):
            await offers.none_left(within_s=0.01)

    asyncio.run(moved())


def test_a_new_session_changes_nothing_for_other_agents() -> None:
    """Each agent has offers of their own."""

    async def resumed() -> None:
        offers = OpenOffers()
        offers.handle("a0", offered(1))
        offers.handle("a1", welcome())
        with pytest.raises(RoundIncomplete, match="1 offers are open"):
            await offers.none_left(within_s=0.01)

    asyncio.run(resumed())
