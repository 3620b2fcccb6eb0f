"""How many calls, streams and bytes one gRPC server accepts at the same time.

`calls`, `watches` and `sessions` are separate budgets of slots, so that streams which last for hours never take the
slots of calls that take milliseconds, and watchers never those of agents. A tenant may hold as many slots of a budget
as are still free, so the largest share that one tenant can take is half: choose a budget of twice the largest tenant
of a replica.
"""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

PEER_PREFIXES: Final = ("dns:", "uri:", "cn:")
"""Types of names in certificates that `grpc_peers` may list."""


class GrpcLimits(BaseModel):
    """Limits of one server. All are per process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: int = Field(default=2000, ge=1, description="Unary calls in progress.")
    calls_per_caller: int = Field(
        default=200, ge=1, description="Unary calls in progress of one caller (a token's subject)."
    )
    watches: int = Field(default=500, ge=1, description="Open streams that only the server writes to.")
    watches_per_caller: int = Field(
        default=100, ge=1, description="Open streams of one caller that only the server writes to."
    )
    sessions: int = Field(default=8000, ge=1, description="Open streams that both sides write to: agents, submissions.")
    sessions_per_caller: int = Field(
        default=1000, ge=1, description="Open streams of one caller that both sides write to."
    )
    tenant_calls_per_s: float = Field(
        default=200,
        ge=0,
        description="Calls, and streams that only the server writes to, that one tenant may begin a second; calls above the rate wait. 0: no limit.",
    )
    tenant_burst: float = Field(default=100, ge=1, description="Calls of one tenant at once.")
    tenant_messages_per_s: float = Field(
        default=1000,
        ge=0,
        description="Messages that one tenant may send a second in streams that both sides write to; a stream's beginning "
        "counts as one. Messages above the rate wait. 0: no limit.",
    )
    tenant_messages_burst: float = Field(default=2000, ge=1, description="Such messages of one tenant at once.")
    tenant_wait_s: float = Field(default=2, ge=0, le=30, description="Seconds that a call above the rate may wait.")
    request_bytes: int = Field(
        default=64 << 20, ge=1 << 20, description="Bytes of requests in progress; one tenant gets at most half."
    )
    connections: int = Field(default=4000, ge=1, description="Open connections; more are closed at once.")
    streams_per_connection: int = Field(default=1000, ge=1, description="Calls and streams of one connection.")
    metadata_bytes: int = Field(default=16 << 10, ge=4 << 10, le=64 << 10, description="Largest metadata of a call.")
    idle_s: float = Field(default=600, gt=0, description="Seconds after which a connection without calls is closed.")
    handshake_s: float = Field(default=10, gt=0, description="Seconds that a TLS handshake may take.")
    refusals_per_s: float = Field(
        default=100, gt=0, description="Failed authentications answered at once; the others wait `refusal_hold_s`."
    )
    refusal_hold_s: float = Field(
        default=3,
        ge=0,
        le=10,
        description="Longest wait, in seconds, before a caller above the limit gets the refusal.",
    )
    refusals_held: int = Field(
        default=2000, ge=0, description="Refusals that wait at the same time; further refusals are sent at once."
    )
    refusals_held_bytes: int = Field(
        default=8 << 20, ge=0, description="Bytes of requests whose refusals wait; further refusals are sent at once."
    )
