"""The queues that each agent serves, as configured now: an agent may read them in addition to their own conversations."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chapar.config.v1 import config_pb2

_NONE: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})


class ConfiguredAgentQueues:
    """Implements `ports.AgentQueues`; the entries of a tenant are rebuilt when its configuration changes."""

    def __init__(self) -> None:
        self._by_tenant: dict[str, Mapping[str, frozenset[str]]] = {}

    def replace(self, tenant: str, configuration: config_pb2.TenantConfiguration | None) -> None:
        """Replace a tenant's configuration; None removes the tenant."""
        if configuration is None:
            self._by_tenant.pop(tenant, None)
            return
        of_pool: dict[str, frozenset[str]] = {}
        for pool in {queue.pool for queue in configuration.queues}:
            of_pool[pool] = frozenset(queue.name for queue in configuration.queues if queue.pool == pool)
        self._by_tenant[tenant] = {
            # An agent without a list of queues serves every queue of the pool.
            agent.agent_id: frozenset(agent.queues) or of_pool.get(agent.pool, frozenset())
            for agent in configuration.agents
        }

    def of(self, tenant: str) -> Mapping[str, frozenset[str]]:
        """Return queues by agent id."""
        return self._by_tenant.get(tenant, _NONE)
