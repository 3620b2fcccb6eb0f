"""The place where a message of Telegram was written: a group, a topic of a forum, or a chat of a business account.

In a plain group Telegram numbers the answers to one message as a thread too. They are not a place of their own: `is_topic_message`
says that a thread is a topic.
"""

from typing import Any

from services.ingest.domain.normalise.message import IncomingMessage


def place_of(message: IncomingMessage, value: Any) -> str:
    """Return the place of a message; empty for the customer's chat with the bot. `value`: the object of the update."""
    context = message.reply_context
    chat = context.get("chat_id", "")
    thread = context.get("message_thread_id", "")
    if not chat:
        return ""
    if thread and _answers_in_plain_group(value):
        thread = ""
    connection = context.get("business_connection_id", "")
    if connection:
        return f"{connection}:{chat}"
    if thread:
        return f"{chat}/{thread}"
    return chat if chat.startswith("-") or message.labels.get("public") == "true" else ""


def _answers_in_plain_group(value: Any) -> bool:
    """Return whether the message is an answer whose thread is not a topic. A button has its message inside."""
    if isinstance(value, dict) and isinstance(value.get("message"), dict):
        value = value["message"]
    return isinstance(value, dict) and "reply_to_message" in value and value.get("is_topic_message") is not True
