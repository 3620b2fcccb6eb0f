"""Recognises records that a relay has written more than once.

A relay (`relay`) reads one topic and writes to another under another key. It delivers at least once: after a failure it
writes records again. Each record that it writes names its place of origin: topic, partition, offset and time. The lane
that reads the records keeps the highest place per partition of origin in its changelog, and ignores a record from that
place or an earlier one. One entry per partition of origin is enough, for any time between the first record and its
repetition, because a relay obeys these rules:

- It writes at most one record per record of origin.
- Per partition of origin and of destination it writes in order, and writes nothing after a record that is not
  acknowledged. So when a record is in the log, all records of earlier places are before it, for each relay alone.
- It begins at a committed offset, before which every record was acknowledged. So the same is true for all relays together:
  a predecessor that was not stopped in time, and its successor.

If an operator creates the topic of origin again, its offsets begin again, but its times are later: a record counts as a
repetition only if its time is not later than the highest time either.
"""

import re
from typing import Final, NamedTuple

from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.chassis.kafka.contract import Outbox
from services.chassis.kafka.headers import RELAYED_FROM
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.reasons import Reason

_ENTRY: Final = b"o/"
_PLACE: Final = re.compile(rb"([a-z0-9.-]{1,249}/\d{1,10})/(\d{1,18})/(\d{1,18})")
"""Topic and partition, offset, time: bounded, because MessagePack holds integers of 64 bits."""


class Origin(NamedTuple):
    """The place of a record of origin. `at_ms` is the record's timestamp."""

    offset: int
    at_ms: int


_CODEC: Final = ChangelogCodec[Origin](Origin)


def relayed_from(record: Record) -> tuple[str, bytes]:
    """Return the header that names this record as the origin."""
    return RELAYED_FROM, f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp_ms}".encode()


class RelayedPlaces:
    """The highest place of each partition of origin, for the lane of one partition."""

    def __init__(self) -> None:
        self._highest: dict[bytes, Origin] = {}
        self._changed: set[bytes] = set()

    def restore(self, key: bytes, value: bytes) -> bool:
        """Restore an entry of the changelog; return False for an entry of another kind."""
        if not key.startswith(_ENTRY):
            return False
        self._highest[key] = _CODEC.decode(value)
        return True

    def repeated(self, record: Record) -> bool:
        """Return whether the record was relayed and handled before. Raises InvalidRecord for a header that no relay writes."""
        named = _origin(record)
        if named is None:
            return False
        key, origin = named
        highest = self._highest.get(key)
        return highest is not None and origin.offset <= highest.offset and origin.at_ms <= highest.at_ms

    def handled(self, record: Record) -> None:
        """Note that the record was handled."""
        named = _origin(record)
        if named is None:
            return
        key, origin = named
        highest = self._highest.get(key, origin)
        self._highest[key] = Origin(origin.offset, max(origin.at_ms, highest.at_ms))
        self._changed.add(key)

    def save(self, outbox: Outbox) -> None:
        """Write the places that changed in this batch: to be called at its end."""
        for key in sorted(self._changed):
            outbox.put(key, _CODEC.encode(self._highest[key]))
        self._changed.clear()


def _origin(record: Record) -> tuple[bytes, Origin] | None:
    for name, value in record.headers:
        if name == RELAYED_FROM:
            found = _PLACE.fullmatch(value)
            if found is None:
                raise InvalidRecord(Reason.UNDECODABLE, f"the header {RELAYED_FROM} names no place")
            return _ENTRY + found[1], Origin(int(found[2]), int(found[3]))
    return None
