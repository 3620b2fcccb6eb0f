"""What web chat reads of past messages: from the history projection, or nothing on replicas without one."""

from collections.abc import Sequence

from services.ingest.ports import ChatMessage


class NoChatHistory:
    """`ports.ChatHistory` of a replica without a projection: only messages that the live reader still has are shown again."""

    async def owner(self, tenant: str, conversation_id: str) -> str | None:
        """Return None: no conversation is known."""
        return None

    async def after(self, tenant: str, conversation_id: str, sequence: int, most: int) -> Sequence[ChatMessage]:
        """Return no messages."""
        return ()

    async def newest(self, tenant: str, identity_id: str, channel: str, most: int) -> Sequence[ChatMessage]:
        """Return no messages."""
        return ()
