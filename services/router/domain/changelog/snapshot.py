"""The engine's state as entities: what the changelog holds, and how a restore reads it.

`entries` has the kinds of entities and the types of their values; the codec gives them bytes and a version.
"""

from collections.abc import Iterable, Iterator
from typing import assert_never

from services.router.domain.changelog.configuration import dump_config, load_config
from services.router.domain.changelog.entities import (
    dump_agent,
    dump_interaction,
    dump_session,
    load_agent,
    load_interaction,
    load_session,
)
from services.router.domain.engine import Engine
from services.router.domain.entries import (
    AgentEntry,
    CommandsEntry,
    ConfigurationEntry,
    HistoryEntry,
    InteractionEntry,
    LeaseEntry,
    MovedEntry,
    SessionEntry,
    Value,
)
from services.router.domain.handlers.activation import rebuild
from services.router.domain.model import Stage
from services.router.domain.pool.dedup import Chunk
from services.router.domain.pool.history import History
from services.router.domain.pool.pool_state import Entity, PoolState
from services.router.domain.pool.timers import Timer

Change = tuple[Entity, Value | None]
"""An entity and its value; None deletes the entity."""


def changes(engine: Engine, now: int) -> Iterator[Change]:
    """Yield what has changed since the last call, once for each entity.

    Each value is made when it is asked for, so that the memory need not hold a whole pool twice.
    """
    core = engine.core
    dirty, core.dirty = core.dirty, {}
    return _each(core, dirty, *core.dedup.collect(now))


def _each(core: PoolState, dirty: Iterable[Entity], new: Iterable[Chunk], gone: Iterable[int]) -> Iterator[Change]:
    for entity in dirty:
        yield entity, _dump(core, entity)
    for number, at, entries in new:
        yield ("d", str(number)), CommandsEntry(at, entries)
    for number in gone:
        yield ("d", str(number)), None


def collect(engine: Engine, now: int) -> list[Change]:
    """Return all changes as a list."""
    return list(changes(engine, now))


def _dump(core: PoolState, entity: Entity) -> Value | None:
    kind, name = entity
    match kind:
        case "i":
            interaction = core.interactions.get(name)
            return None if interaction is None else dump_interaction(interaction)
        case "a":
            agent = core.agents.get(name)
            return None if agent is None else dump_agent(agent)
        case "s":
            session = core.sessions.get(name)
            return None if session is None else dump_session(session)
        case "l":
            groups = core.leases.get(int(name))
            return None if groups is None else tuple(groups)
        case "p":
            return core.last_agent.get(name)
        case "m":
            pool = core.moved.get(name)
            return None if pool is None else MovedEntry(pool)
        case "q":
            history = core.histories.get(name)
            return None if history is None else history.dump()
        case _:
            return None if core.config is None else dump_config(core.config)


class Restorer:
    """Takes entities in the order of their last writes, then rebuilds the engine."""

    def __init__(self) -> None:
        self._core = PoolState()
        self._chunks: list[tuple[int, CommandsEntry]] = []
        self._leases: list[tuple[int, LeaseEntry]] = []

    def add(self, name: str, value: Value) -> None:
        """Add one entity; the type of its value says of which kind it is."""
        core = self._core
        match value:
            case InteractionEntry():
                core.interactions[name] = load_interaction(value)
            case AgentEntry():
                core.agents[name] = load_agent(value)
            case SessionEntry():
                core.sessions[name] = load_session(value)
            case str():
                core.last_agent[name] = value
            case CommandsEntry():
                self._chunks.append((int(name), value))
            case tuple():
                self._leases.append((int(name), value))
            case HistoryEntry():
                core.histories[name] = History.load(value)
            case MovedEntry():
                core.moved[name] = value.pool
            case ConfigurationEntry():
                core.adopt(load_config(value))
            case _:
                assert_never(value)

    def engine(self, now: int) -> Engine:
        """Return the engine at `now`. The first `advance` does what became due since the last batch."""
        core = self._core
        core.now = now
        for number, chunk in sorted(self._chunks, key=lambda each: each[0]):
            core.dedup.restore(number, chunk.at_ms, chunk.results)
        # A session's own entry has its first lease; renewals are in the groups, and the latest one counts.
        for until, groups in sorted(self._leases, key=lambda lease: lease[0]):
            for group in groups:
                for session_id in group:
                    session = core.sessions.get(session_id)
                    if session is not None:
                        session.lease_until = max(session.lease_until, until)
        for until, groups in self._leases:
            core.leases[until] = list(groups)
            core.timers.arm(until, Timer.LEASE, str(until))
        for agent in core.agents.values():
            if agent.grace_until:
                core.timers.arm(agent.grace_until, Timer.GRACE, agent.id)
        for interaction in core.interactions.values():
            for offer in interaction.offers.values():
                core.timers.arm(offer.expires_at, Timer.OFFER, offer.offer_id)
            if interaction.stage is Stage.WRAP_UP:
                core.timers.arm(interaction.wrap_until, Timer.WRAP_UP, interaction.id)
        rebuild(core)
        engine = Engine()
        engine.core = core
        return engine
