"""The setting of services that send requests to URLs of tenants."""

from typing import Any

from pydantic import Field, field_validator

from services.chassis.destinations import Destinations, destinations
from services.chassis.settings import ServiceSettings


class OutgoingSettings(ServiceSettings):
    """Adds the destinations that the operator allows besides public addresses by https."""

    outgoing_allow: tuple[str, ...] = Field(
        default=(),
        description="Host names, addresses and networks (CIDR), separated by commas, that providers' URLs, webhooks and mail relays may use "
        "although they are not public, also by http. With insecure_dev, loopback is allowed too.",
    )

    @field_validator("outgoing_allow", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("outgoing_allow")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        destinations(value, development=False)
        return value

    @property
    def destinations(self) -> Destinations:
        """Return the rules of this setting."""
        return destinations(self.outgoing_allow, development=self.insecure_dev)
