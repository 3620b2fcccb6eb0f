"""Domain -> the messages of SlaService, and the cursors of its lists."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.cursors import decode_cursor, encode_cursor
from services.policy.model.business_time import NEVER_MS, BusinessTime
from services.policy.model.sla import Level, Plan
from services.sla.domain.deadlines import Deadline, State
from services.sla.domain.interaction import TrackedInteraction
from services.sla.translate.events import LEVELS, STATES, TARGETS


def deadline_view(
    interaction: TrackedInteraction,
    deadline: Deadline,
    plan: Plan,
    time: BusinessTime,
    now_ms: int,
    forecast: tuple[float, int] | None = None,
) -> sla.DeadlineView:
    """Return a deadline as readers see it at an instant. `forecast`: probability of a breach, and the number of
    outcomes from which it was learned."""
    target = plan.target(deadline.target)
    if target is None:
        raise LookupError(f"plan {plan.plan_id} has no target {deadline.target.name}, but there is a deadline for it")
    used = deadline.used_at(now_ms, time)
    remaining = target.adequate_ms - used
    if deadline.state is State.BREACHED:
        # Its own clock stopped when the level passed; the overdue time keeps growing until it is fulfilled or closed.
        remaining = 0 if deadline.late or interaction.closed_at_ms else -time.elapsed(deadline.dues[-1], now_ms)
    return sla.DeadlineView(
        interaction_id=interaction.interaction_id,
        conversation_id=interaction.conversation_id,
        queue=interaction.queue,
        channel=interaction.channel,
        policy=plan.policy,
        target=TARGETS[deadline.target],
        epoch=deadline.epoch,
        state=STATES[deadline.state],
        desired_at=timestamp(deadline.due_of(Level.DESIRED, target)),
        adequate_at=timestamp(deadline.due_of(Level.ADEQUATE, target)),
        met_level=LEVELS[deadline.met_level],
        used_ms=used,
        remaining_ms=remaining,
        breach_probability=None if forecast is None else round(forecast[0], 4),
        predictions_learned=0 if forecast is None else forecast[1],
    )


def timestamp(at_ms: int) -> Timestamp | None:
    """Return a timestamp; None for 0, which means absent."""
    if not at_ms:
        return None
    found = Timestamp()
    found.FromDatetime(datetime.fromtimestamp(min(at_ms, NEVER_MS) // 1000, UTC))
    found.nanos = at_ms % 1000 * 1_000_000
    return found


def cursor_of(place: tuple[int, str, int, int]) -> str:
    """Encode a position as a cursor that is opaque to callers."""
    return encode_cursor("at_risk", place)


def place_of(cursor: str) -> tuple[int, str, int, int]:
    """Decode a cursor. Raises INVALID for a cursor that this service did not make."""
    return decode_cursor("at_risk", cursor, tuple[int, str, int, int])


def ranked_cursor_of(as_of_ms: int, rank: float, place: tuple[int, str, int, int]) -> str:
    """Encode a position in the order of probability as of an instant."""
    return encode_cursor("ranked", (as_of_ms, rank, place))


def ranked_place_of(cursor: str) -> tuple[int, float, tuple[int, str, int, int]]:
    """Decode a ranked cursor. Raises INVALID for a cursor that this service did not make."""
    return decode_cursor("ranked", cursor, tuple[int, float, tuple[int, str, int, int]])


def group_cursor_of(group: tuple[int, str, str]) -> str:
    """Encode a group as a cursor that is opaque to callers."""
    return encode_cursor("groups", group)


def group_of(cursor: str) -> tuple[int, str, str]:
    """Decode a group cursor. Raises INVALID for a cursor that this service did not make."""
    return decode_cursor("groups", cursor, tuple[int, str, str])
