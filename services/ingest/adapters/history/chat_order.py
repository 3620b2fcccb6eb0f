"""The order in which a visitor sees earlier messages."""

from collections.abc import Sequence

from services.ingest.ports import ChatMessage


def in_order(newest_first: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Order conversations by their last message, and messages within each by the log: sequence numbers are comparable
    only within a conversation."""
    by_conversation: dict[str, list[ChatMessage]] = {}
    for message in newest_first:
        by_conversation.setdefault(message.conversation_id, []).append(message)
    found: list[ChatMessage] = []
    for messages in reversed(by_conversation.values()):
        found += sorted(messages, key=lambda message: message.sequence)
    return found
