"""Reads what `witness` compares, over the connections of an aiokafka consumer or admin client."""

from typing import Any

from aiokafka import TopicPartition

from services.chassis.kafka.clients import BrokerError
from services.chassis.kafka.transactions.topic_ids import topic_ids


async def committed_with_text(consumer: Any, place: TopicPartition) -> tuple[int | None, str]:
    """Return a group's committed offset, None if there is none, and the text that was committed with it."""
    found = (await consumer._coordinator.fetch_committed_offsets([place])).get(place)
    if found is None or found.offset < 0:
        return None, ""
    return int(found.offset), found.metadata or ""


async def topic_id(client: Any, topic: str) -> str:
    """Return the id of a topic (physical name), asked by a consumer or an admin client; empty if the broker has no ids.

    Raises aiokafka's KafkaError, also when there is no such topic now.
    """
    if (found := (await topic_ids(client._client, (topic,))).get(topic)) is None:
        raise BrokerError(f"{topic} has no id now")
    return found
