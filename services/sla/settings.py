"""Settings of the sla service. Variables start with CHAPAR_SLA_."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.chassis.outgoing_settings import OutgoingSettings
from services.chassis.tokens import ServiceTokenSettings


class SlaSettings(OutgoingSettings):
    """Chapar sla: the deadline lane, the escalation of warnings, SlaService."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="CHAPAR_SLA_", validate_default=True)

    router_address: str = Field(
        default="", description="Address of the router's gRPC for raising priorities; empty: warnings raise nothing."
    )
    router_ca_file: Path | None = Field(
        default=None, description="PEM authorities of the router's certificate; needed unless insecure_dev."
    )
    router_server_name: str = Field(
        default="", description="Name in the router's certificate, where it differs from the address."
    )
    service_token: ServiceTokenSettings = Field(
        default_factory=ServiceTokenSettings, description="Where the tokens for calls to the router come from."
    )
    settle_ms: int = Field(
        default=50, ge=0, le=10_000, description="How long after it is due a deadline is decided by the clock."
    )
    forget_after_s: float = Field(
        default=600, ge=1, description="How long closed work stays readable by GetDeadlines, in seconds."
    )
    repeat_window_days: float = Field(
        default=7, gt=0, le=31, description="Within how many days of the contact before a contact counts as repeated."
    )
    lanes: bool = Field(default=True, description="Whether this replica runs deadline lanes and escalation.")

    @property
    def router_target(self) -> str:
        """The router's address as gRPC wants it; several addresses, separated by commas, are replicas."""
        several = "," in self.router_address and ":///" not in self.router_address
        return f"ipv4:{self.router_address.replace(' ', '')}" if several else self.router_address
