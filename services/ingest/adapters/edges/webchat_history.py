"""What web chat reads of the past, from the history projection; and for replicas that have none."""

from collections.abc import Sequence

from services.ingest.ports import ChatMessage


class NoChatHistory:
    """`ports.ChatHistory` of a replica without a projection: only what the live reader remembers is shown again."""

    async def owner(self, tenant: str, conversation_id: str) -> str | None:
        """Nobody known."""
        return None

    async def after(self, tenant: str, conversation_id: str, sequence: int, most: int) -> Sequence[ChatMessage]:
        """Nothing known."""
        return ()

    async def newest(self, tenant: str, identity_id: str, channel: str, most: int) -> Sequence[ChatMessage]:
        """Nothing known."""
        return ()
