"""Settings of feedback. Variables start with CHAPAR_FEEDBACK_."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from services.chassis.http import networks_of
from services.chassis.outgoing_settings import OutgoingSettings
from services.chassis.privacy.settings import PersonalSettings
from services.chassis.tokens import ServiceTokenSettings

Role = Literal["lanes", "dispatcher", "edge", "analytics"]
ALL_ROLES: tuple[Role, ...] = ("lanes", "dispatcher", "edge", "analytics")


class FeedbackSettings(OutgoingSettings):
    """Asks customers how it was, counts each answer once, and says how sure the figures are."""

    model_config = SettingsConfigDict(env_prefix="CHAPAR_FEEDBACK_")

    personal: PersonalSettings = Field(default_factory=PersonalSettings, description="How personal data is protected.")
    roles: tuple[Role, ...] = Field(
        default=ALL_ROLES,
        min_length=1,
        description="What this process does: lanes, dispatcher, edge (survey pages and gRPC), analytics (Faust).",
    )
    http_host: str = Field(default="127.0.0.1", description="Address of the survey pages.")
    http_port: int = Field(default=0, ge=0, le=65535, description="Port of the survey pages; 0 takes a free one.")
    http_proxies: str = Field(
        default="", description="Addresses and networks (CIDR) of proxies whose X-Forwarded-For is believed."
    )
    http_connections: int = Field(default=5_000, ge=10, description="Connections to the survey pages at once.")
    http_per_peer: int = Field(
        default=128, ge=2, description="Connections of one address, or requests of one client behind a proxy, at once."
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Where customers reach the survey pages, e.g. https://ask.example.com; empty: this process's own.",
    )
    ingest_address: str = Field(
        default="127.0.0.1:7001", description="gRPC address of ingest; several IPv4 ones with commas."
    )
    ingest_ca_file: Path | None = Field(
        default=None, description="PEM authorities of ingest's certificate; default: tls_ca_file; neither: no TLS."
    )
    link_secret_file: Path | None = Field(
        default=None,
        description="Secret that survey links are signed with, at least 32 bytes; "
        "without it a key is derived from jwt.secret_file. All replicas share it.",
    )
    service_token: ServiceTokenSettings = Field(
        default_factory=ServiceTokenSettings, description="Where the tokens for calls to ingest come from."
    )
    verdict_timeout_s: float = Field(
        default=10,
        gt=0,
        description="Seconds that the survey lane may take to decide an answer by gRPC; then UNAVAILABLE.",
    )
    answers_kept: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Newest answers in memory for ListAnswers, all tenants together.",
    )
    answers_days: int = Field(default=30, ge=1, le=400, description="How many days of answers are read at a start.")

    @field_validator("http_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks_of(value)
        return value
