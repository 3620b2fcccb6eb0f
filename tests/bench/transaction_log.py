"""Counts transactions in the broker's own log of them: each one that ends leaves a record in `__transaction_state`.

This counts what the broker did, however a service makes its transactions. The log is read after a measurement, from the
end that it had before.
"""

import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.chassis.kafka.clients import admin_client
from services.chassis.kafka_settings import KafkaSettings

LOG: Final = "__transaction_state"
COMPLETE: Final = frozenset({4, 5})
"""The status of a transaction that was committed or aborted, when its markers are written."""
_KEY: Final = struct.Struct(">hh")
"""Version, and length of the transactional id, which follows."""
_VALUE: Final = struct.Struct(">hqhib")
"""Version, producer id, epoch, time-out, status; more follows. Both versions of the record begin like this."""

Ends = dict[TopicPartition, int]


def ended(key: bytes | None, value: bytes | None) -> str | None:
    """Return the transactional id if a record of the log says that its transaction has ended; otherwise None."""
    if key is None or value is None or _VALUE.unpack_from(value)[4] not in COMPLETE:
        return None
    _, length = _KEY.unpack_from(key)
    return key[_KEY.size : _KEY.size + length].decode()


async def ends(kafka: KafkaSettings) -> Ends:
    """Return where the log ends now."""
    async with _a_reader(kafka) as (reader, places):
        return dict(await reader.end_offsets(places))


async def ended_since(kafka: KafkaSettings, before: Ends) -> Counter[str]:
    """Return the number of transactions that have ended since then, by transactional id."""
    found: Counter[str] = Counter()
    async with _a_reader(kafka) as (reader, places):
        now = await reader.end_offsets(places)
        for place in places:
            reader.seek(place, before[place])
        while any([await reader.position(place) < now[place] for place in places]):
            for messages in (await reader.getmany(timeout_ms=1000)).values():
                found.update(name for each in messages if (name := ended(each.key, each.value)) is not None)
    return found


@asynccontextmanager
async def _a_reader(kafka: KafkaSettings) -> AsyncIterator[tuple[Any, list[TopicPartition]]]:
    async with admin_client(kafka, client_id="bench") as admin:
        [topic] = await admin.describe_topics([LOG])
    places = [TopicPartition(LOG, each["partition"]) for each in topic["partitions"]]
    async with AIOKafkaConsumer(
        **kafka.client_options(), enable_auto_commit=False, auto_offset_reset="none", isolation_level="read_uncommitted"
    ) as reader:
        reader.assign(places)
        yield reader, places
