"""Gauges of the shards of this process: read every two seconds, not at each decision."""

import asyncio
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


def _appear(metrics: Metrics, queue: str, interrupted: set[str]) -> None:
    """Let the counters of rare events of a queue begin at 0. `interrupted`: channels whose assignments may be parked."""
    for name in ("chapar_router_scheduled_total", "chapar_router_over_capacity_total"):
        metrics.counter(name).labels(queue)
    for reason in ("TRANSFERRED", "REROUTED"):
        metrics.counter("chapar_router_transferred_total").labels(queue, reason)
    for reason in (*(trigger.name for trigger in Trigger if trigger), "CANCELLED"):
        metrics.counter("chapar_router_overflowed_total").labels(queue, reason)
    for within in ("true", "false"):
        metrics.counter("chapar_router_estimates_total").labels(queue, within)
    for channel in interrupted:
        metrics.counter("chapar_router_parked_total").labels(queue, channel)


def _interrupted(engine: Engine) -> set[str]:
    profiles = engine.core.config.profiles if engine.core.config is not None else ()
    return {name for profile in profiles for channel in profile.channels for name in channel.interrupts}


async def show_gauges(runner: LaneRunner, clock: Clock, metrics: Metrics) -> None:
    """Update the gauges until cancelled."""
    waiting = metrics.gauge("chapar_router_waiting")
    oldest = metrics.gauge("chapar_router_oldest_waiting_seconds")
    agents = metrics.gauge("chapar_router_agents")
    occupancy = metrics.gauge("chapar_router_occupancy_ratio").labels()
    # A compiled method is not a Python function.
    metrics.gauge("chapar_router_engine_compiled").labels().set(not isinstance(Engine.handle, FunctionType))
    shown: set[str] = set()
    while True:
        await asyncio.sleep(_PERIOD_S)
        now = clock()
        queues: dict[str, tuple[int, int]] = {}
        states = {state.name.lower(): 0 for state in AgentState if state}
        used = total = 0
        interrupted: set[str] = set()
        for partition in runner.partitions:
            processor = runner.processor(partition)
            if not isinstance(processor, ShardProcessor):
                continue
            for engine in processor.engines.values():
                lines, found, mine, whole = views.gauges(engine, now)
                interrupted |= _interrupted(engine)
                for name, (count, age) in lines.items():
                    before = queues.get(name, (0, 0))
                    queues[name] = (before[0] + count, max(before[1], age))
                for state, count in found.items():
                    states[state] += count
                used, total = used + mine, total + whole
        for name in shown - set(queues):  # another replica serves it now: our value would mislead
            waiting.remove(name)
            oldest.remove(name)
        for name in set(queues) - shown:
            _appear(metrics, name, interrupted)
        shown = set(queues)
        for name, (count, age) in queues.items():
            waiting.labels(name).set(count)
            oldest.labels(name).set(age / 1000)
        for state, count in states.items():
            agents.labels(state).set(count)
        occupancy.set(used / total if total else 0)
