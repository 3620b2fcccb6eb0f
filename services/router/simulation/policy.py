"""A policy that can be sent between processes: as the contract's message, since compiled values of the engine cannot be pickled."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from chapar.config.v1 import config_pb2
from services.policy.model.routing import PoolConfig
from services.policy.reading.routing import to_pool


@dataclass(frozen=True, slots=True)
class Policy:
    """A serialised `TenantConfiguration`, and the name of the pool to use."""

    configuration: bytes
    pool: str = "default"

    def to_pool(self) -> PoolConfig:
        """Return the policy as the engine's configuration. Raises ValueError for an invalid one."""
        try:
            made = to_pool(config_pb2.TenantConfiguration.FromString(self.configuration), self.pool)
        except DecodeError:
            raise ValueError("the policy is not a serialised TenantConfiguration") from None
        if not made.queues:
            raise ValueError(f"the policy has no queues in the pool `{self.pool}`")
        return made
