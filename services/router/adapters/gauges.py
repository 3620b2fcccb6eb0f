"""Gauges of the shards of this process: read every two seconds, not at each decision."""

import asyncio
from types import FunctionType
from typing import Final

from services.chassis.clock import Clock
from services.chassis.kafka.lane import LaneRunner
from services.chassis.metrics import Metrics
from services.router.domain.engine import Engine
from services.router.domain.model import AgentState
from services.router.domain.queries import views
from services.router.lanes.shard import ShardProcessor

_PERIOD_S: Final = 2.0


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
        for partition in runner.partitions:
            processor = runner.processor(partition)
            if not isinstance(processor, ShardProcessor):
                continue
            for engine in processor.engines.values():
                lines, found, mine, whole = views.gauges(engine, now)
                for name, (count, age) in lines.items():
                    before = queues.get(name, (0, 0))
                    queues[name] = (before[0] + count, max(before[1], age))
                for state, count in found.items():
                    states[state] += count
                used, total = used + mine, total + whole
        for name in shown - set(queues):  # another replica serves it now: our value would mislead
            waiting.remove(name)
            oldest.remove(name)
        shown = set(queues)
        for name, (count, age) in queues.items():
            waiting.labels(name).set(count)
            oldest.labels(name).set(age / 1000)
        for state, count in states.items():
            agents.labels(state).set(count)
        occupancy.set(used / total if total else 0)
