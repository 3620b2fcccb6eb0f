"""Back test of the estimated wait: how often the wait was within the 90th percentile that was announced.

    python -m tests.bench.estimates

The live engine runs in the simulator. For each customer who entered a queue and got an estimate, the bench sees
whether the agent came within it. A customer who left before that time proves nothing, and is left out; one who left
later has waited longer. The models have one group and several, patient and impatient customers, staffing that changes
within the day, and days that differ. An honest 90th percentile holds for nine in ten: the share must be within
[.85, .95] over all models together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine
from services.router.simulation.customers import draw
from services.router.simulation.floor import Floor
from services.router.simulation.plan import make
from services.router.simulation.scenario import Scenario
from tests.bench.figures import tell

REPLICATIONS: Final = 4
_AGENTS: Final = (3, 10, 40)
_LOADS: Final = (0.9, 1.0, 1.1)
_HANDLING_S: Final = 180.0


@dataclass(slots=True)
class Watched:
    """An engine whose announcements are compared with what happened. The floor uses it as an `Engine`."""

    engine: Engine = field(default_factory=Engine)
    announced: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Time of the announcement and P90, milliseconds, of customers who still wait."""
    held: int = 0
    broken: int = 0

    @property
    def core(self) -> Any:
        """See `Engine.core`."""
        return self.engine.core

    def next_wakeup(self) -> int | None:
        """See `Engine.next_wakeup`."""
        return self.engine.next_wakeup()

    def handle(self, command: cmd.Command, now: int) -> list[fx.Effect]:
        """See `Engine.handle`."""
        return self._seen(self.engine.handle(command, now), now)

    def advance(self, now: int) -> list[fx.Effect]:
        """See `Engine.advance`."""
        return self._seen(self.engine.advance(now), now)

    def _seen(self, effects: list[fx.Effect], now: int) -> list[fx.Effect]:
        for effect in effects:
            match effect:
                case fx.Queued(estimated_p90_ms=p90) if p90 > 0:
                    self.announced[effect.attributes.interaction_id] = now, p90
                case fx.Assigned() if (
                    promise := self.announced.pop(effect.attributes.interaction_id, None)
                ) is not None:
                    self._judge(now - promise[0] <= promise[1])
                case fx.Abandoned() if (
                    promise := self.announced.pop(effect.attributes.interaction_id, None)
                ) is not None:
                    if now - promise[0] > promise[1]:
                        self._judge(False)
        return effects

    def _judge(self, held: bool) -> None:
        self.held += held
        self.broken += not held


def models() -> Iterable[tuple[str, Scenario]]:
    """Yield the models, with names."""
    for agents in _AGENTS:
        for load in _LOADS:
            for patience in ("none", "180s"):
                if patience == "none" and load > 1:
                    continue  # such a queue grows all day
                yield f"{agents} agents, load {load:g}, patience {patience}", _model(agents, load, patience)
    for patience in ("180s", "600s"):
        yield f"staffing by hour, patience {patience}", _model(12, 1.0, patience, staff=[12, 6, 12, 18, 9, 12])
        yield (
            f"days that differ, patience {patience}",
            _model(12, 0.95, patience, busyness={"day_cv": 0.2, "period_cv": 0.1}),
        )


def _model(agents: int, load: float, patience: str, staff: list[int] | None = None, **more: Any) -> Scenario:
    rate = load * agents / _HANDLING_S * 3_600
    kind: dict[str, Any] = {
        "arrivals": {"rates": [rate] if staff is None else [rate * number / agents for number in staff]},
        "handling": {"distribution": "exponential", "mean": f"{_HANDLING_S:g}s"},
    }
    if patience != "none":
        kind["patience"] = {"distribution": "exponential", "mean": patience}
    return Scenario.model_validate(
        {
            "name": "estimates",
            "duration": "6h",
            "period": "1h",
            "seed": 3,
            "types": {"calls": kind},
            "groups": {"all": {"agents": staff or agents}},
            **more,
        }
    )


def main() -> None:
    """Print the share of each model, and the figure."""
    held = broken = 0
    for name, scenario in models():
        plan = make(scenario)
        watched = [Watched() for _ in range(REPLICATIONS)]
        for replication, engine in enumerate(watched):
            Floor(plan, draw(plan, replication), replication, engine).run()  # type: ignore[arg-type]  # used as an engine
        kept, all_of = sum(w.held for w in watched), sum(w.held + w.broken for w in watched)
        print(f"{name:40} {all_of:6} announced, {kept / max(1, all_of):.3f} within the 90th percentile", flush=True)
        held, broken = held + kept, broken + all_of - kept
    share = held / (held + broken)
    tell("ewt_p90_coverage", share, "share", ">=0.85", announced=held + broken)
    tell("ewt_p90_distance", abs(share - 0.9), "share", "<=0.05")


if __name__ == "__main__":
    main()
