"""A policy on its way from process to process: as the contract's message, since compiled values of the engine cannot be pickled."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from chapar.config.v1 import config_pb2
from services.router.domain.model import PoolConfig
from services.router.translate.configuration import to_pool


@dataclass(frozen=True, slots=True)
class Policy:
    """A serialised `TenantConfiguration`, and which of its pools is meant."""

    configuration: bytes
    pool: str = "default"

    def to_pool(self) -> PoolConfig:
        """As the engine knows it. Raises ValueError for what is none."""
        try:
            made = to_pool(config_pb2.TenantConfiguration.FromString(self.configuration), self.pool)
        except DecodeError:
            raise ValueError("the policy is no serialised TenantConfiguration") from None
        if not made.queues:
            raise ValueError(f"the policy has no queues in the pool `{self.pool}`")
        return made
