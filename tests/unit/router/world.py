"""A pool for tests: an engine, a clock that tests move by hand, and plain defaults for everything that a test does not depend on."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from services.policy.model.routing import (
    AgentProfile,
    CapacityProfile,
    ChannelCapacity,
    Choice,
    Operator,
    PoolConfig,
    QueueConfig,
    Selector,
)
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine
from services.router.domain.model import AgentState, InteractionAttributes

E = TypeVar("E")
START = 1_700_000_000_000
GATEWAY = cmd.ReplyTo("gateway", 0)


def requires(attribute: str, number: float = 1, operator: Operator = Operator.AT_LEAST, **more: Any) -> Selector:
    """Return a requirement."""
    return Selector(attribute, operator, number, **more)


def a_queue(name: str = "q", **more: Any) -> QueueConfig:
    """Return a queue; its offers are open for 10 s."""
    return QueueConfig(name, **{"offer_ms": 10_000, **more})


def an_agent(agent_id: str, skills: dict[str, float] | None = None, **more: Any) -> AgentProfile:
    """Return an agent's profile."""
    return AgentProfile(agent_id, skills=tuple(sorted((skills or {}).items())), **more)


def a_capacity(
    total: int = 1, name: str = "", default_weight: int = 1, **channels: tuple[int, int, bool]
) -> CapacityProfile:
    """Return a capacity profile: channel=(weight, maximum, exclusive)."""
    listed = tuple(ChannelCapacity(channel, *rule) for channel, rule in sorted(channels.items()))
    return CapacityProfile(name, total, listed, default_weight)


def a_pool(
    *agents: AgentProfile,
    queues: Iterable[QueueConfig] = (),
    capacity: CapacityProfile | Iterable[CapacityProfile] | None = None,
    **more: Any,
) -> PoolConfig:
    """Return a pool with one queue `q` unless others are given; agents take one interaction at a time."""
    profiles = (capacity,) if isinstance(capacity, CapacityProfile) else tuple(capacity or (a_capacity(),))
    return PoolConfig(1, queues=tuple(queues) or (a_queue(),), agents=agents, profiles=profiles, **more)


@dataclass
class World:
    """An engine and its clock. Methods return the effects of their commands."""

    config: PoolConfig | None = None
    now: int = START
    engine: Engine = field(default_factory=Engine)
    log: list[fx.Effect] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        if self.config is not None:
            self.tell(cmd.ActivateConfiguration(self.config))

    def tell(self, command: cmd.Command) -> list[fx.Effect]:
        """Send a command to the engine, and return its effects."""
        effects = self.engine.handle(command, self.now)
        self.log.extend(effects)
        return effects

    def ask(self, command: cmd.Command) -> str:
        """Send a command to the engine, and return its reason, empty when it was carried out."""
        return only(self.tell(command), fx.Result).reason

    def wait(self, ms: int) -> list[fx.Effect]:
        """Let time pass; timers fire at their own times."""
        until, effects = self.now + ms, []
        while (due := self.engine.next_wakeup()) is not None and due <= until:
            self.now = max(self.now, due)
            effects.extend(self.engine.advance(self.now))
        self.now = until
        self.log.extend(effects)
        return effects

    def fresh(self) -> str:
        """Return a new id."""
        self.count += 1
        return f"id-{self.count}"

    def sign_in(self, *agents: str, **more: Any) -> list[fx.Effect]:
        """Sign agents in, in order; sessions are named after them."""
        effects: list[fx.Effect] = []
        for agent in agents:
            command = cmd.SignIn(agent, more.pop("session", f"s-{agent}"), reply_to=GATEWAY, **more)
            effects.extend(self.tell(command))
        return effects

    def enqueue(self, interaction_id: str = "", queue: str = "q", **more: Any) -> list[fx.Effect]:
        """Queue a new interaction that arrives now."""
        name = interaction_id or self.fresh()
        attributes = InteractionAttributes(
            name,
            f"c-{name}",
            queue=queue,
            **{"channel": "chat", "arrived_at_ms": self.now, "person_id": f"p-{name}", **more},
        )
        return self.tell(cmd.Enqueue(attributes))

    def accept(self, interaction_id: str) -> str:
        """Accept it, by the agent who has its offer."""
        offer = self.engine.core.interactions[interaction_id].offer
        assert offer is not None, f"{interaction_id} is not offered"
        return self.ask(cmd.AcceptOffer(offer.agent_id, offer.offer_id))

    def decline(self, interaction_id: str, retry_after_ms: int = 0) -> list[fx.Effect]:
        """Decline it, by the agent who has its offer."""
        offer = self.engine.core.interactions[interaction_id].offer
        assert offer is not None, f"{interaction_id} is not offered"
        return self.tell(cmd.DeclineOffer(offer.agent_id, offer.offer_id, retry_after_ms=retry_after_ms))

    def complete(self, interaction_id: str) -> list[fx.Effect]:
        """Complete it, by the holder."""
        holder = self.engine.core.interactions[interaction_id].agent_id
        return self.tell(cmd.CompleteInteraction(holder, interaction_id, "solved"))

    def holds(self, agent: str, *interactions: str, **more: Any) -> None:
        """Let an agent, the only available one, take interactions now."""
        for interaction_id in interactions:
            self.enqueue(interaction_id, **more)
            assert self.offered(interaction_id) == agent
            assert self.accept(interaction_id) == ""

    def offered(self, interaction_id: str) -> str:
        """Return the agent who has its offer; empty without an offer."""
        interaction = self.engine.core.interactions.get(interaction_id)
        return interaction.offer.agent_id if interaction is not None and interaction.offer is not None else ""

    def state(self, agent: str) -> AgentState:
        """Return an agent's state."""
        return self.engine.core.agents[agent].state


def all_of(effects: Iterable[fx.Effect], kind: type[E]) -> list[E]:
    """Return the effects of one kind, in order."""
    return [effect for effect in effects if isinstance(effect, kind)]


def only(effects: Iterable[fx.Effect], kind: type[E]) -> E:
    """Return the only effect of a kind."""
    found = all_of(effects, kind)
    assert len(found) == 1, f"{len(found)} {kind.__name__} instead of one"
    return found[0]


def notices(effects: Iterable[fx.Effect], agent: str) -> list[fx.Notice]:
    """Return the notices to one agent's desk."""
    return [to.notice for to in all_of(effects, fx.ToDesk) if to.agent_id == agent]


def at_once(world: World, interaction_id: str, **attributes: Any) -> str:
    """Enqueue an interaction; returns the agent to whom the engine offers it at once, or an empty string."""
    world.enqueue(interaction_id, **attributes)
    return world.offered(interaction_id)


__all__ = ["Choice", "Operator"]
