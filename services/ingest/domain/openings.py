"""What an interaction is opened with: the part of a message that routing needs, and whether it needs routing at all."""

from services.ingest.domain.conversations import RULE_TEXT_CHARS, Conversation, Opening
from services.ingest.domain.messages import Message, new_text
from services.ingest.domain.survey_reply import beside_quote
from services.policy.model.closing_words import ClosingWords


def opening_of(message: Message, now_ms: int, closing: ClosingWords) -> Opening:
    """Return the opening of a message."""
    return Opening(
        message_id=message.message_id,
        channel=message.identity.channel,
        account=message.identity.account,
        language=message.language,
        labels=message.labels,
        text=(f"{message.subject}\n{message.text}" if message.subject else message.text)[:RULE_TEXT_CHARS],
        text_length=len(message.text),
        arrived_at_ms=message.received_at_ms or now_ms,
        verified=message.identity.verified,
        no_auto_reply=message.no_auto_reply,
        wishes=message.wishes,
        automatic=message.automatic.kind,
        closing=_only_closes(message, closing),
        identity_id=message.identity.identity_id,
    )


def closed_interaction(conversation: Conversation, opening: Opening, now_ms: int, closing: ClosingWords) -> str:
    """Return the completed interaction that a message of closing words joins; empty if it asks for work."""
    ended = conversation.ended
    if not opening.closing or ended is None or now_ms >= ended.at_ms + closing.within_ms:
        return ""
    return ended.interaction_id


def _only_closes(message: Message, closing: ClosingWords) -> bool:
    """Return whether the customer wrote closing words and nothing else: no file, and no text that only names something."""
    if not message.by_person or message.attachments or message.placeholder or message.customer_left:
        return False
    text = new_text(message.text, message.text_parts)
    return closing.only(beside_quote(text) if message.identity.channel == "email" else text)
