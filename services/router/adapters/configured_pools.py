"""The pool of each agent, as configured: an agent's desk need not know it."""

from collections.abc import Mapping
from typing import Protocol

from chapar.config.v1 import config_pb2
from services.chassis.config_reader import ConfigReader
from services.policy.model import interning
from services.policy.reading.routing import DEFAULT_POOL

PoolOfAgent = Mapping[str, str]


def decode(_key: str, raw: bytes) -> PoolOfAgent:
    """Return the pools of a tenant's agents. Raises DecodeError."""
    agents = config_pb2.TenantConfiguration.FromString(raw).agents
    return {agent.agent_id: interning.name(agent.pool) or DEFAULT_POOL for agent in agents}


class AgentPools(Protocol):
    """Knows the pools of agents."""

    async def of(self, tenant: str, agent_id: str) -> str:
        """Return the agent's pool; empty for an agent who is not configured. Raises UNAVAILABLE CONFIG_UNREAD."""


class ConfiguredPools:
    """Reads them from the configuration in force."""

    def __init__(self, configuration: ConfigReader[PoolOfAgent], wait_s: float) -> None:
        """`wait_s`: how long a question waits for the first reading of the configuration after a start."""
        self._configuration = configuration
        self._wait_s = wait_s

    async def of(self, tenant: str, agent_id: str) -> str:
        """See AgentPools."""
        tenants = await self._configuration.first(self._wait_s)
        return tenants.get(tenant, {}).get(agent_id, "")
