"""A tenant with several pools for tests: an engine for each, and the log of commands that each has still to read.

Commands go the way that they go through Kafka: each pool reads its log in order, at its own speed, and what a pool hands over is written to the
log of the other one.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.policy.model.routing import PoolConfig
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine
from services.router.domain.model import InteractionAttributes
from services.router.translate.commands import decode, to_command
from services.router.translate.moves import write_received
from tests.unit.router.world import GATEWAY, START, a_capacity, a_queue, an_agent

LONG = 10_000_000


@dataclass(frozen=True)
class Layout:
    """One version of the configuration: the pool of each queue and of each agent, in order."""

    queues: Mapping[str, str]
    agents: Mapping[str, str] = field(default_factory=dict)

    @property
    def pools(self) -> tuple[str, ...]:
        """All pools."""
        return tuple(dict.fromkeys([*self.queues.values(), *self.agents.values()]))

    def of(self, pool: str, version: int) -> PoolConfig:
        """Return the part of a pool."""
        return PoolConfig(
            version,
            LONG,
            LONG,
            tuple(a_queue(name) for name, where in self.queues.items() if where == pool),
            tuple(an_agent(name) for name, where in self.agents.items() if where == pool),
            (a_capacity(2),),
            tuple((name, where) for name, where in self.queues.items() if where != pool),
        )


@dataclass
class Tenant:
    """See the module."""

    layout: Layout
    version: int = 0
    now: int = START
    engines: dict[str, Engine] = field(default_factory=dict)
    logs: dict[str, deque[cmd.Command]] = field(default_factory=dict)
    effects: list[tuple[str, fx.Effect]] = field(default_factory=list)
    """All effects, each with its pool."""

    def __post_init__(self) -> None:
        self.apply(self.layout)

    def apply(self, layout: Layout) -> None:
        """Write the next version to the log of each of its pools, and of the pools of the version before."""
        pools = dict.fromkeys([*layout.pools, *self.layout.pools])
        self.layout, self.version = layout, self.version + 1
        for pool in pools:
            command = cmd.ActivateConfiguration(layout.of(pool, self.version), command_id=f"v{self.version}")
            self.write(pool, command)

    def write(self, pool: str, command: cmd.Command) -> None:
        """Write a command to the log of a pool."""
        self.logs.setdefault(pool, deque()).append(command)

    def enqueue(self, name: str, queue: str, pool: str = "") -> None:
        """Write a new interaction to the log of the queue's pool, or of the pool that its caller believes the queue to be in."""
        attributes = InteractionAttributes(name, f"c-{name}", channel="chat", queue=queue, arrived_at_ms=self.now)
        self.write(pool or self.layout.queues[queue], cmd.Enqueue(attributes, command_id=f"e-{name}"))

    def sign_in(self, agent: str) -> None:
        """Sign an agent in to their pool."""
        self.write(self.layout.agents[agent], cmd.SignIn(agent, f"s-{agent}-{self.version}", reply_to=GATEWAY))

    def read(self, pool: str) -> list[fx.Effect]:
        """Let a pool read one command, as its shard does."""
        command = self.logs[pool].popleft()
        engine = self.engines.get(pool)
        if engine is None:
            assert isinstance(command, cmd.ActivateConfiguration), f"{pool} is not known"
            engine = self.engines[pool] = Engine()
        if where := engine.moved_to(command):
            self.write(where, command)
            return []
        effects = engine.handle(command, self.now)
        self.effects += [(pool, effect) for effect in effects]
        for effect in effects:
            if isinstance(effect, fx.HandedOver):
                record = write_received("acme", "", self.now, effect)
                received = to_command(decode(record))
                assert received == effect.received
                self.write(effect.pool, received)
        return effects

    def settle(self) -> list[fx.Effect]:
        """Let all pools read everything; return the effects. Fails when they never come to an end."""
        effects: list[fx.Effect] = []
        for _ in range(100_000):
            pool = next((pool for pool, log in self.logs.items() if log), None)
            if pool is None:
                return effects
            effects += self.read(pool)
        raise AssertionError("interactions move for ever")

    def places(self) -> dict[str, list[tuple[str, str]]]:
        """Return queue and pool of each open interaction, wherever it is."""
        found: dict[str, list[tuple[str, str]]] = {}
        for pool, engine in self.engines.items():
            for interaction in engine.core.interactions.values():
                found.setdefault(interaction.id, []).append((interaction.attributes.queue, pool))
        return found
