"""Settings of the ingest service. Variables start with CHAPAR_INGEST_."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.chassis.http import networks_of
from services.chassis.outgoing_settings import OutgoingSettings
from services.chassis.privacy.settings import PersonalSettings


class IngestSettings(OutgoingSettings):
    """Chapar ingest: the edges, the intake, relay and sender lanes, and the history projection."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="CHAPAR_INGEST_", validate_default=True)

    personal: PersonalSettings = Field(default_factory=PersonalSettings, description="How personal data is protected.")
    http_host: str = Field(default="127.0.0.1", description="Address of webhooks and web chat.")
    http_port: int = Field(default=0, ge=0, le=65535, description="Port of the same; 0 takes a free one.")
    http_proxies: str = Field(
        default="", description="Addresses and networks (CIDR) of proxies whose X-Forwarded-For is believed."
    )
    http_concurrency: int = Field(default=25_000, ge=10, description="Connections at once.")
    http_per_peer: int = Field(
        default=256, ge=2, description="Connections of one address, or requests of one client behind a proxy, at once."
    )
    max_body_bytes: int = Field(default=3 << 20, ge=1024, le=16 << 20, description="Largest webhook body.")
    body_timeout_s: float = Field(default=15, gt=0, description="Seconds that a webhook's body may take to arrive.")

    unproven_bytes: int = Field(
        default=24 << 20,
        ge=1 << 20,
        description="Bytes of webhook bodies that may be held before their proof is checked.",
    )
    unproven_bytes_per_peer: int = Field(default=8 << 20, ge=1 << 20, description="The same, of one address.")

    smtp_enabled: bool = Field(default=True, description="Whether e-mail is received.")
    smtp_host: str = Field(default="127.0.0.1", description="Address of the SMTP edge.")
    smtp_port: int = Field(default=0, ge=0, le=65535, description="Port of the same; 0 takes a free one.")
    smtp_hostname: str = Field(default="chapar.invalid", description="Name that the SMTP edge greets with.")
    smtp_max_bytes: int = Field(default=25 << 20, ge=1024, le=64 << 20, description="Largest e-mail.")
    smtp_timeout_s: float = Field(default=300, gt=0, description="Silence after which an SMTP session is closed.")
    smtp_data_timeout_s: float = Field(default=600, gt=0, description="Seconds that one e-mail may take to arrive.")
    smtp_connections: int = Field(default=200, ge=1, description="SMTP sessions at once; more get 421.")
    smtp_per_peer: int = Field(default=20, ge=1, description="SMTP sessions of one address at once.")
    smtp_relays: str = Field(
        default="", description="Addresses and networks (CIDR) of mail servers in front: no share of their own."
    )
    smtp_held_bytes: int = Field(
        default=48 << 20, ge=1 << 20, description="Bytes of e-mails that may be arriving at once; more get 452."
    )
    smtp_held_bytes_per_peer: int = Field(default=30 << 20, ge=1 << 20, description="The same, of one address.")
    mail_cpu_s: float = Field(
        default=0.5,
        gt=0,
        le=60,
        description="CPU seconds that reading one e-mail of up to 4 MB may cost (more in proportion); then its bytes are kept.",
    )

    mail_dns_servers: str = Field(
        default="", description="DNS servers (address or address:port, commas) for DKIM keys; empty: the system's."
    )
    mail_proof_cpu_s: float = Field(
        default=2,
        gt=0,
        description="CPU seconds that verifying one DKIM signature may cost; then the mail is unproven.",
    )
    smtp_upstreams: str = Field(
        default="",
        description="Addresses and networks (CIDR) of the mail servers in front whose Authentication-Results may be believed.",
    )

    publish_timeout_s: float = Field(
        default=5,
        gt=0,
        description="Seconds that the broker may take to acknowledge; then the edge answers 503 or 451.",
    )
    verdict_timeout_s: float = Field(
        default=10,
        gt=0,
        description="Seconds that a lane may take to decide a request by gRPC (send, link, follow-up); then UNAVAILABLE.",
    )
    account_rate: float = Field(
        default=0,
        ge=0,
        description="Messages a second that customers may write to one account; 0: no limit. Off by default, because all accounts of a "
        "tenant share tenant_rate: one below that keeps an account from using it all.",
    )
    account_burst: float = Field(default=40, ge=1, description="Messages of one account at once.")
    tenant_rate: float = Field(
        default=20,
        ge=0,
        description="Messages a second that one tenant's customers may write at this replica, a large one counting for each 8 KiB; its callers' "
        "requests (sends, links, follow-ups) have as much again, and erasures no limit. 0: no limit. "
        "Both together less than the intake lanes read, or other tenants wait behind it.",
    )
    tenant_burst: float = Field(default=20, ge=1, description="Messages of one tenant at once.")
    tenant_weights: Mapping[str, float] = Field(
        default_factory=dict, description="Tenants that may let in so many times as much as others."
    )
    tenant_wait_s: float = Field(
        default=2, ge=0, le=30, description="How long a message beyond the rate may wait before it is refused."
    )
    sender_rate: float = Field(default=5, ge=0, description="Messages a second of one customer; 0: no limit.")
    sender_burst: float = Field(default=60, ge=1, description="Messages of one customer at once.")
    failed_auth_rate: float = Field(
        default=1, ge=0, description="Failed proofs a second of one address at one account; 0: no limit."
    )
    failed_auth_burst: float = Field(
        default=100, ge=1, description="The same, at once. A valid proof is never refused."
    )

    webchat_origins: tuple[str, ...] = Field(
        default=(), description="Origins that may open web chat besides this host itself; '*' means any."
    )
    webchat_sockets: int = Field(default=20_000, ge=1, description="Open sockets before new ones are refused.")
    webchat_sockets_per_address: int = Field(
        default=100,
        ge=1,
        description="Sockets of one address at one account: of newcomers, of visitors who came back, and of those who have not said hello, each.",
    )
    webchat_sockets_per_visitor: int = Field(default=10, ge=1, description="Sockets of one visitor at once.")
    webchat_newcomer_rate: float = Field(
        default=0.5, ge=0, description="New visitors a second from one address; visitors who come back are not counted."
    )
    webchat_newcomer_burst: float = Field(default=30, ge=1, description="New visitors from one address at once.")
    webchat_idle_s: float = Field(default=600, gt=0, description="Silence after which a socket is closed.")
    webchat_max_frame_bytes: int = Field(default=32 << 10, ge=1024, le=1 << 20, description="Largest frame.")
    webchat_rate: float = Field(default=5, gt=0, description="Frames a second of one socket.")
    webchat_burst: float = Field(default=30, ge=1, description="Frames of one socket at once.")
    webchat_token_days: float = Field(default=90, gt=0, description="How long a visitor's token is good.")
    webchat_replay_s: float = Field(
        default=600, ge=0, description="How far back the live tail starts, to bridge what history has not yet written."
    )

    database_url: str = Field(
        default="", description="History's database (SQLAlchemy URL); empty: a SQLite file in state_dir."
    )
    state_dir: str = Field(default=".chapar", description="Directory of the SQLite file.")
    lanes: bool = Field(default=True, description="Whether this replica runs the intake, relay and sender lanes.")
    audit_days: int = Field(
        default=400, ge=0, le=36_500, description="Days that an audit record stays in the table audit; 0: for ever."
    )
    history_days: int = Field(
        default=400,
        ge=0,
        le=36_500,
        description="Days after its last message that a conversation leaves history; 0: never.",
    )
    history: bool = Field(default=True, description="Whether this replica runs the history projection.")

    @field_validator("http_proxies", "smtp_relays", "smtp_upstreams")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks_of(value)
        return value

    @model_validator(mode="after")
    def _budgets_hold_one(self) -> Self:
        """The largest that is promised must fit, or it would be refused for ever."""
        for name, one, budget in (
            ("unproven_bytes_per_peer", self.max_body_bytes, self.unproven_bytes_per_peer),
            ("unproven_bytes", self.max_body_bytes, self.unproven_bytes * 3 // 4),
            ("smtp_held_bytes_per_peer", self.smtp_max_bytes, self.smtp_held_bytes_per_peer),
            ("smtp_held_bytes", self.smtp_max_bytes, self.smtp_held_bytes * 7 // 8),
        ):
            if one > budget:
                raise ValueError(f"{name} must have room for one message of the largest size")
        return self
