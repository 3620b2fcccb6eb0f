"""Whether the topics of a group's member are those whose offsets the group has committed.

A topic that is deleted and created again has the same name, and soon has the old offsets too: a member that went on at its
committed offset would leave out the records before it. So each commit has a text with the topic's id, and the ids are
compared when partitions are assigned and, at most once a second, before offsets are committed. A member reads another topic
from its beginning: its handler ignores repetitions.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError

from services.chassis.kafka.evidence import committed_with_text, ids_of

log = logging.getLogger(__name__)

_MARK: Final = "chapar-topic-1 "
_ANSWER_S: Final = 5.0
_EVERY_S: Final = 1.0


class GroupTopics:
    """The ids of the topics that one member reads. `consumer`: aiokafka's, with its subscription."""

    def __init__(self, group: str, consumer: Any) -> None:
        self._group = group
        self._consumer = consumer
        self._ids: dict[str, str] = {}
        self._unchecked: set[TopicPartition] = set()
        self._checked_at = time.monotonic()

    def assigned(self, places: Iterable[TopicPartition]) -> None:
        """Note partitions that are new to this member."""
        self._unchecked = set(places)

    @property
    def unchecked(self) -> bool:
        """Whether the committed offsets of new partitions must be checked before their records are handled."""
        return bool(self._unchecked)

    async def check_assigned(self) -> None:
        """Check the committed offsets of new partitions. Raises aiokafka's KafkaError, OSError or TimeoutError."""
        places = self._unchecked
        async with asyncio.timeout(_ANSWER_S):
            await self._read_ids({place.topic for place in places})
            for place in places:
                _, text = await committed_with_text(self._consumer, place)
                if text.startswith(_MARK) and text.removeprefix(_MARK) != self._ids[place.topic]:
                    await self._begin_again((place,))
        self._unchecked -= places

    async def unchanged(self) -> bool:
        """Return False if a topic is another one than before: then its partitions continue at their beginning, and nothing of
        the present batch may be committed. Raises as `check_assigned`."""
        if time.monotonic() - self._checked_at < _EVERY_S:
            return True
        before = dict(self._ids)
        assigned = self._consumer.assignment()
        async with asyncio.timeout(_ANSWER_S):
            await self._read_ids({place.topic for place in assigned})
            changed = {topic for topic, found in self._ids.items() if before.get(topic, found) != found}
            await self._begin_again([place for place in assigned if place.topic in changed])
        return not changed

    def text(self, topic: str) -> str:
        """Return the text to commit with an offset."""
        found = self._ids.get(topic, "")
        return _MARK + found if found else ""

    async def find_missing(self) -> None:
        """Look for topics that did not exist when the group assigned partitions; the client would look again after minutes."""
        topics = self._consumer.subscription()
        if not self._consumer.assignment() and not all(map(self._consumer.partitions_for_topic, topics)):
            await self._consumer._client.force_metadata_update()

    async def _read_ids(self, topics: set[str]) -> None:
        names = sorted(topics)
        self._ids.update(zip(names, await ids_of(self._consumer, *names), strict=True))
        self._checked_at = time.monotonic()

    async def _begin_again(self, places: Iterable[TopicPartition]) -> None:
        for place in places:
            log.error("group %s: %s was deleted and created again: read from its beginning", self._group, place.topic)
            with suppress(IllegalStateError):  # revoked meanwhile
                self._consumer.seek(place, (await self._consumer.beginning_offsets([place]))[place])
