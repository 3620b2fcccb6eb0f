"""Write every decision of an engine in a life drawn from a seed. Run in two processes, one with the compiled engine: the lines must be the same.

    python -m tests.integration.router.decided COMMANDS FILE

Each line is the `repr` of a command (or of the clock), of its effects, or of the changelog's changes: every field, and whether it is 1 or 1.0.
Then come lives of a whole shard: every byte that it writes. The first line says whether the modules are
compiled. Hash seeds differ between the processes on purpose: an order that comes from a set would show.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.changelog.snapshot import Restorer, collect
from services.router.domain.engine import Engine
from services.router.domain.queries.explain import explain
from services.router.domain.queries.views import queues
from services.router.translate import codec
from tests.bench.engine_agenda import Habits
from tests.bench.engine_fill import filled
from tests.bench.engine_life import Life
from tests.bench.engine_pool import Plan, Size
from tests.integration.router.decided_shard import records

_SIZE: Final = Size(agents=160, waiting=120, teams=16, queues=16, skills=16)
_LIVES: Final = (
    (_SIZE, Habits(handle_ms=60_000, declined=0.1, unanswered=0.1, left=0.2, rerouted=0.1, transferred=0.3)),
    (replace(_SIZE, distinct=True), Habits(handle_ms=60_000, open=60, reconnect_every_ms=300_000, lost=0.5)),
)
"""One life with all agents busy, full queues and many failures; one with most agents idle, no two alike, and lost connections."""
_TICK_MS: Final = 500
_LIFE: Final = 10
"""A life of a shard has this many times fewer steps: each step is a batch of its own."""


_PATH: Final = (
    *("router.domain.engine", "router.lanes.shard", "router.lanes.shard_metrics", "router.translate.attributes"),
    *("router.translate.codec", "router.translate.commands", "router.translate.events", "router.translate.feed"),
    *("router.translate.wire", "chassis.ids", "chassis.keys", "chassis.kafka.headers", "chassis.kafka.outbox"),
    *("chassis.kafka.records", "policy.model.routing", "policy.reading.selectors", "policy.reading.numbers"),
)


def kind() -> str:
    """Return `compiled` or `pure`; for a mixture, the names of the modules that are Python."""
    python = [name for name in _PATH if str(sys.modules[f"services.{name}"].__file__).endswith(".py")]
    return "pure" if len(python) == len(_PATH) else " ".join(python) or "compiled"


def lives(commands: int) -> Iterator[str]:
    """Yield lives of at least `commands` commands each; half-way another owner takes over with the content of the changelog."""
    for seed, (size, habits) in enumerate(_LIVES):
        plan, lines = Plan(size), list[str]()
        start = filled(plan, held=habits.open or None, watch=partial(_tell, lines))
        engine, life = start.engine, Life(plan, start, habits, seed)
        given = 0
        while given < commands:
            now = life.agenda.now + _TICK_MS
            due = engine.next_wakeup()
            if due is not None and due <= now:
                fired = engine.advance(now)
                _tell(lines, None, now, fired)
                life.saw(fired)
            batch = life.due(now)
            for command in batch:
                effects = engine.handle(command, now)
                _tell(lines, command, now, effects)
                life.saw(effects)
            changes = collect(engine, now)
            start.keep(changes)
            lines.extend(f"    {change!r}" for change in changes)
            if given < commands / 2 <= given + len(batch):
                engine = _restored(start.changelog, now)
                taken_over = engine.take_over(now)
                _tell(lines, None, now, taken_over)
                life.saw(taken_over)
            given += len(batch)
        lines.extend(f"    {explain(engine, name)!r}" for name in life.open)
        lines.append(f"    {queues(engine, life.agenda.now)!r}")
        yield from lines


def _restored(changelog: Mapping[tuple[str, str], Any], now: int) -> Engine:
    restorer = Restorer()
    for (kind, name), value in changelog.items():
        restorer.add(name, codec.decode(kind, codec.encode(value)))
    return restorer.engine(now)


def _tell(lines: list[str], command: cmd.Command | None, now: int, effects: list[fx.Effect]) -> None:
    lines.append(f"{now} {command!r}")
    lines.extend(f"    {effect!r}" for effect in effects)


if __name__ == "__main__":
    Path(sys.argv[2]).write_text("\n".join([kind(), *lives(int(sys.argv[1])), *records(int(sys.argv[1]) // _LIFE)]))
