"""Gauges of the shards of this process: read every two seconds, not at each decision."""

import asyncio
from collections.abc import Iterable
from types import FunctionType
from typing import Final

from services.chassis.clock import Clock
from services.chassis.kafka.lane import LaneRunner
from services.chassis.metrics import Metrics
from services.policy.model.routing import Trigger
from services.router.domain.engine import Engine
from services.router.domain.model import AgentState
from services.router.domain.queries import views
from services.router.lanes.shard import ShardProcessor

_PERIOD_S: Final = 2.0

Place = tuple[str, str]
"""Tenant and queue."""


def _appear(metrics: Metrics, place: Place, interrupted: set[str]) -> None:
    """Let the counters of rare events of a queue begin at 0. `interrupted`: channels whose assignments may be parked."""
    for name in ("chapar_router_scheduled_total", "chapar_router_over_capacity_total"):
        metrics.counter(name).labels(*place)
    for reason in ("TRANSFERRED", "REROUTED"):
        metrics.counter("chapar_router_transferred_total").labels(*place, reason)
    for reason in (*(trigger.name for trigger in Trigger if trigger), "CANCELLED"):
        metrics.counter("chapar_router_overflowed_total").labels(*place, reason)
    for within in ("true", "false"):
        metrics.counter("chapar_router_estimates_total").labels(*place, within)
    for channel in interrupted:
        metrics.counter("chapar_router_parked_total").labels(*place, channel)


def _interrupted(engine: Engine) -> set[str]:
    profiles = engine.core.config.profiles if engine.core.config is not None else ()
    return {name for profile in profiles for channel in profile.channels for name in channel.interrupts}


class RouterGauges:
    """What the shards hold: waiting interactions by tenant and queue, agents by state, occupancy."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting = metrics.combined("chapar_router_waiting")
        self._oldest = metrics.combined("chapar_router_oldest_waiting_seconds")
        self._agents = metrics.gauge("chapar_router_agents")
        self._occupancy = metrics.gauge("chapar_router_occupancy_ratio").labels()
        # A compiled method is not a Python function.
        metrics.gauge("chapar_router_engine_compiled").labels().set(not isinstance(Engine.handle, FunctionType))
        self._shown: set[Place] = set()

    def show(self, engines: Iterable[tuple[str, Engine]], now_ms: int) -> None:
        """Update the gauges from all engines of this process, each with its tenant."""
        queues: dict[Place, tuple[int, int]] = {}
        states = {state.name.lower(): 0 for state in AgentState if state}
        used = total = 0
        interrupted: dict[str, set[str]] = {}
        for tenant, engine in engines:
            lines, found, mine, whole = views.gauges(engine, now_ms)
            interrupted.setdefault(tenant, set()).update(_interrupted(engine))
            for name, (count, age) in lines.items():
                before = queues.get((tenant, name), (0, 0))
                queues[tenant, name] = (before[0] + count, max(before[1], age))
            for state, count in found.items():
                states[state] += count
            used, total = used + mine, total + whole
        for place in self._shown - set(queues):  # another replica serves it now: our value would mislead
            self._waiting.remove(*place)
            self._oldest.remove(*place)
        for place in set(queues) - self._shown:
            _appear(self._metrics, place, interrupted[place[0]])
        self._shown = set(queues)
        for place, (count, age) in queues.items():
            self._waiting.set(*place, to=count)
            self._oldest.set(*place, to=age / 1000)
        for state, count in states.items():
            self._agents.labels(state).set(count)
        self._occupancy.set(used / total if total else 0)


async def show_gauges(runner: LaneRunner, clock: Clock, metrics: Metrics) -> None:
    """Update the gauges until cancelled."""
    gauges = RouterGauges(metrics)
    while True:
        await asyncio.sleep(_PERIOD_S)
        processors = [runner.processor(partition) for partition in runner.partitions]
        shards = [processor for processor in processors if isinstance(processor, ShardProcessor)]
        gauges.show(((where[0], engine) for shard in shards for where, engine in shard.engines.items()), clock())
