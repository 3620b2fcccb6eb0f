"""How a lane is a member of its group, by the settings of its process."""

from dataclasses import replace
from typing import Final

from services.chassis.kafka.contract import LaneTuning
from services.chassis.lane_settings import LaneSettings

_HEARTBEATS_A_SESSION: Final = 6


def as_member(settings: LaneSettings, tuning: LaneTuning, lane: str, instance: str) -> LaneTuning:
    """Return a lane's tuning with the settings. `instance`: the name of this process among its replicas."""
    return replace(
        tuning,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=settings.session_timeout_ms // _HEARTBEATS_A_SESSION,
        hang_after=settings.hang_after_ms / 1000,
        group_instance=f"{lane}-{instance}" if settings.static_membership else None,
    )
