"""Simulated days as the sla lanes would have read them: the live routing engine on its virtual clock, with customers of
a scenario.

`a_day` returns the router's events, in order; `Lane` is one partition of the sla service without Kafka. Conversations
are spread over partitions as in production, so that each lane sees only its share of a queue.
"""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from zlib import crc32

from services.policy.model.business_time import RoundTheClock
from services.policy.model.sla import Policy, Target
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine as Routing
from services.router.simulation.customers import draw
from services.router.simulation.distributions import Exponential
from services.router.simulation.floor import Floor
from services.router.simulation.plan import make
from services.router.simulation.reading import read
from services.router.simulation.scenario import Scenario
from services.sla.domain.analytics import Analytics
from services.sla.domain.deadlines import Deadline
from services.sla.domain.engine import Engine
from services.sla.domain.facts import RoutingFact, RoutingFactKind
from services.sla.domain.forecasting import Forecasting
from services.sla.domain.interaction import TrackedInteraction
from services.sla.domain.prediction import Features, Model
from services.sla.domain.tracked_interactions import TrackedInteractions

CALL_CENTRE: Final = Path("deploy/config/scenarios/call-centre.yaml")
DAY_MS: Final = 86_400_000
BUSIER: Final = 1.1
PATIENCE: Final = "10m"
REPLY_MS: Final = 20_000
"""Mean time from the assignment to the agent's first reply."""
_KINDS: Final[dict[type, RoutingFactKind]] = {
    fx.Queued: RoutingFactKind.QUEUED,
    fx.Assigned: RoutingFactKind.ASSIGNED,
    fx.Completed: RoutingFactKind.COMPLETED,
    fx.Abandoned: RoutingFactKind.ABANDONED,
    fx.Cancelled: RoutingFactKind.CANCELLED,
    fx.Transferred: RoutingFactKind.MOVED,
    fx.Changed: RoutingFactKind.MOVED,
}


class _Heard(Routing):
    """An engine whose events are kept with their times."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[int, fx.Event]] = []

    def handle(self, command: cmd.Command, now: int) -> list[fx.Effect]:
        return self._hear(super().handle(command, now), now)

    def advance(self, now: int, until: int | None = None) -> list[fx.Effect]:
        return self._hear(super().advance(now, until), now)

    def _hear(self, effects: list[fx.Effect], now: int) -> list[fx.Effect]:
        self.heard += [(now, effect) for effect in effects if isinstance(effect, fx.Event)]
        return effects


def callers(busyness: float) -> Scenario:
    """Return the call centre of the examples as it is: people who hang up soon, and call again. Days differ by a
    coefficient of variation."""
    given = read(CALL_CENTRE)
    return given.model_copy(update={"busyness": given.busyness.model_copy(update={"day_cv": busyness})})


def chats(busyness: float) -> Scenario:
    """Return the call centre of the examples, with chats instead of calls: people wait for ten minutes on average
    and do not come again, and there are more of them (`BUSIER`). Days differ by a coefficient of variation, so
    that some are calm and others overloaded for hours."""
    given = read(CALL_CENTRE)
    types = {}
    for name, kind in given.types.items():
        arrivals = kind.arrivals
        assert arrivals is not None
        assert arrivals.rates is not None
        rates = [rate * BUSIER for rate in arrivals.rates]
        types[name] = kind.model_copy(
            update={
                "arrivals": arrivals.model_copy(update={"rates": rates}),
                "patience": Exponential.model_validate({"distribution": "exponential", "mean": PATIENCE}),
                "patience_by_period": None,
                "retrials": None,
            }
        )
    busy = given.busyness.model_copy(update={"day_cv": busyness})
    return given.model_copy(update={"types": types, "busyness": busy, "waiting_places": None})


def a_day(wanted: Scenario, number: int) -> list[RoutingFact]:
    """Return the router's events of a day, in order; agents reply a while after the assignment."""
    plan = make(wanted)
    floor = Floor(plan, draw(plan, number), number)
    engine = floor._engine = _Heard()
    floor.run()
    found: list[RoutingFact] = []
    for at, event in engine.heard:
        kind = _KINDS.get(type(event))
        if kind is None:
            continue
        fact = _fact(kind, event, at, number)
        found.append(fact)
        if kind is RoutingFactKind.ASSIGNED:
            later = random.Random(fact.event_id).expovariate(1 / REPLY_MS)
            found.append(
                replace(fact, kind=RoutingFactKind.AGENT_REPLIED, occurred_at_ms=at + number * DAY_MS + round(later))
            )
    epochs: dict[str, int] = {}
    ordered: list[RoutingFact] = []
    for fact in sorted(found, key=lambda fact: fact.occurred_at_ms):
        epochs[fact.interaction_id] = epochs.get(fact.interaction_id, 0) + 1
        ordered.append(replace(fact, epoch=epochs[fact.interaction_id]))
    return ordered


def _fact(kind: RoutingFactKind, event: fx.Event, at_ms: int, day: int) -> RoutingFact:
    attributes = event.attributes
    name = f"{day}-{attributes.interaction_id}"
    queued = event if isinstance(event, fx.Queued) else None
    return RoutingFact(
        kind,
        f"e-{name}-{at_ms}",
        "acme",
        "default",
        name,
        f"c-{name}",
        attributes.queue,
        attributes.channel,
        "",
        at_ms + day * DAY_MS,
        attributes.arrived_at_ms + day * DAY_MS,
        agent_id=event.agent_id if isinstance(event, fx.Assigned) else "",
        again=queued is not None and queued.again,
        person_id=attributes.person_id,
        estimated_p50_ms=queued.estimated_wait_ms if queued is not None else -1,
        estimated_p90_ms=queued.estimated_p90_ms if queued is not None else -1,
    )


@dataclass(frozen=True, slots=True)
class Forecast:
    """A forecast and its outcome. `moment` 0 is at queueing, then one for each of `forecasting.AGES`."""

    target: Target
    moment: int
    probability: float
    broken: bool
    day: int


class _Frozen(Model):
    """A model that does not learn."""

    __slots__ = ()

    def outcome(self, x: Features, forecast: float, *, broken: bool) -> None:
        pass


class _Watched(Forecasting):
    """Keeps the outcomes of forecasts; does not learn while it is examined."""

    told: list[Forecast]

    def examine(self) -> None:
        """Stop learning: from now on the weights are those of the days before."""
        for key, model in self.models.items():
            self.models[key] = _Frozen(list(model.weights), list(model.covariance))

    def _decided(self, interaction: TrackedInteraction, deadline: Deadline, *, broken: bool) -> None:
        story = self._stories.get(interaction.interaction_id)
        mine = story.of(deadline.target, deadline.epoch) if story is not None else ()
        day = int(interaction.interaction_id.partition("-")[0])
        self.told += [Forecast(s.target, moment, s.forecast, broken, day) for moment, s in enumerate(mine)]
        super()._decided(interaction, deadline, broken=broken)


class Lane:
    """One partition: decides and forecasts, each at its time."""

    def __init__(self, policies: tuple[Policy, ...]) -> None:
        self._policies = policies
        self.tracked = TrackedInteractions(lambda _spec: RoundTheClock(), 600_000)
        self.engine = Engine(self.tracked)
        self.analytics = Analytics(self.tracked, 600_000)
        watched = _Watched(self.tracked, self.analytics.stories)
        watched.told = []
        self.analytics.forecasting = self.watched = watched

    def take(self, fact: RoutingFact) -> None:
        """Process everything that is due before a fact, then the fact."""
        self.until(fact.occurred_at_ms)
        found = self.engine.handle(fact, self._policies, fact.occurred_at_ms)
        self.analytics.observe(fact, found, fact.occurred_at_ms)
        self.tracked.take_changes()
        self.analytics.take_changes()

    def until(self, at_ms: int) -> None:
        """Let the time pass."""
        while True:
            due = [t for t in (self.tracked.next_wakeup(), self.analytics.next_wakeup()) if t is not None and t < at_ms]
            if not due:
                return
            now = min(due)
            self.analytics.look(self.engine.advance(now, now), now)
            self.analytics.advance(now, now)


def spread(facts: list[RoutingFact], lanes: list[Lane]) -> None:
    """Give each fact to the lane of its conversation."""
    for fact in facts:
        lanes[crc32(fact.conversation_id.encode()) % len(lanes)].take(fact)
