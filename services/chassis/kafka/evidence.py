"""Reads what `witness` compares, over the connections of aiokafka's clients."""

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


async def ids_of(client: Any, *topics: str) -> list[str]:
    """Return the ids of topics (physical names), asked by a consumer, an admin client or a `Cluster`; empty ones if the broker has no ids.

    Raises aiokafka's KafkaError, also when there is no such topic now.
    """
    found = await topic_ids(client._client, topics)
    if missing := [topic for topic in topics if topic not in found]:
        raise BrokerError(f"{', '.join(missing)} has no id now")
    return [found[topic] for topic in topics]
