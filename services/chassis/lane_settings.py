"""How soon the partitions of a process that died go to another one, and how wrong a clock may be."""

from pydantic import BaseModel, ConfigDict, Field


class LaneSettings(BaseModel):
    """A process's membership in the groups of its lanes, and its clock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    session_timeout_ms: int = Field(
        default=6_000,
        ge=1_000,
        le=300_000,
        description="After this time without a heartbeat, the group gives a process's partitions to others. A killed process "
        "costs about as much; a process that pauses for longer loses its partitions. The brokers' "
        "`group.min.session.timeout.ms` is its lower limit (6000 unless they say otherwise).",
    )
    clock_bound_ms: int = Field(
        default=2_000,
        ge=100,
        le=86_400_000,
        description="How far the machine's clock may be from the brokers' before it is refused. While it is refused, time goes on by the "
        "process's monotonic clock.",
    )
    hang_after_ms: int = Field(
        default=75_000,
        ge=1_000,
        le=3_600_000,
        description="For this time a transaction may stay open in a partition of a lane. After it, the process is not ready and names the "
        "transaction: it hangs (docs/lanes.md). Kafka aborts one whose writer died after 70 s.",
    )
    static_membership: bool = Field(
        default=False,
        description="Keep the partitions of a process that stops for its successor of the same `instance`, until the session "
        "time-out: a quick restart moves nothing, but no process works on them meanwhile. Names of instances must be unique.",
    )
