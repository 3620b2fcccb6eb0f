"""The engine against the naive router on the same commands, and whether both decide alike."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from tests.bench.engine_scan import Pair, Scan


@dataclass(slots=True)
class Stretch:
    """Commands (None: timers) with their time, and the offers that the engine made because of each. A `Watch`."""

    steps: list[tuple[cmd.Command | None, int, list[Pair]]] = field(default_factory=list)

    def __call__(self, command: cmd.Command | None, now: int, effects: Iterable[fx.Effect]) -> None:
        """Record one more step."""
        offers = [(e.attributes.interaction_id, e.agent_id) for e in effects if isinstance(e, fx.Offered)]
        self.steps.append((command, now, offers))


@dataclass(slots=True)
class Replay:
    """The naive router's result for a stretch: CPU seconds, commands, total offers, and steps whose offers differ
    from the engine's."""

    seconds: float = 0.0
    commands: int = 0
    offers: int = 0
    different: list[tuple[cmd.Command | None, list[Pair], list[Pair]]] = field(default_factory=list)

    @property
    def us_a_command(self) -> float:
        """Microseconds of CPU per command."""
        return self.seconds / self.commands * 1e6


def replay(scan: Scan, stretch: Stretch, limit_s: float) -> Replay:
    """Let the naive router decide; it stops when its CPU time reaches `limit_s`."""
    made = Replay()
    for command, now, expected in stretch.steps:
        began = time.process_time()
        offers = scan.advance(now) if command is None else scan.handle(command, now)
        made.seconds += time.process_time() - began
        made.commands += command is not None
        made.offers += len(offers)
        if offers != expected:
            made.different.append((command, expected, offers))
        if made.seconds >= limit_s:
            break
    return made
