"""The configuration of one pool's engine: complete, with the domain's defaults, and without invalid values."""

from typing import Any, Final

import pytest
from google.protobuf.json_format import ParseDict

from chapar.config.v1 import config_pb2
from services.policy.model.routing import (
    GRACE_MS,
    LEASE_MS,
    AgentProfile,
    CapacityProfile,
    ChannelCapacity,
    Choice,
    Operator,
    Order,
    OverflowRule,
    PickUpTarget,
    PoolConfig,
    QueueConfig,
    Ring,
    Selector,
    Trigger,
)
from services.policy.reading.numbers import LONGEST_MS
from services.policy.reading.routing import LONGEST_WINDOW_MS, MOST_OFFERS, to_pool


def _tenant(**queue: Any) -> config_pb2.TenantConfiguration:
    return ParseDict({"queues": [{"name": "q", **queue}]}, config_pb2.TenantConfiguration())


FULL: Final = {
    "version": 4,
    "pools": [{"name": "default", "sessionLeaseMs": 5, "assignmentGraceMs": 6}, {"name": "other"}],
    "queues": [
        {
            "name": "q", "priority": 2, "requirements": [{"attribute": "x", "number": 3}], "choice": "AGENT_CHOICE_ADAPTIVE",
            "offerTimeoutMs": 7, "wrapUpMs": 8, "stickyMs": 9, "ageingPerMinute": 0.5, "serviceLevelMs": 10,
            "order": "QUEUE_ORDER_DEADLINE", "serviceLevelGoal": 0.9, "delayMs": 11, "maxOffers": 2, "keepFree": 3,
            "stickyTeamMs": 12, "transferHoldMs": 13, "matchWindowMs": 15, "dispositionRequired": True, "dispositionChannels": ["email"],
            "askAgainMs": 16, "preferRings": True, "warnSilentAfterMs": 17, "closeSilentAfterMs": 18,
            "rings": [{"afterMs": 14, "drop": ["x"], "lower": {"b": 1, "a": 2}, "queues": ["r"]}],
            "overflow": [
                {"name": "long", "when": "OVERFLOW_TRIGGER_LENGTH", "threshold": 10, "queue": "r", "setPriority": 0},
                {"name": "late", "when": "OVERFLOW_TRIGGER_WAIT", "thresholdMs": 60000, "addPriority": 5,
                 "requirements": [{"attribute": "x"}], "replaceRequirements": True},
                {"name": "bad", "when": "OVERFLOW_TRIGGER_SERVICE_LEVEL", "threshold": 0.5, "cancel": True},
            ],
        },
        {"name": "r"},
        {"name": "elsewhere", "pool": "other"},
    ],
    "agents": [
        {"agentId": "a", "displayName": "A", "skills": {"x": 5}, "capacityProfile": "p", "queues": ["r", "q"], "team": "red"},
        {"agentId": "b", "pool": "other"},
    ],
    "capacityProfiles": [
        {
            "name": "p", "total": 100, "defaultWeight": 20, "occupancyLimit": 0.85, "occupancyWindowMs": 99,
            "channels": [{"channel": "voice", "weight": 100, "maximum": 1, "exclusive": True, "interrupts": ["email"],
                          "weightWhileCustomerAwaited": 0}],
        }
    ],
}  # fmt: skip


def test_a_configuration_is_converted_completely() -> None:
    """Every field of the pool's part is copied; nothing of another pool is."""
    x = Selector("x", Operator.AT_LEAST, 0.0)
    assert to_pool(ParseDict(FULL, config_pb2.TenantConfiguration()), "default") == PoolConfig(
        version=4,
        lease_ms=5,
        grace_ms=6,
        queues=(
            QueueConfig(
                name="q", priority=2, requirements=(Selector("x", Operator.AT_LEAST, 3.0),), choice=Choice.ADAPTIVE,
                offer_ms=7, wrap_up_ms=8, sticky_ms=9, ageing_per_minute=0.5, service_level_ms=10, order=Order.DEADLINE,
                service_level_goal=0.9, delay_ms=11, max_offers=2, keep_free=3, sticky_team_ms=12, transfer_hold_ms=13,
                rings=(Ring(14, ("x",), (("a", 2.0), ("b", 1.0)), ("r",)),),
                overflow=(
                    OverflowRule("long", Trigger.LENGTH, 10.0, "r", set_priority=0),
                    OverflowRule("late", Trigger.WAIT, 60_000.0, add_priority=5, requirements=(x,), replace_requirements=True),
                    OverflowRule("bad", Trigger.SERVICE_LEVEL, 0.5, cancel=True),
                ),
                match_window_ms=15, disposition_required=True, disposition_channels=("email",),
                ask_again_ms=16, prefer_rings=True, warn_silent_ms=17, close_silent_ms=18,
            ),
            QueueConfig("r"),
        ),
        agents=(AgentProfile("a", "A", (("x", 5.0),), "p", ("q", "r"), "red"),),
        profiles=(
            CapacityProfile("p", 100, (ChannelCapacity("voice", 100, 1, True, ("email",), awaited_weight=0),), 20, 0.85, 99),
        ),
        elsewhere=(("elsewhere", "other"),),
    )  # fmt: skip


def test_missing_fields_have_the_domains_defaults() -> None:
    """The contract's zero is not the engine's zero."""
    config = config_pb2.TenantConfiguration(
        queues=[config_pb2.Queue(name="q")], capacity_profiles=[config_pb2.CapacityProfile(name="p", total=1)]
    )
    pool = to_pool(config, "default")
    assert pool.queues == (QueueConfig("q"),)
    assert pool.profiles == (CapacityProfile("p", 1, (), 0),)
    assert (pool.lease_ms, pool.grace_ms) == (LEASE_MS, GRACE_MS)


def test_pick_up_targets_come_from_the_sla_policies_of_a_queue_in_their_order() -> None:
    """Policies for any queue or for this one apply; one level in a policy means both; a policy without a pick-up target hides later ones.

    A policy with conditions that the router does not evaluate is ignored.
    """
    pick_up, other = config_pb2.TARGET_KIND_PICK_UP, config_pb2.TARGET_KIND_RESOLUTION
    target = config_pb2.SlaTarget
    policy = config_pb2.SlaPolicy
    config = config_pb2.TenantConfiguration(
        queues=[config_pb2.Queue(name="q"), config_pb2.Queue(name="r")],
        sla_policies=[
            policy(name="when", when="priority > 3", targets=[target(kind=pick_up, desired_ms=1)]),
            policy(name="fa", languages=["fa"], targets=[target(kind=pick_up, desired_ms=2)]),
            policy(name="most", priority_at_most=0, targets=[target(kind=pick_up, desired_ms=3)]),
            policy(name="gold", tiers=["gold"], targets=[target(kind=pick_up, desired_ms=5, adequate_ms=9)]),
            policy(name="slow", targets=[target(kind=other, desired_ms=4 * LONGEST_MS, adequate_ms=4 * LONGEST_MS)]),
            policy(name="r", queues=["r"], channels=["voice"], targets=[target(kind=pick_up, adequate_ms=7)]),
            policy(name="rest", targets=[target(kind=other, desired_ms=1), target(kind=pick_up, desired_ms=8)]),
        ],
    )
    gold, none, rest = PickUpTarget(5, (), ("gold",)), PickUpTarget(0), PickUpTarget(8)
    assert [q.pick_up_targets for q in to_pool(config, "default").queues] == [
        (gold, none, rest),
        (gold, none, PickUpTarget(7, ("voice",), ()), rest),
    ]


@pytest.mark.parametrize(
    "queue",
    [
        {"choice": 6},
        {"order": 4},
        {"offerTimeoutMs": -1},
        {"wrapUpMs": -1},
        {"stickyMs": LONGEST_MS + 1},
        {"stickyTeamMs": -1},
        {"transferHoldMs": -1},
        {"delayMs": -1},
        {"serviceLevelMs": -1},
        {"ageingPerMinute": "NaN"},
        {"ageingPerMinute": -0.5},
        {"serviceLevelGoal": 1.5},
        {"serviceLevelGoal": "NaN"},
        {"maxOffers": MOST_OFFERS + 1},
        {"matchWindowMs": LONGEST_WINDOW_MS + 1},
        {"maxOffers": -1},
        {"keepFree": -1},
        {"rings": [{"afterMs": -1}]},
        {"rings": [{"afterMs": 2}, {"afterMs": 1}]},
        {"rings": [{"afterMs": 1, "lower": {"x": "Infinity"}}]},
        {"requirements": [{"attribute": ""}]},
        {"overflow": [{"name": "x"}]},
        {"overflow": [{"when": "OVERFLOW_TRIGGER_LENGTH"}]},
        {"overflow": [{"name": "x", "when": 7}]},
        {"overflow": [{"name": "x", "when": "OVERFLOW_TRIGGER_LENGTH", "threshold": -1}]},
        {"overflow": [{"name": "x", "when": "OVERFLOW_TRIGGER_WAIT", "thresholdMs": -1}]},
        {"overflow": [{"name": "x", "when": "OVERFLOW_TRIGGER_ESTIMATE", "thresholdMs": LONGEST_MS + 1}]},
        {"overflow": [{"name": "x", "when": "OVERFLOW_TRIGGER_SERVICE_LEVEL", "threshold": 20}]},
        {"overflow": [{"name": "x", "when": "OVERFLOW_TRIGGER_LENGTH", "requirements": [{}]}]},
    ],
)
def test_invalid_queues_are_refused(queue: dict[str, Any]) -> None:
    """The message names the queue, so that the reader of the dead letter can find it."""
    to_pool(_tenant(), "default")
    with pytest.raises(ValueError, match=r"queue q|requirement"):
        to_pool(_tenant(**queue), "default")


@pytest.mark.parametrize(
    "profile",
    [
        {"total": -1},
        {"total": 1, "defaultWeight": -1},
        {"total": 1, "occupancyLimit": 1},
        {"total": 1, "occupancyLimit": -0.1},
        {"total": 1, "occupancyLimit": "NaN"},
        {"total": 1, "occupancyWindowMs": -1},
        {"total": 1, "channels": [{"channel": "voice", "weight": -1}]},
        {"total": 1, "channels": [{"channel": "voice", "weight": 1, "maximum": -1}]},
    ],
)
def test_invalid_capacity_is_refused(profile: dict[str, Any]) -> None:
    """A ledger with negative weights would gain room when it fills up."""
    with pytest.raises(ValueError, match="capacity profile p"):
        to_pool(
            ParseDict({"capacityProfiles": [{"name": "p", **profile}]}, config_pb2.TenantConfiguration()), "default"
        )


def test_skills_are_numbers() -> None:
    """NaN is neither greater nor less than any number."""
    agent = config_pb2.AgentProfile(agent_id="a", skills={"x": float("nan")})
    with pytest.raises(ValueError, match="skill x"):
        to_pool(config_pb2.TenantConfiguration(agents=[agent]), "default")
