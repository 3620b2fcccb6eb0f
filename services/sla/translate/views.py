"""Domain -> the messages of SlaService, and the cursors of its lists."""

import base64
import binascii
from datetime import UTC, datetime

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from chapar.common.v1 import types_pb2
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.errors import invalid
from services.sla.domain.calendar import NEVER_MS, BusinessTime
from services.sla.domain.deadlines import Deadline, State
from services.sla.domain.measures import ServiceLevel, Share
from services.sla.domain.policy import Level, Plan
from services.sla.domain.work import Work
from services.sla.translate.events import LEVELS, STATES, TARGETS


def deadline_view(work: Work, deadline: Deadline, plan: Plan, time: BusinessTime, now_ms: int) -> sla.DeadlineView:
    """A deadline as readers see it at an instant."""
    target = plan.target(deadline.target)
    if target is None:
        raise LookupError(f"plan {plan.plan_id} promises no {deadline.target.name}, yet there is a deadline")
    used = deadline.used_at(now_ms, time)
    remaining = target.adequate_ms - used
    if deadline.state is State.BREACHED:
        # Its own clock stopped when the level passed; how far behind it is goes on until it is fulfilled or closed.
        remaining = 0 if deadline.late or work.closed_at_ms else -time.elapsed(deadline.dues[-1], now_ms)
    return sla.DeadlineView(
        interaction_id=work.interaction_id,
        conversation_id=work.conversation_id,
        queue=work.queue,
        channel=work.channel,
        policy=plan.policy,
        target=TARGETS[deadline.target],
        epoch=deadline.epoch,
        state=STATES[deadline.state],
        desired_at=timestamp(deadline.due_of(Level.DESIRED, target)),
        adequate_at=timestamp(deadline.due_of(Level.ADEQUATE, target)),
        met_level=LEVELS[deadline.met_level],
        used_ms=used,
        remaining_ms=remaining,
    )


def timestamp(at_ms: int) -> Timestamp | None:
    """None for 0: absent."""
    if not at_ms:
        return None
    found = Timestamp()
    found.FromDatetime(datetime.fromtimestamp(min(at_ms, NEVER_MS) // 1000, UTC))
    found.nanos = at_ms % 1000 * 1_000_000
    return found


def service_level_response(level: ServiceLevel, open_: int) -> sla.GetServiceLevelResponse:
    """All shares with n and interval."""
    return sla.GetServiceLevelResponse(
        over_offered=_estimate(level.over_offered),
        over_offered_less_short_abandons=_estimate(level.over_offered_less_short_abandons),
        over_answered=_estimate(level.over_answered),
        desired_level=_estimate(level.desired_level),
        breaches=level.breaches,
        open=open_,
    )


def cursor_of(place: tuple[int, str, int, int]) -> str:
    """Opaque to callers."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def place_of(cursor: str) -> tuple[int, str, int, int]:
    """Raises INVALID for a cursor that we did not make."""
    try:
        if len(cursor) > 512:
            raise ValueError("too long")
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=tuple[int, str, int, int])
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise invalid("page.cursor", "not a cursor of this list", reason="BAD_CURSOR") from error


def _estimate(share: Share) -> types_pb2.Estimate:
    return types_pb2.Estimate(value=share.value, n=share.n, low=share.low, high=share.high, method="wilson")
