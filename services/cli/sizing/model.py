"""The model: how many processes and brokers a load needs, and which limit each part meets first.

Rules, each from a measurement (docs/scaling.md):

- The CPU of a service is its idle processes, and for each interaction a cost that depends on the rate in its process.
- A process uses at most one core, and is planned for `utilisation` of it. Rates spread over processes as partitions do, so the busiest
  process has the share ceil(partitions / processes) / partitions.
- A pool is in one partition and is decided by one process: the share of a pool cannot be spread.
- Brokers repeat what they receive to `replication` - 1 others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.cli.sizing.costs import Costs, ProcessCost

LEAST_PODS: Final = 2
PARTITIONS: Final = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Counts that are proposed: they divide among many numbers of processes."""
SERVICES: Final = ("ingest", "router", "sla", "feedback")
_MB: Final = 1024.0
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Load:
    """What customers and agents do. The rate is the busiest minute's, over all tenants."""

    interactions_per_s: float
    agents: int = 0
    tenants: int = 1
    pools: int = 1
    """Of all tenants together; the busiest is expected to have an equal share."""
    exchanges: float = 4.0
    """Messages of the customer with a reply, per interaction."""
    open_s: float = 900.0
    """From the first message to completion, on average: waiting, handling and wrap-up."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What no measurement here can show."""

    utilisation: float = 0.6
    """Of one core of a process, and of the cores of a broker."""
    replication: int = 3
    broker_cores: int = 8
    mean: float = 0.3
    """The rate of an average second, as a share of the busiest minute's: for disks."""
    memory_headroom: float = 1.5


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One service. `cores` is the CPU in use, all pods together; `busiest` that of the busiest pod."""

    pods: int
    partitions: int
    cores: float
    busiest: float
    memory_mb: float
    """Of one pod, with headroom."""


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """The brokers. Rates are those of all brokers together, in megabytes a second; `in_` includes replication."""

    brokers: int
    cores: float
    in_mb_s: float
    out_mb_s: float
    disk_gb: float
    """Of each broker, when all topics have reached their retention."""


@dataclass(frozen=True, slots=True)
class Plan:
    services: Mapping[str, ServicePlan]
    brokers: BrokerPlan
    pool_share: float
    """The busiest pool's rate, as a share of what one shard can decide."""
    warnings: tuple[str, ...]


def cpu_ms_per_s(cost: ProcessCost, rate: float, processes: int, exchanges: float = 1.0) -> float:
    """Return milliseconds of CPU a second of all processes together, at `rate` interactions a second over all of them."""
    of_one = cost.interaction(rate / processes)
    return processes * cost.idle + rate * (of_one + max(0.0, exchanges - 1) * cost.exchange)


def plan(load: Load, costs: Costs, assumed: Assumptions = Assumptions()) -> Plan:
    """Return the plan for a load. Raises ValueError for a load or an assumption that is not positive."""
    if load.interactions_per_s <= 0 or load.pools < 1 or not 0 < assumed.utilisation <= 1:
        raise ValueError("the rate, the number of pools and the utilisation must be positive")
    services = {name: _service(name, load, costs, assumed) for name in SERVICES}
    of_pool = load.interactions_per_s / load.pools
    share = of_pool / costs.shard_per_s
    return Plan(services, _brokers(load, costs, assumed), share, tuple(_warnings(load, share, services, assumed)))


def _service(name: str, load: Load, costs: Costs, assumed: Assumptions) -> ServicePlan:
    cost = costs.processes[name]
    rate = load.interactions_per_s
    pods = LEAST_PODS
    while True:
        partitions = next((count for count in PARTITIONS if count >= max(2 * pods, PARTITIONS[0])), 2 * pods)
        share = math.ceil(partitions / pods) / partitions
        busiest = cpu_ms_per_s(cost, rate * share, 1, load.exchanges) / 1000
        if busiest <= assumed.utilisation or pods >= rate * 10:
            break
        pods += 1
    return ServicePlan(
        pods,
        partitions,
        round(cpu_ms_per_s(cost, rate, pods, load.exchanges) / 1000, 2),
        round(busiest, 2),
        round(_memory_mb(name, load, costs, share) * assumed.memory_headroom),
    )


def _memory_mb(name: str, load: Load, costs: Costs, share: float) -> float:
    open_ = load.interactions_per_s * load.open_s * share
    agents = load.agents * costs.agent_kb / _MB if name == "router" else 0.0
    return costs.idle_mb[name] + open_ * costs.open_kb[name] / _MB + agents


def _brokers(load: Load, costs: Costs, assumed: Assumptions) -> BrokerPlan:
    rate = load.interactions_per_s
    # Traffic of further exchanges is that of the first in proportion to the CPU that the brokers use for them.
    broker = costs.processes["broker"]
    more = 1 + max(0.0, load.exchanges - 1) * broker.exchange / broker.at[-1][1]
    copies = assumed.replication - 1
    in_mb = rate * costs.kilobytes_in * more * assumed.replication / _MB
    out_mb = rate * (costs.kilobytes_out + copies * costs.kilobytes_in) * more / _MB
    # A follower writes what its leader writes, without the work for clients: counted as half.
    cores = cpu_ms_per_s(broker, rate, assumed.replication, load.exchanges) * (1 + copies / 2) / 1000
    brokers = max(assumed.replication, math.ceil(cores / (assumed.broker_cores * assumed.utilisation)))
    kept = rate * assumed.mean * _DAY_S * costs.kilobyte_days * more * assumed.replication / brokers / _MB / _MB
    return BrokerPlan(brokers, round(cores, 1), round(in_mb, 1), round(out_mb, 1), round(kept))


def _warnings(load: Load, share: float, services: Mapping[str, ServicePlan], assumed: Assumptions) -> list[str]:
    found = []
    if share > assumed.utilisation:
        found.append(f"one pool needs {share:.0%} of what one shard can decide: make more pools")
    if load.pools < services["router"].pods:
        most = (
            f"one of {services['router'].pods} router pods decides"
            if load.pools == 1
            else f"{load.pools} router pods decide"
        )
        found.append(f"at most {most}, because a pool has one shard; the others serve agents' desks")
    if services["ingest"].pods > LEAST_PODS * 4:
        found.append("run ingest in parts (ingest.split.enabled), with history in PostgreSQL")
    return found
