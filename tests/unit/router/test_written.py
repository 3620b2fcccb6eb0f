"""The changelog after every step is the engine's memory, field by field; and what is restored from it is the same engine.

That decisions after a restore are the same is shown by `test_machine`. Here nothing may be otherwise at all: a mark that is forgotten when something
changes is found at once, and not only when a later decision happens to need it.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine
from services.router.domain.pool import Core, Entity
from services.router.domain.snapshot import Restorer, collect
from services.router.translate import codec
from tests.unit.router.indexes import true
from tests.unit.router.strategies import ALL, Game, games
from tests.unit.router.test_oracle import FEW, play
from tests.unit.router.world import START


@dataclass
class Written:
    """An engine, and the changelog that it has written so far."""

    engine: Engine = field(default_factory=Engine)
    entries: dict[Entity, bytes] = field(default_factory=dict)

    def batch(self, now: int, *told: cmd.Command) -> list[fx.Effect]:
        """A batch as a lane has it: timers that are due, commands, and what has changed; all their effects."""
        effects: list[fx.Effect] = []
        while (due := self.engine.next_wakeup()) is not None and due <= now:
            effects += self.engine.advance(due)
            self.write(due)
        for command in told:
            effects += self.engine.handle(command, now)
        self.write(now)
        return effects

    def write(self, now: int) -> None:
        """What has changed."""
        for entity, value in collect(self.engine, now):
            self.entries.pop(entity, None)
            if value is not None:
                self.entries[entity] = codec.encode(value)

    def read(self) -> dict[Entity, Any]:
        """What the changelog says."""
        return {entity: codec.decode(entry) for entity, entry in self.entries.items()}

    def restored(self) -> Engine:
        """Another engine, from the changelog."""
        restorer = Restorer()
        for (kind, name), value in self.read().items():
            restorer.add(kind, name, value)
        return restorer.engine(self.engine.core.now)


def memory(engine: Engine) -> dict[Entity, Any]:
    """All that there is, as the changelog would have it if it were written anew; the commands of before are looked at elsewhere."""
    core = engine.core
    kinds: dict[str, Any] = {
        "a": core.agents,
        "i": core.works,
        "l": core.leases,
        "p": core.last_agent,
        "q": core.histories,
        "s": core.sessions,
        "c": {"": None} if core.config is not None else {},
    }
    marks, core.dirty = core.dirty, {(kind, str(name)): None for kind, names in kinds.items() for name in names}
    found = {entity: codec.decode(codec.encode(value)) for entity, value in collect(engine, core.now)}
    core.dirty = marks
    return found


LEASE = 5
"""Place of a session's lease in its entry: what was renewed since stands in the groups."""


def without_leases(entries: dict[Entity, Any]) -> dict[Entity, Any]:
    """Entries as they are compared."""
    kept = {entity: value for entity, value in entries.items() if entity[0] != "d"}
    return {
        (kind, name): [*value[:LEASE], *value[LEASE + 1 :]] if kind == "s" else value
        for (kind, name), value in kept.items()
    }


def derived(core: Core) -> dict[str, Any]:
    """What is not written, because it follows from the rest."""
    works = {
        work.id: (work.line.key, work.line.need.key, work.rank, work.wake_at) if work.line is not None else work.wake_at
        for work in core.works.values()
    }
    agents = {
        agent.id: (
            *(agent.load, set(agent.offers), set(agent.held), set(agent.parked)),
            *(agent.skills, agent.kind.key, agent.cell is not None, agent.rest_at),
            agent.place if agent.cell is not None else None,
        )
        for agent in core.agents.values()
    }
    return {
        "works": works,
        "agents": agents,
        "leases": {session.session_id: session.lease_until for session in core.sessions.values()},
        "teams": {team: set(members) for team, members in core.teams.items() if members},
        "turns": core.turns,
        "demand": core.watches_demand,
        "lines": {(line.need.key, line.key): sorted(line.works) for line in core.lines.filled},
        "reserved": {
            agent: {(line.need.key, line.key) for line in lines} for agent, lines in core.lines.reserved.items()
        },
        "queues": {name: core.lines.waiting(name) for name in core.config.by_name} if core.config is not None else {},
        "wake": core.timers.next(),
    }


@FEW
@given(games(ALL))
def test_what_is_written_is_the_memory_field_by_field_and_what_is_restored_is_the_same_engine(game: Game) -> None:
    """After every step each entity is written as it is, and nothing that is no more, and an interaction is what its newest event says; after every
    fifth one a restored engine has the same memory, and the same lines, ranks, loads, places, teams, leases and next time to wake."""
    lane = Written()
    for n, (now, command) in enumerate(play(game).log):
        newest = {e.facts.interaction_id: e for e in lane.batch(now, command) if isinstance(e, fx.Event)}
        for work in lane.engine.core.works.values():
            event = newest.get(work.id)
            if event is not None:
                # The time that a team has it to itself may end where it is put back into a line, which is told by no event.
                told = replace(event.facts, preferred_team=work.facts.preferred_team)
                assert (work.epoch, work.reason, work.facts) == (event.epoch, event.reason, told)
        there = without_leases(memory(lane.engine))
        assert without_leases(lane.read()) == there, command
        if n % 5 == 4:
            restored = lane.restored()
            true(restored.core)
            true(lane.engine.core)
            assert without_leases(memory(restored)) == there
            assert derived(restored.core) == derived(lane.engine.core)


def test_an_empty_engine_writes_nothing() -> None:
    """Nor does it want to be woken."""
    lane = Written()
    lane.batch(START)
    assert (lane.entries, lane.engine.next_wakeup(), lane.restored().next_wakeup()) == ({}, None, None)
