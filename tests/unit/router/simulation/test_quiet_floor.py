"""A floor whose engine makes only what the floor reads has the same log, event for event, as one with a full engine."""

from typing import Final

import pytest

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine
from services.router.simulation.customers import draw
from services.router.simulation.floor import Floor
from tests.unit.router.simulation.floors import cases
from tests.unit.router.test_quiet import heard

CASES: Final = cases()


class Recorded(Engine):
    """An engine that keeps the effects that a quiet one returns too."""

    __slots__ = ("effects",)

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.effects: list[fx.Effect] = []

    def handle(self, command: cmd.Command, now: int) -> list[fx.Effect]:
        """Decide, and keep the effects."""
        return self._kept(super().handle(command, now))

    def advance(self, now: int, until: int | None = None) -> list[fx.Effect]:
        """Do what is due, and keep the effects."""
        return self._kept(super().advance(now, until))

    def _kept(self, effects: list[fx.Effect]) -> list[fx.Effect]:
        self.effects += heard(effects, announces=self.core.announces)
        return effects


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
