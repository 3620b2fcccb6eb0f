"""Settings of the router: environment variables CHAPAR_ROUTER_*."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.chassis.privacy.settings import PersonalSettings
from services.chassis.settings import ServiceSettings


class RouterSettings(ServiceSettings):
    """Chapar's router: shard lanes, agent sessions, and routing's gRPC services."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="CHAPAR_ROUTER_", validate_default=True)

    personal: PersonalSettings = Field(default_factory=PersonalSettings, description="How personal data is protected.")
    advertised_address: str = Field(
        default="", description="host:port at which other replicas reach this one's gRPC; empty uses the bound address."
    )
    heartbeat_ms: int = Field(
        default=15_000,
        ge=100,
        le=600_000,
        description="Heartbeat interval of a desk; three missed ones end its session.",
    )
    lease_renewal_ms: int = Field(
        default=5_000, ge=50, le=60_000, description="How often leases of live sessions are renewed."
    )
    command_timeout_s: float = Field(
        default=10, gt=0, le=120, description="Seconds for which a desk's request waits for its result."
    )
    tenant_changes_per_s: float = Field(
        default=30,
        ge=0,
        description="Changes a second that one tenant may ask for by unary calls at this replica; agents' sessions are "
        "not counted. 0: no limit. A change costs the shard, which all tenants of a partition share, more than a read.",
    )
    tenant_changes_burst: float = Field(default=60, ge=1, description="The same, as a burst.")
    peer_ca_file: Path | None = Field(
        default=None,
        description="With TLS: PEM authorities of the other replicas' certificates; default: tls_ca_file.",
    )
    peer_server_name: str = Field(
        default="", description="With TLS: the name in the replicas' certificates, when it is not their address."
    )
