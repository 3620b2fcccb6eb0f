"""Plans that together use all that a floor can do, to compare its ways to run."""

from typing import Any, Final

from services.policy.model.routing import (
    CapacityProfile,
    ChannelCapacity,
    Choice,
    Order,
    OverflowRule,
    PickUpTarget,
    PoolConfig,
    QueueConfig,
    Trigger,
)
from services.router.simulation.plan import Plan, make
from tests.unit.router.simulation.questions import a_scenario, always, calls, exponential

MANY: Final = {"every": "12s"}
DESK: Final = CapacityProfile(
    "desk", 2, (ChannelCapacity("voice", 2, exclusive=True, interrupts=("email",)), ChannelCapacity("email", 1))
)


def queue(**more: Any) -> PoolConfig:
    """Return a policy with one queue."""
    return PoolConfig(1, queues=(QueueConfig("q", **more),))


def cases() -> dict[str, Plan]:
    """Return the plans, by what they show."""
    leaving = calls(arrivals=MANY, patience=exponential("40s"))
    retrying = calls(arrivals=MANY, patience=exponential("30s"), retrials={"share": 0.8, "delay": exponential("2m")})
    preferring = {
        "sellers": {"agents": 6, "prefers": ["sales", "support"]},
        "helpers": {"agents": 6, "prefers": ["support", "sales"]},
    }
    two = {"sales": calls(queue=""), "support": calls(queue="")}
    answering = {"delay": exponential("4s"), "ignore": 0.1, "decline": 0.1, "retry_after": "30s", "back_after": "1m"}
    shifts = {"agents": [12, 6, 14], "at_shift_end": "hand_over_resume"}
    too_long = OverflowRule("too long", Trigger.ESTIMATE, 30_000, cancel=True)
    busy = {"calls": calls(arrivals=MANY)}
    mixed = {"mail": calls(channel="email"), "call": calls(channel="voice", priority=5)}
    return {
        "plain": make(a_scenario()),
        "urgent first": make(a_scenario(types={"a": calls(priority=1), "b": calls(arrivals=MANY)})),
        "customers leave": make(a_scenario(types={"calls": leaving})),
        "customers come again": make(a_scenario(types={"calls": retrying})),
        "few places": make(a_scenario(types=busy, waiting_places=3)),
        "few lines": make(a_scenario(types=busy, lines=16)),
        "shifts": make(a_scenario(types={"calls": leaving}, groups={"agents": shifts}, period="10m")),
        "answers": make(a_scenario(groups={"agents": {"agents": 14, "answering": answering}})),
        "preferences": make(a_scenario(types=two, groups=preferring)),
        "wrap-up": make(a_scenario(), queue(wrap_up_ms=20_000)),
        "several offers": make(a_scenario(), queue(max_offers=3)),
        "in turn": make(a_scenario(), queue(choice=Choice.ROUND_ROBIN)),
        "announced waits": make(a_scenario(types=busy), queue(overflow=(too_long,))),
        "adaptive": make(
            a_scenario(types=busy), queue(order=Order.ADAPTIVE, pick_up_targets=(PickUpTarget(target_ms=20_000),))
        ),
        "interruptions": make(
            a_scenario(types=mixed, groups={"agents": {"agents": 14, "capacity_profile": "desk"}}),
            PoolConfig(1, queues=(QueueConfig("q"),), profiles=(DESK,)),
        ),
        "chats": make(
            a_scenario(types={"chat": calls(handling=always("8m"))}, groups={"a": {"agents": 8, "capacity": 3}})
        ),
    }
