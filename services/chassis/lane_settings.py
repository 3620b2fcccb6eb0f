"""How soon the partitions of a process that died go to another one."""

from dataclasses import replace
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from services.chassis.kafka.contract import LaneTuning

_HEARTBEATS_A_SESSION: Final = 6


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
        "time-out: a quick restart moves nothing, but nobody works on them meanwhile. Names of instances must be unique.",
    )

    def applied(self, tuning: LaneTuning, lane: str, instance: str) -> LaneTuning:
        """Return a lane's tuning with these settings. `instance`: the name of this process among its replicas."""
        return replace(
            tuning,
            session_timeout_ms=self.session_timeout_ms,
            heartbeat_interval_ms=self.session_timeout_ms // _HEARTBEATS_A_SESSION,
            group_instance=f"{lane}-{instance}" if self.static_membership else None,
        )
