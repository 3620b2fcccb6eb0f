"""The engine's memory as entities: what the changelog holds, and how it comes back.

Kinds: `i` interaction, `a` agent, `s` session, `p` a person's last agent, `q` a queue's drain rate, `d` a chunk of remembered commands,
`c` the configuration. Values are plain tuples; the codec gives them bytes and a version.
"""

from typing import Any

from services.router.domain.engine import Engine
from services.router.domain.estimates import Drain
from services.router.domain.model import (
    CapacityProfile,
    ChannelCapacity,
    Choice,
    PoolConfig,
    QueueConfig,
    Stage,
)
from services.router.domain.pool import Core, Entity
from services.router.domain.state import Agent, Session, Work, dump_selectors, load_selectors
from services.router.domain.timers import Timer

Change = tuple[Entity, Any]
"""An entity and its value; None deletes it."""


def collect(engine: Engine, now: int) -> list[Change]:
    """What has changed since the last call, once per entity."""
    core = engine.core
    changes: list[Change] = [(entity, _dump(core, entity)) for entity in core.dirty]
    core.dirty.clear()
    new, gone = core.dedup.collect(now)
    changes.extend((("d", str(number)), (at, entries)) for number, at, entries in new)
    changes.extend((("d", str(number)), None) for number in gone)
    return changes


def _dump(core: Core, entity: Entity) -> Any:
    kind, name = entity
    match kind:
        case "i":
            work = core.works.get(name)
            return None if work is None else work.dump()
        case "a":
            agent = core.agents.get(name)
            return None if agent is None else agent.dump()
        case "s":
            session = core.sessions.get(name)
            return None if session is None else session.dump()
        case "p":
            return core.last_agent.get(name)
        case "q":
            drain = core.drains.get(name)
            return None if drain is None else (drain.since, tuple(drain.intervals))
        case _:
            return None if core.config is None else dump_config(core.config)


class Restorer:
    """Takes entities in the order of their last writes, then makes the engine whole."""

    def __init__(self) -> None:
        self._core = Core()
        self._chunks: list[tuple[int, int, Any]] = []

    def add(self, kind: str, name: str, value: Any) -> None:
        """One entity."""
        core = self._core
        match kind:
            case "i":
                core.works[name] = Work.load(value)
            case "a":
                core.agents[name] = Agent.load_from(value)
            case "s":
                core.sessions[name] = Session.load(value)
            case "p":
                core.last_agent[name] = value
            case "q":
                core.drains[name] = Drain(value[0], value[1])
            case "d":
                self._chunks.append((int(name), value[0], value[1]))
            case "c":
                core.config = load_config(value)
            case _:
                raise ValueError(f"no entity of kind {kind!r} is known")

    def engine(self, now: int) -> Engine:
        """The engine as it was, at `now`: what became due since the last batch is done by the first `advance`."""
        core = self._core
        core.now = now
        for number, at, entries in sorted(self._chunks, key=lambda chunk: chunk[0]):
            core.dedup.restore(number, at, entries)
        for session in core.sessions.values():
            session.armed = session.lease_until
            core.timers.arm(session.armed, Timer.LEASE, session.session_id)
        for agent in core.agents.values():
            if agent.grace_until:
                core.timers.arm(agent.grace_until, Timer.GRACE, agent.id)
        for work in core.works.values():
            if work.offer is not None:
                core.timers.arm(work.offer.expires_at, Timer.OFFER, work.id)
            if work.stage is Stage.WRAP_UP:
                core.timers.arm(work.wrap_until, Timer.WRAP_UP, work.id)
        core.rebuild(core.works.values())
        engine = Engine()
        engine.core = core
        return engine


def dump_config(config: PoolConfig) -> Any:
    """A configuration as tuples; its agents are entities of their own."""
    return (
        config.version,
        config.lease_ms,
        config.grace_ms,
        tuple(
            (
                q.name,
                q.priority,
                dump_selectors(q.requirements),
                int(q.choice),
                q.offer_ms,
                q.wrap_up_ms,
                q.sticky_ms,
                q.ageing_per_minute,
                q.service_level_ms,
            )
            for q in config.queues
        ),
        tuple(
            (
                p.name,
                p.total,
                tuple((c.channel, c.weight, c.maximum, c.exclusive) for c in p.channels),
                p.default_weight,
            )
            for p in config.profiles
        ),
    )


def load_config(raw: Any) -> PoolConfig:
    """What `dump_config` gave."""
    queues = tuple(
        QueueConfig(q[0], q[1], load_selectors(q[2]), Choice(q[3]), q[4], q[5], q[6], float(q[7]), q[8]) for q in raw[3]
    )
    profiles = tuple(
        CapacityProfile(p[0], p[1], tuple(ChannelCapacity(*channel) for channel in p[2]), p[3]) for p in raw[4]
    )
    return PoolConfig(raw[0], raw[1], raw[2], queues, (), profiles)
