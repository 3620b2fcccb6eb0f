"""In which order a visitor sees what was said before."""

from collections.abc import Sequence

from services.ingest.ports import ChatMessage


def in_order(newest_first: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Conversations by their last message, each in the order of its log: sequence numbers are comparable within a conversation only."""
    by_conversation: dict[str, list[ChatMessage]] = {}
    for message in newest_first:
        by_conversation.setdefault(message.conversation_id, []).append(message)
    found: list[ChatMessage] = []
    for messages in reversed(by_conversation.values()):
        found += sorted(messages, key=lambda message: message.sequence)
    return found
