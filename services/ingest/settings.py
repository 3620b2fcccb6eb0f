"""Settings of the ingest service. Variables start with CHAPAR_INGEST_."""

import argparse
from collections.abc import Mapping
from typing import Final, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.chassis.http import networks_of
from services.chassis.outgoing_settings import OutgoingSettings
from services.chassis.privacy.settings import PersonalSettings
from services.ingest.domain.files.policy import EXECUTABLES, is_pattern

Part = Literal["edge", "lanes", "history"]
Role = Literal["all", "edge", "lanes", "history"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)


class IngestSettings(OutgoingSettings):
    """Chapar ingest: the edges, the intake and sender lanes, the relay, and the history projection."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="CHAPAR_INGEST_", validate_default=True)

    role: Role = Field(
        default="all",
        description="What this process runs: edge (webhooks, web chat, SMTP, gRPC), lanes (intake, sender, relay), history (the "
        "projection), or all. Also `--role`.",
    )
    personal: PersonalSettings = Field(default_factory=PersonalSettings, description="How personal data is protected.")
    http_host: str = Field(default="127.0.0.1", description="Address that webhooks and web chat listen on.")
    http_port: int = Field(default=0, ge=0, le=65535, description="Port of webhooks and web chat; 0 takes a free one.")
    http_proxies: str = Field(
        default="", description="Addresses and networks (CIDR) of proxies whose X-Forwarded-For is trusted."
    )
    http_concurrency: int = Field(default=25_000, ge=10, description="Connections open at the same time.")
    http_per_peer: int = Field(
        default=256,
        ge=2,
        description="Connections of one address, or requests of one client behind a proxy, at the same time.",
    )
    max_body_bytes: int = Field(default=3 << 20, ge=1024, le=16 << 20, description="Largest webhook body.")
    body_timeout_s: float = Field(default=15, gt=0, description="Seconds that a webhook's body may take to arrive.")

    unproven_bytes: int = Field(
        default=24 << 20,
        ge=1 << 20,
        description="Bytes of webhook bodies that may be held before their proof is checked.",
    )
    unproven_bytes_per_peer: int = Field(
        default=8 << 20, ge=1 << 20, description="Bytes of unchecked webhook bodies of one address."
    )

    smtp_enabled: bool = Field(default=True, description="Whether e-mail is received.")
    smtp_host: str = Field(default="127.0.0.1", description="Address that the SMTP edge listens on.")
    smtp_port: int = Field(default=0, ge=0, le=65535, description="Port of the SMTP edge; 0 takes a free one.")
    smtp_hostname: str = Field(default="chapar.invalid", description="Host name in the greeting of the SMTP edge.")
    smtp_max_bytes: int = Field(default=25 << 20, ge=1024, le=64 << 20, description="Largest e-mail.")
    smtp_timeout_s: float = Field(default=300, gt=0, description="Idle seconds after which an SMTP session is closed.")
    smtp_data_timeout_s: float = Field(default=600, gt=0, description="Seconds that one e-mail may take to arrive.")
    smtp_connections: int = Field(default=200, ge=1, description="SMTP sessions at the same time; more get 421.")
    smtp_per_peer: int = Field(default=20, ge=1, description="SMTP sessions of one address at the same time.")
    smtp_relays: str = Field(
        default="",
        description="Addresses and networks (CIDR) of our own mail servers in front; limits per address do not apply to them.",
    )
    smtp_held_bytes: int = Field(
        default=48 << 20,
        ge=1 << 20,
        description="Bytes of e-mails that may be arriving at the same time; more get 452.",
    )
    smtp_held_bytes_per_peer: int = Field(
        default=30 << 20, ge=1 << 20, description="Bytes of arriving e-mails of one address."
    )
    mail_cpu_s: float = Field(
        default=0.5,
        gt=0,
        le=60,
        description="CPU seconds that reading one e-mail of up to 4 MB may take (more in proportion); after that only its bytes are kept.",
    )

    mail_dns_servers: str = Field(
        default="", description="DNS servers (address or address:port, commas) for DKIM keys; empty: the system's."
    )
    mail_proof_cpu_s: float = Field(
        default=2,
        gt=0,
        description="CPU seconds that verifying one DKIM signature may take; after that the mail is unproven.",
    )
    smtp_upstreams: str = Field(
        default="",
        description="Addresses and networks (CIDR) of the mail servers in front whose Authentication-Results may be trusted.",
    )

    publish_timeout_s: float = Field(
        default=5,
        gt=0,
        description="Seconds that the broker may take to acknowledge; after that the edge answers 503 or 451.",
    )
    verdict_timeout_s: float = Field(
        default=10,
        gt=0,
        description="Seconds that a lane may take to decide a gRPC request (send, link, follow-up); after that UNAVAILABLE.",
    )
    account_rate: float = Field(
        default=0,
        ge=0,
        description="Messages per second that customers may send to one account; 0: no limit. Off by default, because all accounts of a "
        "tenant share tenant_rate. A lower value keeps one account from using all of it.",
    )
    account_burst: float = Field(default=40, ge=1, description="Burst of messages to one account.")
    tenant_rate: float = Field(
        default=20,
        ge=0,
        description="Messages per second that one tenant's customers may send at this replica; each 8 KiB of a large message counts as one. "
        "Its callers' requests (sends, links, follow-ups) have the same limit of their own; erasures have no limit. 0: no limit. "
        "Keep both together below what the intake lanes can read, or other tenants wait.",
    )
    tenant_burst: float = Field(default=20, ge=1, description="Burst of messages of one tenant.")
    tenant_weights: Mapping[str, float] = Field(
        default_factory=dict, description="Weights by tenant: a tenant with weight 2 may send twice as much as others."
    )
    tenant_wait_s: float = Field(
        default=2, ge=0, le=30, description="How long a message beyond the rate may wait before it is refused."
    )
    sender_rate: float = Field(
        default=5,
        ge=0,
        description="Messages per second of one customer; 0: no limit. Messages of a provider beyond it wait in the intake lane.",
    )
    sender_burst: float = Field(default=60, ge=1, description="Burst of messages of one customer.")
    failed_auth_rate: float = Field(
        default=1, ge=0, description="Failed proofs per second of one address at one account; 0: no limit."
    )
    failed_auth_burst: float = Field(
        default=100, ge=1, description="Burst of failed proofs. A valid proof is never refused."
    )

    webchat_origins: tuple[str, ...] = Field(
        default=(), description="Origins that may open web chat in addition to this host itself; '*' means any."
    )
    webchat_sockets: int = Field(default=20_000, ge=1, description="Open sockets before new ones are refused.")
    webchat_sockets_per_address: int = Field(
        default=100,
        ge=1,
        description="Sockets of one address at one account; new visitors, returning visitors and sockets without a hello are counted separately.",
    )
    webchat_sockets_per_visitor: int = Field(default=10, ge=1, description="Sockets of one visitor at the same time.")
    webchat_newcomer_rate: float = Field(
        default=0.5, ge=0, description="New visitors per second from one address; returning visitors are not counted."
    )
    webchat_newcomer_burst: float = Field(default=30, ge=1, description="Burst of new visitors from one address.")
    webchat_idle_s: float = Field(default=600, gt=0, description="Idle seconds after which a socket is closed.")
    webchat_max_frame_bytes: int = Field(default=32 << 10, ge=1024, le=1 << 20, description="Largest frame.")
    webchat_rate: float = Field(default=5, gt=0, description="Frames per second of one socket.")
    webchat_burst: float = Field(default=30, ge=1, description="Burst of frames of one socket.")
    webchat_token_days: float = Field(default=90, gt=0, description="Days that a visitor's token is valid.")
    webchat_replay_s: float = Field(
        default=600,
        ge=0,
        description="Seconds before now at which the live tail starts, to cover messages that history has not yet written.",
    )

    database_url: str = Field(
        default="", description="History's database (SQLAlchemy URL); empty: a SQLite file in state_dir."
    )
    state_dir: str = Field(default=".chapar", description="Directory of the SQLite file.")
    audit_days: int = Field(
        default=400, ge=0, le=36_500, description="Days that an audit record is kept in the table audit; 0: for ever."
    )
    history_days: int = Field(
        default=400,
        ge=0,
        le=36_500,
        description="Days after its last message at which a conversation is deleted from history; 0: never.",
    )
    files_url: str = Field(
        default="",
        description="Where files are kept: a directory (an absolute path) or a bucket (s3://…, gs://…, az://…); empty: the directory `files` in "
        "state_dir. All replicas need the same place.",
    )
    files_public_url: str = Field(
        default="",
        description="Address of the HTTP edge in links to files, as agents' browsers reach it; empty: the address that it is bound to.",
    )
    files_link_s: int = Field(default=900, ge=10, le=86_400, description="Seconds for which a link to a file is valid.")
    files_clamd: str = Field(
        default="",
        description="Address of ClamAV's daemon, which scans each file: host:port or unix:/path; empty: files are not scanned.",
    )
    files_scan_s: float = Field(default=30, gt=0, le=600, description="Seconds that the scan of one file may take.")
    files_days: int = Field(default=400, ge=0, le=36_500, description="Days that a file is kept; 0: for ever.")
    files_original_days: int = Field(
        default=30,
        ge=0,
        le=36_500,
        description="Days that a message is kept as it arrived, e.g. the whole mail; 0: for ever.",
    )
    files_thumbnail_cpu_s: float = Field(
        default=4, ge=0, le=60, description="CPU seconds in which the thumbnail of an image is made; 0: none are made."
    )
    files_max_bytes: int = Field(default=25 << 20, ge=1024, le=200 << 20, description="Largest file that is kept.")
    files_per_message: int = Field(default=20, ge=1, le=100, description="Files of one message that are kept.")
    files_message_bytes: int = Field(
        default=50 << 20, ge=1024, le=500 << 20, description="Bytes of all files of one message that are kept."
    )
    files_types: tuple[str, ...] = Field(
        default=("*/*",),
        description="Types of files that are kept, as patterns such as image/*; the type is found from the bytes.",
    )
    files_types_refused: tuple[str, ...] = Field(
        default=EXECUTABLES, description="Types of files that are not kept, although files_types has them."
    )
    history: bool = Field(
        default=True, description="Whether history is kept (roles all and history) and read (roles all and edge)."
    )
    history_fetch_s: float = Field(
        default=0.1, ge=0.05, le=0.2, description="Seconds between two fetches of the history projection."
    )
    history_commit_s: float = Field(
        default=1, ge=0.05, le=60, description="Longest time in seconds that a record waits until history writes it."
    )
    history_commit_records: int = Field(
        default=1_000, ge=1, le=10_000, description="Number of records that history writes before this time has passed."
    )

    def runs(self, part: Part) -> bool:
        """Return whether this process runs a part."""
        return self.role in ("all", part)

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """See ServiceSettings."""
        parser.add_argument("--role", choices=ROLES, default=None, help="what this process runs (default: all)")

    @field_validator("files_clamd")
    @classmethod
    def _scanner(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value and not value.startswith("unix:/") and not (host and port.isascii() and port.isdecimal()):
            raise ValueError("an address is host:port or unix:/path")
        return value

    @field_validator("files_types", "files_types_refused")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not is_pattern(each):
                raise ValueError(f"{each!r} is not a pattern of types, such as image/* or application/pdf")
        return value

    @field_validator("http_proxies", "smtp_relays", "smtp_upstreams")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks_of(value)
        return value

    @model_validator(mode="after")
    def _budgets_hold_one(self) -> Self:
        """Check that each budget has room for the largest allowed message, which would otherwise always be refused."""
        for name, one, budget in (
            ("unproven_bytes_per_peer", self.max_body_bytes, self.unproven_bytes_per_peer),
            ("unproven_bytes", self.max_body_bytes, self.unproven_bytes * 3 // 4),
            ("smtp_held_bytes_per_peer", self.smtp_max_bytes, self.smtp_held_bytes_per_peer),
            ("smtp_held_bytes", self.smtp_max_bytes, self.smtp_held_bytes * 7 // 8),
        ):
            if one > budget:
                raise ValueError(f"{name} must have room for one message of the largest size")
        return self
