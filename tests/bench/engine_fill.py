"""A pool in the middle of its day: all agents signed in, and as busy as requested. Built by commands alone, so it
does not depend on the engine's internals."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from services.policy.model.routing import AgentProfile
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.changelog.snapshot import collect
from services.router.domain.engine import Engine
from services.router.domain.model import InteractionAttributes
from tests.bench.engine_pool import FEW_CREDITS, START, Plan, attributes_of, capacity_of, gateway_of, room

SIGN_INS_MS: Final = 14_000
"""Virtual time over which all agents sign in: less than a lease, so that no session has to be renewed before the day
begins."""
_TRIES: Final = 12
_BATCH: Final = 100
_BEFORE_MS: Final = 60_000
"""How long ago the interactions that are held now had arrived."""

Watch = Callable[[cmd.Command | None, int, list[fx.Effect]], None]
"""Callback that receives each command (None: timers), its time, and its effects."""


@dataclass(slots=True)
class Filled:
    """The engine, its time, its changelog so far (newest values, in the order of their writes), and what customers
    and agents know."""

    engine: Engine
    now: int = START
    changelog: dict[tuple[str, str], Any] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    open: dict[str, tuple[InteractionAttributes, str]] = field(default_factory=dict)
    """Interactions, and the agent who holds each; empty for waiting ones."""

    def keep(self, changes: list[tuple[tuple[str, str], Any]]) -> None:
        """Keep a batch's entities."""
        for entity, value in changes:
            self.changelog.pop(entity, None)
            if value is not None:
                self.changelog[entity] = value


class _Filling:
    def __init__(self, plan: Plan, watch: Watch | None) -> None:
        self.plan = plan
        self.rng = Random(plan.size.seed + 1)
        self.made = Filled(Engine())
        self.watch = watch
        self.counts: dict[str, dict[str, int]] = {agent_id: {} for agent_id in plan.agents}
        self.given = 0

    def tell(self, kind: Callable[..., cmd.Command], *args: Any, gateway: int = 0) -> None:
        """Handle one command; offers that it causes are accepted at once."""
        self.given += 1
        command_id = f"f1110000-0000-5000-9000-{self.given:012}"
        command = kind(*args, command_id=command_id, reply_to=gateway_of(gateway))
        effects = self.made.engine.handle(command, self.made.now)
        if self.watch is not None:
            self.watch(command, self.made.now, effects)
        for effect in effects:
            if isinstance(effect, fx.Offered):
                name = effect.attributes.interaction_id
                self.made.open[name] = (self.made.open[name][0], effect.agent_id)
                counts = self.counts[effect.agent_id]
                counts[effect.attributes.channel] = counts.get(effect.attributes.channel, 0) + 1
                self.tell(cmd.AcceptOffer, effect.agent_id, effect.offer_id)

    def enqueue(self, agent: AgentProfile) -> None:
        """Enqueue an interaction that the agent could take if they held nothing."""
        intent = self.rng.choice(self.plan.intents_for(agent))
        arrived = self.made.now - self.rng.randrange(_BEFORE_MS)
        attributes = attributes_of(intent, len(self.made.open), arrived, self.rng)
        self.made.open[attributes.interaction_id] = (attributes, "")
        self.tell(cmd.Enqueue, attributes)

    def fill(self, agent: AgentProfile) -> None:
        """Enqueue interactions until nothing fits any more that the agent could take, or until they have received
        enough offers."""
        possible = self.plan.intents_for(agent)
        capacity, counts = capacity_of(agent), self.counts[agent.agent_id]
        channels = {intent.channel for intent in possible}
        for _ in range(_TRIES):
            if not any(room(capacity, counts, channel) for channel in channels):
                return
            self.enqueue(agent)

    def close_batch(self) -> None:
        """Run the timers, and write the changelog, as at the end of a lane's batch."""
        engine, now = self.made.engine, self.made.now
        due = engine.next_wakeup()
        if due is not None and due <= now:
            effects = engine.advance(now)
            if self.watch is not None:
                self.watch(None, now, effects)
        self.made.keep(collect(engine, now))


def filled(plan: Plan, *, held: int | None = None, watch: Watch | None = None) -> Filled:
    """Return a pool with all agents signed in, each with as much as fits; or, with `held`, with that many
    interactions spread over them as the engine decides."""
    filling = _Filling(plan, watch)
    made = filling.made
    filling.tell(cmd.ActivateConfiguration, plan.config)
    agents = sorted(plan.agents.values(), key=lambda agent: agent.agent_id)
    for n, agent in enumerate(agents):
        made.now = START + n * SIGN_INS_MS // len(agents)
        made.sessions[agent.agent_id] = session = f"5e551011-0000-5000-8000-{n:012}"
        credits = 2 if n % FEW_CREDITS == 0 else 0
        filling.tell(cmd.SignIn, agent.agent_id, session, "", credits, gateway=n)
        if held is None:
            filling.fill(agent)
        if n % _BATCH == 0:
            filling.close_batch()
    for n in range(held or 0):
        filling.enqueue(filling.rng.choice(agents))
        if n % _BATCH == 0:
            filling.close_batch()
    filling.close_batch()
    return made
