"""Settings of the feedback service. Environment variables start with CHAPAR_FEEDBACK_."""

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
    """Settings of the survey lane, the dispatcher, the edge (survey pages and gRPC) and analytics."""

    model_config = SettingsConfigDict(env_prefix="CHAPAR_FEEDBACK_")

    personal: PersonalSettings = Field(default_factory=PersonalSettings, description="How personal data is protected.")
    roles: tuple[Role, ...] = Field(
        default=ALL_ROLES,
        min_length=1,
        description="Roles of this process: lanes, dispatcher, edge (survey pages and gRPC), analytics (Faust).",
    )
    http_host: str = Field(default="127.0.0.1", description="Address of the survey pages.")
    http_port: int = Field(default=0, ge=0, le=65535, description="Port of the survey pages; 0 takes a free one.")
    http_proxies: str = Field(
        default="", description="Addresses and networks (CIDR) of proxies whose X-Forwarded-For is trusted."
    )
    http_connections: int = Field(
        default=5_000, ge=10, description="Maximum number of open connections to the survey pages."
    )
    http_per_peer: int = Field(
        default=128,
        ge=2,
        description="Maximum number of open connections of one address, or of concurrent requests of one client behind a proxy.",
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="URL at which customers reach the survey pages, e.g. https://ask.example.com; empty: this process's own.",
    )
    ingest_address: str = Field(
        default="127.0.0.1:7001", description="gRPC address of ingest; several IPv4 addresses are separated by commas."
    )
    ingest_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authorities that sign ingest's certificate; default: tls_ca_file; without both: no TLS.",
    )
    dispatch_concurrency: int = Field(
        default=32,
        ge=1,
        le=256,
        description="Number of conversations whose invitations, or recoveries, this process passes to ingest at the same time.",
    )
    link_secret_file: Path | None = Field(
        default=None,
        description="Secret for signing survey links, at least 32 bytes; "
        "without it, a key is derived from jwt.secret_file. All replicas must use the same secret.",
    )
    link_further_secret_files: tuple[Path, ...] = Field(
        default=(),
        max_length=4,
        description="Further secrets, at least 32 bytes each, whose survey links are valid too: the next secret before a rotation, "
        "the former one after it.",
    )
    service_token: ServiceTokenSettings = Field(
        default_factory=ServiceTokenSettings, description="Source of the tokens for calls to ingest."
    )
    verdict_timeout_s: float = Field(
        default=10,
        gt=0,
        description="Seconds that the survey lane may take to decide a response given by gRPC; after that, UNAVAILABLE.",
    )
    responses_kept: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Number of newest responses kept in memory for ListSurveyResponses, for all tenants together.",
    )
    responses_days: int = Field(
        default=30, ge=1, le=400, description="Number of days of responses that are read at a start."
    )

    @field_validator("http_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks_of(value)
        return value
