"""Valid and invalid configurations: each bound at its last valid and first invalid value; an invalid one is refused as a whole."""

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from services.policy.model.routing import (
    AgentProfile,
    CapacityProfile,
    ChannelCapacity,
    OverflowRule,
    PickUpTarget,
    PoolConfig,
    QueueConfig,
    Ring,
    Selector,
    Trigger,
)
from services.policy.model.validity import is_valid
from tests.unit.router.world import a_queue, requires

LONGEST = 366 * 86_400_000
GOOD = PoolConfig(1, queues=(a_queue(),), profiles=(CapacityProfile(),))


def with_queue(**changes: Any) -> PoolConfig:
    """Return a pool with changes to its queue."""
    return replace(GOOD, queues=(a_queue(**changes),))


def with_profile(**changes: Any) -> PoolConfig:
    """Return a pool with changes to its capacity profile."""
    return replace(GOOD, profiles=(replace(CapacityProfile(), **changes),))


def a_rule(**changes: Any) -> tuple[OverflowRule, ...]:
    """Return an overflow rule with changes."""
    return (replace(OverflowRule("r", Trigger.LENGTH, 1), **changes),)


@pytest.mark.parametrize(
    "good",
    [
        GOOD,
        PoolConfig(),
        replace(GOOD, lease_ms=1, grace_ms=0),
        replace(GOOD, queues=(a_queue("a"), a_queue("b"))),
        with_profile(total=0, default_weight=0, occupancy_window_ms=0),
        with_profile(occupancy_limit=0.99, channels=(ChannelCapacity("c", 0, 0),)),
        with_queue(ageing_per_minute=float(LONGEST), service_level_goal=0.0),
        with_queue(overflow=a_rule(threshold=0.0)),
        with_queue(overflow=a_rule(threshold=float(LONGEST))),
        with_queue(requirements=(requires("x", -1e300),)),
        with_queue(rings=(Ring(0, lower=(("x", -5.0),)),)),
    ],
)
def test_valid_configurations_are_accepted(good: PoolConfig) -> None:
    assert is_valid(good)


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, lease_ms=0),
        replace(GOOD, grace_ms=-1),
        replace(GOOD, queues=(a_queue("a"), a_queue("a"))),
        with_queue(name=""),
        with_queue(offer_ms=0),
        with_queue(offer_ms=LONGEST + 1),
        *(replace(GOOD, agents=(AgentProfile("a", skills=(("x", number),)),)) for number in (nan, inf, -inf)),
        replace(GOOD, agents=(AgentProfile("a", skills=(("x", 1.0), ("y", nan))),)),
        replace(GOOD, agents=(AgentProfile("a"), AgentProfile(""))),
        with_profile(total=-1),
        with_profile(default_weight=-1),
        with_profile(channels=(ChannelCapacity("c", 1), ChannelCapacity("d", -1))),
        with_profile(channels=(ChannelCapacity("c", 1, -1),)),
        with_profile(occupancy_limit=1.0),
        with_profile(occupancy_limit=-0.01),
        with_profile(occupancy_limit=nan),
        with_profile(occupancy_window_ms=-1),
        replace(GOOD, profiles=(CapacityProfile(), CapacityProfile("b", -1))),
        *(
            with_queue(**{name: number})
            for name in ("ageing_per_minute", "service_level_goal")
            for number in (nan, inf, -0.1)
        ),
        *(with_queue(overflow=a_rule(threshold=number)) for number in (nan, inf, -1.0, LONGEST + 1.0)),
        with_queue(rings=(Ring(0), Ring(0, lower=(("x", 1.0), ("y", nan))))),
    ],
)
def test_invalid_configurations_are_refused(bad: PoolConfig) -> None:
    assert not is_valid(bad)


TIMES = [
    *("wrap_up_ms", "sticky_ms", "sticky_team_ms", "service_level_ms", "delay_ms", "transfer_hold_ms"),
    *("keep_free", "max_offers"),
]


@pytest.mark.parametrize("name", TIMES)
def test_times_and_counts_of_a_queue_are_not_negative_and_at_most_a_year(name: str) -> None:
    assert [is_valid(with_queue(**{name: value})) for value in (-1, 0, LONGEST, LONGEST + 1)] == [
        False,
        True,
        True,
        False,
    ]


def test_times_of_rings_and_targets_have_the_same_bounds() -> None:
    values = (-1, 0, LONGEST, LONGEST + 1)
    assert [is_valid(with_queue(rings=(Ring(1), Ring(ms)))) for ms in values] == [False, True, True, False]
    assert [is_valid(with_queue(pick_up_targets=(PickUpTarget(1), PickUpTarget(ms)))) for ms in values] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "selector",
    [
        requires("x", nan),
        requires("x", inf),
        requires("x", expires_after_ms=-1),
        requires("x", steps=((0, 1.0), (-1, 1.0))),
        requires("x", steps=((0, 1.0), (1, nan))),
        Selector("", any_of=(requires("y"), requires("x", nan))),
        Selector("", all_of=(requires("y"), Selector("", any_of=(requires("x", expires_after_ms=-1),)))),
    ],
)
def test_requirements_of_queues_and_of_overflow_rules_are_looked_at_to_the_bottom(selector: Selector) -> None:
    assert is_valid(with_queue(requirements=(requires("x"), requires("x", steps=((0, 1.0),)))))
    assert not is_valid(with_queue(requirements=(requires("x"), selector)))
    assert not is_valid(with_queue(overflow=a_rule(requirements=(selector,))))


def test_one_bad_queue_among_good_ones_is_enough() -> None:
    assert not is_valid(replace(GOOD, queues=(a_queue("a"), QueueConfig("b", offer_ms=0), a_queue("c"))))
