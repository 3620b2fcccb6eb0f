"""Checks that personal.keys.v1 is still the topic from which a process's file of keys was read.

A topic that was shortened or recreated lacks keys that are in use. To treat them as destroyed would erase all persons.
"""

import asyncio
from typing import Any, Final

from services.chassis.privacy.away import KeysAway
from services.chassis.privacy.keystore import KeyStore

_LOOK_S: Final = 5.0
_POLL_MS: Final = 500


class TopicReplaced(Exception):  # noqa: N818 - reads as what happened
    """The topic lacks records that were read from it. An operator must decide."""


async def check_continuity(reader: Any, tp: Any, store: KeyStore) -> None:
    """Raise TopicReplaced if the topic was replaced. Moves the reader's position."""
    went_to = store.went_to
    if not went_to:
        return
    begin = (await reader.beginning_offsets([tp]))[tp]
    end = (await reader.end_offsets([tp]))[tp]
    if went_to > end:
        raise TopicReplaced(f"{tp.topic} ends at {end}, and was read to {went_to}: it was shortened or recreated")
    if went_to < begin:
        raise TopicReplaced(f"{tp.topic} begins at {begin}, and was read to {went_to}: unread keys were deleted")
    try:
        last = store.last()
    except KeysAway:
        return  # damaged: only the offsets can be compared
    if last is None or last.place < begin:
        return
    found = await _at(reader, tp, last.place)
    if found is not None and found.key != last.key_id:
        raise TopicReplaced(f"{tp.topic} has another key at {last.place} than the one that was read: it was recreated")


async def _at(reader: Any, tp: Any, offset: int) -> Any | None:
    """Return the record at this offset; None when it is compacted away."""
    reader.seek(tp, offset)
    try:
        async with asyncio.timeout(_LOOK_S):
            while await reader.position(tp) <= offset:
                for record in (await reader.getmany(tp, timeout_ms=_POLL_MS, max_records=1)).get(tp, ()):
                    return record if record.offset == offset else None
    except TimeoutError:
        return None
    return None
