"""What the gateway reads from the configuration: the pool of each agent, which an agent's desk need not know, and the hours of the queues."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chapar.config.v1 import config_pb2
from services.chassis.config_reader import ConfigReader
from services.policy.findings import Findings
from services.policy.model import interning
from services.policy.model.opening_hours import TenantHours
from services.policy.reading.opening_hours import read_opening_hours
from services.policy.reading.routing import DEFAULT_POOL


@dataclass(frozen=True, slots=True)
class ConfiguredTenant:
    """The gateway's part of a tenant's configuration. `pools`: of the agents."""

    pools: Mapping[str, str] = field(default_factory=dict)
    queues: frozenset[str] = frozenset()
    hours: TenantHours = field(default_factory=TenantHours)


def decode(_key: str, raw: bytes) -> ConfiguredTenant:
    """Return the gateway's part of a tenant's configuration. Raises DecodeError."""
    configuration = config_pb2.TenantConfiguration.FromString(raw)
    pools = {agent.agent_id: interning.name(agent.pool) or DEFAULT_POOL for agent in configuration.agents}
    queues = frozenset(queue.name for queue in configuration.queues)
    return ConfiguredTenant(pools, queues, read_opening_hours(configuration, Findings()))


class AgentPools(Protocol):
    """Knows the pools of agents."""

    async def of(self, tenant: str, agent_id: str) -> str:
        """Return the agent's pool; empty for an agent who is not configured. Raises UNAVAILABLE CONFIG_UNREAD."""


class QueueHours(Protocol):
    """Knows the hours of queues."""

    async def tenant(self, tenant: str) -> ConfiguredTenant:
        """Return the tenant's part of the configuration in force; an empty one for an unknown tenant. Raises UNAVAILABLE CONFIG_UNREAD."""


class ConfiguredPools:
    """Reads them from the configuration in force."""

    def __init__(self, configuration: ConfigReader[ConfiguredTenant], wait_s: float) -> None:
        """`wait_s`: how long a question waits for the first reading of the configuration after a start."""
        self._configuration = configuration
        self._wait_s = wait_s

    async def of(self, tenant: str, agent_id: str) -> str:
        """See AgentPools."""
        return (await self.tenant(tenant)).pools.get(agent_id, "")

    async def tenant(self, tenant: str) -> ConfiguredTenant:
        """See QueueHours."""
        return (await self._configuration.first(self._wait_s)).get(tenant, ConfiguredTenant())
