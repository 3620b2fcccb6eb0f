"""Finds the owner of a lane's partition in the consumer group's metadata.

A lane's client id is the address to call (`router@host:port`); the group's coordinator knows which member owns which partition.
"""

from contextlib import AsyncExitStack
from typing import Any, Self

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import for_code

from services.chassis.kafka.clients import KafkaAccess, admin_client
from services.chassis.kafka.coordination import once_coordinated


class GroupDirectory:
    """Looks up owners over one open connection. Use as an async context manager.

    `patience_s`: how long it waits for a group's coordinator. Commands wait; a service tries again by itself.
    """

    def __init__(self, kafka: KafkaAccess, *, client_id: str = "group-directory", patience_s: float = 0.0) -> None:
        self._kafka = kafka
        self._patience_s = patience_s
        self._client_id = client_id
        self._admin: Any = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._admin = await self._open.enter_async_context(admin_client(self._kafka, client_id=self._client_id))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def owners(self, group: str, topic: str) -> dict[int, str]:
        """Return partition -> client id of its owner (logical names). Empty while the group rebalances or has no members.

        Raises aiokafka's KafkaError when the coordinator cannot be asked.
        """
        wanted = self._kafka.topic_prefix + topic
        members = await self._members(group)
        return {
            partition: client_id for client_id, assignment in members for partition in _assigned(assignment, wanted)
        }

    async def idle(self, group: str, topic: str) -> list[str]:
        """Return the client ids of members without a partition (logical names). Raises as `owners`."""
        wanted = self._kafka.topic_prefix + topic
        return sorted(
            client_id for client_id, assignment in await self._members(group) if not _assigned(assignment, wanted)
        )

    async def _members(self, group: str) -> list[tuple[str, bytes]]:
        """Return client id and encoded assignment of each member of a group."""
        return await once_coordinated(lambda: self._described(self._kafka.topic_prefix + group), self._patience_s)

    async def _described(self, group: str) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        for response in await self._admin.describe_consumer_groups([group]):
            for error, name, _state, _type, _protocol, members, *_rest in response.groups:
                if error:
                    raise for_code(error)(f"group {name} cannot be described: error {error}")
                found += [(client_id, assignment) for *_id, client_id, _host, _metadata, assignment in members]
        return found


def _assigned(assignment: bytes, topic: str) -> list[int]:
    if not assignment:
        return []
    decoded = ConsumerProtocolMemberAssignment.decode(assignment)
    return [partition for name, partitions in decoded.assignment for partition in partitions if name == topic]


async def owners(kafka: KafkaAccess, group: str, topic: str) -> dict[int, str]:
    """Call `GroupDirectory.owners` with its own connection: for tools; a service keeps a directory open."""
    async with GroupDirectory(kafka) as directory:
        return await directory.owners(group, topic)
