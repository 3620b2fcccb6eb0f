"""Settings of the sla service. Environment variables start with CHAPAR_SLA_."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.chassis.outgoing_settings import OutgoingSettings
from services.chassis.tokens import ServiceTokenSettings


class SlaSettings(OutgoingSettings):
    """Settings of the deadline lane, the escalation of warnings, and SlaService."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="CHAPAR_SLA_", validate_default=True)

    router_address: str = Field(
        default="",
        description="Address of the router's gRPC API, for raising priorities; empty: warnings raise no priority.",
    )
    router_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authorities that sign the router's certificate; required unless insecure_dev is set.",
    )
    router_server_name: str = Field(
        default="", description="Name in the router's certificate, if it differs from the address."
    )
    service_token: ServiceTokenSettings = Field(
        default_factory=ServiceTokenSettings, description="Source of the tokens for calls to the router."
    )
    settle_ms: int = Field(
        default=50,
        ge=0,
        le=10_000,
        description="How long the clock waits after a deadline is due before it decides the deadline.",
    )
    forget_after_s: float = Field(
        default=600, ge=1, description="How long GetDeadlines still returns a closed interaction, in seconds."
    )
    repeat_window_days: float = Field(
        default=7,
        gt=0,
        le=31,
        description="Number of days after a contact within which the same person's next contact counts as repeated.",
    )
    lanes: bool = Field(default=True, description="Whether this replica runs deadline lanes and escalation.")
