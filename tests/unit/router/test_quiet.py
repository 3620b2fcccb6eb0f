"""An engine whose events no one reads decides as any other, and makes only what a simulation needs."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import pytest

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine
from tests.bench.engine_agenda import Habits
from tests.bench.engine_fill import filled
from tests.bench.engine_life import Life
from tests.bench.engine_pool import Plan, Size

_COMMANDS: Final = 1_500
_TICK_MS: Final = 500
_SIZE: Final = Size(agents=80, waiting=60, teams=8, queues=16, skills=16)
LIVES: Final = {
    "busy agents": (
        _SIZE,
        Habits(handle_ms=60_000, declined=0.1, unanswered=0.1, left=0.2, rerouted=0.1, transferred=0.3),
    ),
    "idle agents": (
        replace(_SIZE, distinct=True),
        Habits(handle_ms=60_000, open=30, reconnect_every_ms=300_000, lost=0.5),
    ),
}


def heard(effects: Iterable[fx.Effect], *, announces: bool) -> list[fx.Effect]:
    """Return the effects that a quiet engine returns too."""
    found: list[fx.Effect] = []
    for effect in effects:
        match effect:
            case fx.ToDesk() | fx.Result(ok=True):
                pass
            case fx.Queued():
                if effect.again or announces:
                    found.append(effect)
            case fx.Assigned():
                found.append(replace(effect, estimated_p50_ms=-1, estimated_p90_ms=-1))
            case _:
                found.append(effect)
    return found


class Beside:
    """A quiet engine beside a full one: it gets the same commands, and must return the same events."""

    def __init__(self) -> None:
        self.quiet = Engine(quiet=True)
        self.compared = 0

    def watch(self, command: cmd.Command | None, now: int, effects: Iterable[fx.Effect]) -> None:
        """Compare the effects of one command, or of the time."""
        mine = self.quiet.handle(command, now) if command is not None else self.quiet.advance(now)
        announces = self.quiet.core.announces
        assert heard(mine, announces=True) == heard(effects, announces=announces)
        self.compared += len(mine)


@pytest.mark.parametrize("life", LIVES)
def test_a_quiet_engine_decides_the_same(life: str) -> None:
    """Field by field over a life with refusals, transfers, time-outs and lost connections."""
    size, habits = LIVES[life]
    plan, beside = Plan(size), Beside()
    start = filled(plan, held=habits.open or None, watch=beside.watch)
    living, given = Life(plan, start, habits), 0
    while given < _COMMANDS:
        now = living.agenda.now + _TICK_MS
        due = start.engine.next_wakeup()
        assert beside.quiet.next_wakeup() == due
        if due is not None and due <= now:
            fired = start.engine.advance(now)
            beside.watch(None, now, fired)
            living.saw(fired)
        for command in living.due(now):
            effects = start.engine.handle(command, now)
            beside.watch(command, now, effects)
            living.saw(effects)
            given += 1
    assert beside.compared > _COMMANDS / 2
