"""The position of a lane after a batch. Pure."""

from services.chassis.kafka.batch import Taken
from services.chassis.kafka.changelog import Position


def replaced(position: Position, taken: Taken, now_ms: int, batch: int | None = None) -> Position:
    """Return the position after a batch. `batch`: its number, if it is written."""
    offset = position.offset if taken.next_offset is None else taken.next_offset
    return Position(offset, now_ms, position.epoch, position.batch if batch is None else batch)
