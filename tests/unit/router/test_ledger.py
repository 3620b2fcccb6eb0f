"""The capacity ledger and the occupancy limit alone: what fits, why not, and when an agent rests."""

import pytest

from services.policy.model.routing import AgentProfile, CapacityProfile, ChannelCapacity, PoolConfig
from services.router.domain.pool.capacity import EMPTY, Capacity, Load, plus
from services.router.domain.pool.occupancy import next_change, rests, settle
from services.router.domain.pool.state import Agent
from tests.unit.router.world import START

PROFILE = CapacityProfile(
    "p",
    10,
    (
        ChannelCapacity("chat", 2, 2),
        ChannelCapacity("mail", 1),
        ChannelCapacity("voice", 10, 0, True, ("mail", "chat")),
        ChannelCapacity("fax", 0),
    ),
    3,
)


def a_load(**counts: int) -> Load:
    """Return a load."""
    return tuple((channel, count, 0) for channel, count in sorted(counts.items()))


@pytest.mark.parametrize(
    ("load", "channel", "why"),
    [
        (EMPTY, "chat", ""),
        (a_load(chat=1), "chat", ""),
        (a_load(chat=2), "chat", "CHANNEL_FULL"),
        (a_load(chat=2), "mail", ""),
        (a_load(mail=9), "mail", ""),
        (a_load(mail=10), "mail", "NO_CAPACITY"),
        (a_load(mail=9), "chat", "NO_CAPACITY"),
        (a_load(mail=8), "chat", ""),
        (EMPTY, "voice", ""),
        (a_load(mail=1), "voice", "EXCLUSIVE_CHANNEL"),
        (a_load(voice=1), "mail", "EXCLUSIVE_CHANNEL"),
        (EMPTY, "fax", "CHANNEL_NOT_SERVED"),
        (a_load(other=2), "another", ""),
        (a_load(other=2, mail=2), "another", "NO_CAPACITY"),
    ],
)
def test_a_channel_fits_on_top_of_a_load_or_is_refused_with_a_reason(load: Load, channel: str, why: str) -> None:
    """Each question is asked twice: the second answer comes from the cache."""
    capacity = Capacity(PROFILE)
    assert capacity.refusal(load, channel) == why
    assert [capacity.fits(load, channel) for _ in range(2)] == [not why] * 2


def test_weights_add_up_and_unlisted_channels_have_the_default() -> None:
    capacity = Capacity(PROFILE)
    load = a_load(chat=2, mail=3, other=1)
    assert (capacity.used(EMPTY), capacity.used(load), capacity.used(load), capacity.total) == (0, 10, 10, 10)
    assert (capacity.ratio(EMPTY), capacity.ratio(a_load(chat=1)), capacity.ratio(load)) == (0.0, 0.2, 1.0)
    assert Capacity(CapacityProfile("none", 0)).ratio(EMPTY) == 1.0
    assert Capacity(CapacityProfile("one", 1)).ratio(EMPTY) == 0.0


def test_an_unlisted_channel_is_not_served_without_a_default() -> None:
    capacity = Capacity(CapacityProfile("", 5, (ChannelCapacity("chat", 5),), 0))
    assert capacity.refusal(EMPTY, "mail") == "CHANNEL_NOT_SERVED"
    assert (capacity.has_room(EMPTY), capacity.has_room(a_load(chat=1))) == (True, False)


def test_room_for_any_channel_includes_unlisted_channels() -> None:
    capacity = Capacity(CapacityProfile("", 5, (ChannelCapacity("chat", 5),), 1))
    assert [capacity.has_room(a_load(mail=n)) for n in (0, 1, 4, 5, 5)] == [True, True, True, False, False]


def test_a_channel_interrupts_only_its_listed_channels() -> None:
    capacity = Capacity(PROFILE)
    assert capacity.interrupting
    assert capacity.interrupts("voice") == ("mail", "chat")
    assert capacity.interrupts("chat") == capacity.interrupts("other") == ()
    assert [capacity.interruptible(load) for load in (EMPTY, a_load(mail=1), a_load(fax=1), a_load(fax=1, chat=1))] == [
        False,
        True,
        False,
        True,
    ]
    plain = Capacity(CapacityProfile())
    assert (plain.interrupting, plain.interruptible(a_load(mail=1))) == (False, False)


def test_a_load_is_sorted_without_zeros_and_never_falls_below_zero() -> None:
    load = plus(plus(plus(EMPTY, "mail", 1), "chat", 1), "mail", 1)
    assert load == (("chat", 1, 0), ("mail", 2, 0))
    assert plus(plus(load, "chat", -1), "mail", -1) == (("mail", 1, 0),)
    with pytest.raises(ValueError, match="no voice to give back"):
        plus(load, "voice", -1)


def test_a_profile_by_name_the_first_for_another_and_one_at_a_time_without_any() -> None:
    first, second = CapacityProfile("first", 3), CapacityProfile("second", 4)
    pool = PoolConfig(profiles=(first, second))
    assert [pool.profile(name) for name in ("second", "first", "", "other")] == [second, first, first, first]
    assert PoolConfig().profile("x") == CapacityProfile("", 1, (), 1, 0.0, 600_000)


# The occupancy limit

LIMIT = CapacityProfile("", 1, occupancy_limit=0.75, occupancy_window_ms=10_000)
"""A balance of 2,500 ms is full. An hour of work fills it by a quarter of an hour; an hour without work drains it by three quarters."""


def an_agent(debt: float, *, busy: bool) -> Agent:
    """Return an agent whose balance was `debt` at the beginning."""
    agent = Agent(AgentProfile("a"), debt=debt, debt_at=START)
    agent.load = a_load(chat=1) if busy else EMPTY
    return agent


@pytest.mark.parametrize(
    ("debt", "busy", "after_ms", "resting"),
    [
        (0, True, 9_999, False),
        (0, True, 10_000, True),
        (2_500, False, 0, True),
        (2_499.9, False, 0, False),
        (2_500, False, 1, False),
        (3_250, False, 1_000, True),
        (3_250, False, 1_001, False),
        (2_500, True, -5, True),
    ],
)
def test_an_agent_with_a_full_balance_rests_until_it_has_drained(
    debt: float, busy: bool, after_ms: int, resting: bool
) -> None:
    assert rests(an_agent(debt, busy=busy), LIMIT, START + after_ms) is resting


@pytest.mark.parametrize(
    ("debt", "busy", "next_ms"),
    [
        *((0, True, 10_000), (2_000, True, 2_000), (2_500, True, 0), (2_499.9, True, 1), (0, False, 0)),
        *((2_500, False, 1), (3_250, False, 1_001), (3_250.5, False, 1_001), (2_499, False, 0)),
    ],
)
def test_the_next_change_of_rest_is_known(debt: float, busy: bool, next_ms: int) -> None:
    """The change is at that time, and not a millisecond before; 0 when nothing will change by itself."""
    agent = an_agent(debt, busy=busy)
    at = next_change(agent, LIMIT, START)
    assert at == (START + next_ms if next_ms else 0)
    if next_ms:
        assert rests(agent, LIMIT, START + next_ms - 1) is (not busy)
        assert rests(agent, LIMIT, START + next_ms) is busy


def test_without_a_limit_no_agent_rests() -> None:
    for limit in (0.0, 1.0):
        profile = CapacityProfile("", 1, occupancy_limit=limit, occupancy_window_ms=1)
        assert not rests(an_agent(10**9, busy=True), profile, START)
        assert next_change(an_agent(10**9, busy=True), profile, START) == 0


def test_the_balance_is_updated_on_changes_and_never_falls_below_zero() -> None:
    agent = an_agent(100, busy=True)
    settle(agent, LIMIT, True, START + 4_000)
    assert (agent.debt, agent.debt_at) == (1_100.0, START + 4_000)
    settle(agent, LIMIT, False, START + 5_000)
    assert (agent.debt, agent.debt_at) == (350.0, START + 5_000)
    settle(agent, LIMIT, False, START + 9_000)
    assert agent.debt == 0.0
    settle(agent, LIMIT, True, START + 8_000)
    assert (agent.debt, agent.debt_at) == (0.0, START + 8_000)
