"""How soon the partitions of a process that died go to another one."""

from pydantic import BaseModel, ConfigDict, Field


class LaneSettings(BaseModel):
    """A process's membership in the groups of its lanes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    session_timeout_ms: int = Field(
        default=6_000,
        ge=1_000,
        le=300_000,
        description="After this time without a heartbeat, the group gives a process's partitions to others. A killed process "
        "costs about as much; a process that pauses for longer loses its partitions. The brokers' "
        "`group.min.session.timeout.ms` is its lower limit (6000 unless they say otherwise).",
    )
    static_membership: bool = Field(
        default=False,
        description="Keep the partitions of a process that stops for its successor of the same `instance`, until the session "
        "time-out: a quick restart moves nothing, but no process works on them meanwhile. Names of instances must be unique.",
    )
