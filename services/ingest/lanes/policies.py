"""The configuration as the lanes use it: one snapshot per batch, translated and compiled once per version."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from chapar.config.v1 import config_pb2
from services.policy.model.intake import TenantPolicy
from services.policy.model.rules import Condition
from services.policy.reading.intake import tenant_policy

Configurations = Callable[[], Mapping[str, config_pb2.TenantConfiguration]]
"""Returns the active configurations by tenant; `ConfigReader.values` in a lambda. Returned values are never modified."""


class CompiledPolicies:
    """Implements `domain.policy.Policies`. Call it in one event loop only."""

    def __init__(
        self, configurations: Configurations, compile_conditions: Callable[[Iterable[str]], Condition]
    ) -> None:
        self._configurations = configurations
        self._compile = compile_conditions
        self._known: dict[str, tuple[config_pb2.TenantConfiguration, TenantPolicy]] = {}
        self._snapshot: Mapping[str, TenantPolicy] = MappingProxyType({})

    def __call__(self) -> Mapping[str, TenantPolicy]:
        running = self._configurations()
        same = len(running) == len(self._known) and all(
            tenant in self._known and self._known[tenant][0] is value for tenant, value in running.items()
        )
        if not same:
            self._known = {tenant: self._translated(tenant, value) for tenant, value in running.items()}
            self._snapshot = MappingProxyType({tenant: policy for tenant, (_, policy) in self._known.items()})
        return self._snapshot

    def _translated(
        self, tenant: str, value: config_pb2.TenantConfiguration
    ) -> tuple[config_pb2.TenantConfiguration, TenantPolicy]:
        known = self._known.get(tenant)
        if known is not None and known[0] is value:
            return known
        return value, tenant_policy(value, self._compile(rule.when.strip() for rule in value.rules))
