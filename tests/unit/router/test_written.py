"""After every step the changelog equals the engine's state, field by field; and an engine restored from it is the same.

`test_machine` shows that decisions after a restore are the same. Here nothing may differ at all: a missing dirty mark is found at once, and not only
when a later decision happens to depend on it.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from msgspec import structs

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.changelog.snapshot import Restorer, collect
from services.router.domain.engine import Engine
from services.router.domain.entries import SessionEntry, Value
from services.router.domain.pool.pool_state import Entity, PoolState
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
        """Run a batch as a lane does: timers that are due, commands, and the changes; return all effects."""
        effects: list[fx.Effect] = []
        while (due := self.engine.next_wakeup()) is not None and due <= now:
            effects += self.engine.advance(due)
            self.write(due)
        for command in told:
            effects += self.engine.handle(command, now)
        self.write(now)
        return effects

    def write(self, now: int) -> None:
        """Write the changes."""
        for entity, value in collect(self.engine, now):
            self.entries.pop(entity, None)
            if value is not None:
                self.entries[entity] = codec.encode(value)

    def read(self) -> dict[Entity, Value]:
        """Return the content of the changelog."""
        return {(kind, name): codec.decode(kind, entry) for (kind, name), entry in self.entries.items()}

    def restored(self) -> Engine:
        """Return another engine, restored from the changelog."""
        restorer = Restorer()
        for (_, name), value in self.read().items():
            restorer.add(name, value)
        return restorer.engine(self.engine.core.now)


def memory(engine: Engine) -> dict[Entity, Value]:
    """Return the whole state as a new changelog would hold it; remembered commands are checked elsewhere."""
    core = engine.core
    kinds: dict[str, Any] = {
        "a": core.agents,
        "i": core.interactions,
        "l": core.leases,
        "p": core.last_agent,
        "q": core.histories,
        "s": core.sessions,
        "c": {"": None} if core.config is not None else {},
    }
    marks, core.dirty = core.dirty, {(kind, str(name)): None for kind, names in kinds.items() for name in names}
    found = {
        (kind, name): codec.decode(kind, codec.encode(value))
        for (kind, name), value in collect(engine, core.now)
        if value is not None
    }
    core.dirty = marks
    return found


def without_leases(entries: dict[Entity, Value]) -> dict[Entity, Value]:
    """Return entries in the form in which they are compared: renewals of leases are in the groups, not in a session's entry."""
    return {
        entity: structs.replace(value, lease_until=0) if isinstance(value, SessionEntry) else value
        for entity, value in entries.items()
        if entity[0] != "d"
    }


def derived(core: PoolState) -> dict[str, Any]:
    """Return the state that is not written, because it follows from the rest."""
    interactions = {
        interaction.id: (
            interaction.line.key,
            interaction.line.requirement_set.key,
            interaction.rank,
            interaction.wake_at,
        )
        if interaction.line is not None
        else interaction.wake_at
        for interaction in core.interactions.values()
    }
    agents = {
        agent.id: (
            *(agent.load, set(agent.offers), set(agent.held), set(agent.parked)),
            *(agent.skills, agent.group.key, agent.bucket is not None, agent.rest_at),
            agent.idle_rank if agent.bucket is not None else None,
        )
        for agent in core.agents.values()
    }
    return {
        "interactions": interactions,
        "agents": agents,
        "leases": {session.session_id: session.lease_until for session in core.sessions.values()},
        "teams": {team: set(members) for team, members in core.teams.items() if members},
        "turns": core.turns,
        "demand": core.watches_demand,
        "lines": {
            (line.requirement_set.key, line.key): sorted(interaction_id for _, _, interaction_id in line.ranks)
            for line in core.lines.filled
        },
        "reserved": {
            agent: {(line.requirement_set.key, line.key) for line in lines}
            for agent, lines in core.lines.reserved.items()
        },
        "queues": {name: core.lines.waiting(name) for name in core.config.by_name} if core.config is not None else {},
        "wake": core.timers.next(),
    }


@FEW
@given(games(ALL))
def test_the_changelog_equals_the_state_and_a_restored_engine_is_the_same(game: Game) -> None:
    """After every step each entity is written as it is, nothing else is, and an interaction equals its newest event.

    After every fifth step a restored engine has the same state, and the same lines, ranks, loads, places, teams, leases and next wake-up.
    """
    lane = Written()
    for n, (now, command) in enumerate(play(game).log):
        newest = {e.attributes.interaction_id: e for e in lane.batch(now, command) if isinstance(e, fx.Event)}
        for interaction in lane.engine.core.interactions.values():
            event = newest.get(interaction.id)
            if event is not None:
                # The team's time may end when it is put back into a line, and no event reports that.
                told = replace(event.attributes, preferred_team=interaction.attributes.preferred_team)
                assert (interaction.epoch, interaction.reason, interaction.attributes) == (
                    event.epoch,
                    event.reason,
                    told,
                )
        there = without_leases(memory(lane.engine))
        assert without_leases(lane.read()) == there, command
        if n % 5 == 4:
            restored = lane.restored()
            true(restored.core)
            true(lane.engine.core)
            assert without_leases(memory(restored)) == there
            assert derived(restored.core) == derived(lane.engine.core)


def test_an_empty_engine_writes_nothing() -> None:
    """It does not ask for a wake-up either."""
    lane = Written()
    lane.batch(START)
    assert (lane.entries, lane.engine.next_wakeup(), lane.restored().next_wakeup()) == ({}, None, None)
