"""The number of partitions of a topic, from which a key's partition follows. It is fixed when the topic is created."""

import asyncio
from typing import Final

from services.chassis.kafka.clients import BrokerError, KafkaAccess, admin_client
from services.chassis.logs import get_logger

_RETRY_S: Final = 0.5


async def partition_counts(kafka: KafkaAccess, topics: tuple[str, ...]) -> dict[str, int]:
    """Return the number of partitions of topics (logical names). Waits for the broker, and for topics that do not exist yet."""
    log = get_logger(__name__)
    names = {kafka.topic_prefix + topic: topic for topic in topics}
    told = False
    while True:
        try:
            found = await _described(kafka, names)
            if len(found) == len(names):
                return found
            missing = ", ".join(sorted(set(names.values()) - set(found)))
            reason = f"topics are missing ({missing}): chapar topics apply"
        except (BrokerError, OSError) as error:
            reason = repr(error)
        if not told:
            told = True
            log.warning("waiting for Kafka's topics", reason_text=reason)
        await asyncio.sleep(_RETRY_S)


async def _described(kafka: KafkaAccess, names: dict[str, str]) -> dict[str, int]:
    async with admin_client(kafka, client_id="router-topics") as admin:
        return {
            names[topic["topic"]]: len(topic["partitions"])
            for topic in await admin.describe_topics(list(names))
            if not topic["error_code"] and topic["partitions"]
        }
