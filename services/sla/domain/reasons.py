"""The reasons that the SLA service gives for refusals and dead letters. The rules are in `services/chassis/reasons.py`."""

from enum import StrEnum


class Reason(StrEnum):
    """Reasons of the SLA service."""

    CATCHING_UP = "CATCHING_UP"
    """The service is still reading the deadlines back. Try again."""
    DRAINING = "DRAINING"
    """The replica is stopping. Connect again: another replica answers."""
    INCOMPLETE = "INCOMPLETE"
    """A field that is needed has no value. Complete the request; for a dead letter, find the writer of the record."""
    NO_DEADLINES = "NO_DEADLINES"
    """The interaction has no deadlines, or is over. Check the id and the SLA policies."""
    TIME_OUT_OF_RANGE = "TIME_OUT_OF_RANGE"
    """A time in the record is out of the calendar's range. Find its writer; a replay is refused again."""
    UNDECODABLE = "UNDECODABLE"
    """The record is not a message of its topic, or its key is not valid. Find its writer; a replay is refused again."""
    WATCHER_TOO_SLOW = "WATCHER_TOO_SLOW"
    """The caller reads its stream too slowly, so events would be lost. Watch again, and read what is missing from the list."""
