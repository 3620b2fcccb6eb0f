"""A floor whose engine makes only what the floor reads has the same log, event for event, as one with a full engine."""

from typing import Any, Final

import pytest

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
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine
from services.router.simulation.customers import draw
from services.router.simulation.floor import Floor
from services.router.simulation.plan import Plan, make
from tests.unit.router.simulation.questions import a_scenario, always, calls, exponential
from tests.unit.router.test_quiet import heard

MANY: Final = {"every": "12s"}
DESK: Final = CapacityProfile(
    "desk", 2, (ChannelCapacity("voice", 2, exclusive=True, interrupts=("email",)), ChannelCapacity("email", 1))
)


class Recorded(Engine):
    """An engine that keeps the effects that a quiet one returns too."""

    __slots__ = ("effects",)

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.effects: list[fx.Effect] = []

    def handle(self, command: cmd.Command, now: int) -> list[fx.Effect]:
        """Decide, and keep the effects."""
        return self._kept(super().handle(command, now))

    def advance(self, now: int) -> list[fx.Effect]:
        """Do what is due, and keep the effects."""
        return self._kept(super().advance(now))

    def _kept(self, effects: list[fx.Effect]) -> list[fx.Effect]:
        self.effects += heard(effects, announces=self.core.announces)
        return effects


def queue(**more: Any) -> PoolConfig:
    """Return a policy with one queue."""
    return PoolConfig(1, queues=(QueueConfig("q", **more),))


def cases() -> dict[str, Plan]:
    """Return plans that use all that a floor can do."""
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


CASES: Final = cases()


@pytest.mark.parametrize("case", CASES)
def test_a_quiet_floor_equals_a_full_one(case: str) -> None:
    """Every event is equal, field by field and in order, and so is the log."""
    plan = CASES[case]
    customers = draw(plan, 0)
    quiet, full = Recorded(quiet=True), Recorded(quiet=False)
    found, expected = (Floor(plan, customers, 0, engine).run() for engine in (quiet, full))
    assert quiet.effects == full.effects
    assert found == expected
    assert found == Floor(plan, customers, 0).run()
    assert expected.commands > 100


def test_the_cases_reach_what_they_are_for() -> None:
    """Each kind of event that a floor reads happens in one of them."""
    seen: set[type] = set()
    for plan in CASES.values():
        engine = Recorded(quiet=True)
        Floor(plan, draw(plan, 0), 0, engine).run()
        seen |= {type(effect) for effect in engine.effects}
    assert seen >= {
        *(fx.Offered, fx.OfferEnded, fx.Assigned, fx.Completed, fx.WrapUpEnded, fx.Abandoned, fx.Cancelled),
        *(fx.Queued, fx.Parked, fx.Resumed, fx.AgentStateChanged),
    }
