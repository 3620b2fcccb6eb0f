"""How a lane is a member of its group, by the settings of its process."""

from dataclasses import replace
from typing import Final

from services.chassis.kafka.contract import LaneTuning
from services.chassis.lane_settings import LaneSettings

_HEARTBEATS_A_SESSION: Final = 6
_LONGEST_HEARTBEAT_MS: Final = 250
"""A member learns of a rebalance by the answer to its next heartbeat. So this is most of what customers wait when a
replica stops, and its partitions move (`rolling_worst_wait_s`)."""


def as_member(settings: LaneSettings, tuning: LaneTuning, lane: str, instance: str) -> LaneTuning:
    """Return a lane's tuning with the settings. `instance`: the name of this process among its replicas."""
    return replace(
        tuning,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=min(settings.session_timeout_ms // _HEARTBEATS_A_SESSION, _LONGEST_HEARTBEAT_MS),
        hang_after=settings.hang_after_ms / 1000,
        group_instance=f"{lane}-{instance}" if settings.static_membership else None,
    )
