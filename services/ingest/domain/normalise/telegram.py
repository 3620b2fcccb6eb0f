"""Parses the updates of Telegram and Bale.

Native ids: the sender is `from.id`, the message `{chat.id}:{message_id}`, with the business connection before it in a
chat of a connected business account. An edit has the same native id, and its update's id as revision: two edits may
have the same second in `edit_date`, and a retry of the provider repeats the update id. A pressed button is
`cb:{callback id}`. `my_chat_member` shows reachability: a SYSTEM message labelled `reachability`. The sender needs for
an answer: `chat_id`, `message_id`, `message_thread_id` in a forum's topic, and `business_connection_id`.

Nothing that a customer does is lost: content or an update of an unknown type is a placeholder that names the type, and
of an object with a field that can't be read the rest is used. Both are kept raw.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from services.ingest.domain.normalise.json_body import parse_json, seconds_to_ms
from services.ingest.domain.normalise.language import language_code
from services.ingest.domain.normalise.message import Collected, IncomingMessage, MessageKind, Parsed, Refusal
from services.ingest.domain.normalise.placeholders import UNREADABLE, content_name
from services.ingest.domain.normalise.salvage import first_text, kept, salvaged, storable
from services.ingest.domain.normalise.telegram_content import content_of
from services.ingest.domain.normalise.telegram_names import IGNORED
from services.ingest.domain.normalise.telegram_places import place_of
from services.ingest.domain.normalise.telegram_shapes import (
    CallbackQuery,
    Chat,
    Deleted,
    MemberUpdated,
    Message,
    PollAnswer,
    ReactionUpdated,
    Unknown,
    User,
)
from services.ingest.domain.normalise.text import clean_name
from services.ingest.domain.reasons import Reason
from services.policy.model.groups import GroupPolicy

_MAX_REVISION = 2**31 - 1
_MESSAGES: Final = frozenset({"message", "business_message"})
_EDITS: Final = frozenset({"edited_message", "edited_business_message"})

_EVERY_GROUP: Final = GroupPolicy()

Outcome = IncomingMessage | Refusal | str


def parse_update(raw: bytes, groups: GroupPolicy = _EVERY_GROUP) -> Parsed:
    """Parse one update. Every outcome is in the result; nothing raises. `groups`: which messages of groups are taken."""
    body = parse_json(raw)
    if isinstance(body, Refusal):
        return Parsed(refused=(body,))
    collected = Collected()
    for outcome in _update(body, groups.username):
        collected.add(outcome)
    return collected.done(groups)


def _update(body: dict[str, Any], username: str) -> Iterator[Outcome]:
    names = [name for name in body if name != "update_id"]
    update_id = body.get("update_id")
    readable = isinstance(update_id, int) and not isinstance(update_id, bool) and -(2**63) <= update_id < 2**63
    if not names:
        yield "empty" if readable else Refusal(Reason.INVALID_FIELD, "update_id", "must be a whole number")
        return
    # Without its own number, an update is known by its content, which is the same at every retry.
    number = update_id if readable else int.from_bytes(hashlib.sha256(kept(body)).digest()[:6])
    name = next((each for each in names if each in _READERS), names[0])
    for outcome in _READERS.get(name, _unknown)(name, body[name], int(number or 0)):
        if isinstance(outcome, IncomingMessage):
            if not readable and not outcome.raw:
                outcome = replace(outcome, raw=kept(body))
            if outcome.labels.get("public") == "true" and _addressed(name, body[name], outcome, username):
                outcome = replace(outcome, labels={**outcome.labels, "addressed": "true"})
            outcome = replace(outcome, place=place_of(outcome, body[name]))
        yield outcome


def _addressed(name: str, value: Any, message: IncomingMessage, username: str) -> bool:
    """Return whether a message of a group addresses the bot: its button, its name, a command, or an answer to it."""
    if name == "callback_query":
        return True
    if message.text.startswith("/"):
        _, at, named = message.text.split(maxsplit=1)[0].partition("@")
        return not at or named.lower() == username
    if username and re.search(rf"@{re.escape(username)}\b", message.text, re.IGNORECASE):
        return True
    answered, _ = salvaged(value.get("reply_to_message") if isinstance(value, dict) else None, Unknown)
    author = answered.from_ if answered is not None else None
    return author is not None and author.is_bot and username in ("", author.username.lower())


def _message(name: str, value: Any, update_id: int) -> Iterator[Outcome]:
    message, whole = salvaged(value, Message)
    if message is None:
        yield _unreadable(value, name, update_id)
        return
    if message.is_automatic_forward:
        yield "channel_post"
        return
    if message.business_connection_id and message.from_ is not None and message.from_.id != message.chat.id:
        yield "own_message"  # written by the owner of the business account, or by a bot in their name
        return
    sender = _sender(message, value)
    if isinstance(sender, str):
        # If `from` can't be read, nothing says who wrote the message, but it is not lost.
        yield _unreadable(value, name, update_id) if sender == "unreadable_sender" else sender
        return
    found = content_of(message, value if whole else storable(value))
    own_contact = message.contact is not None and message.contact.user_id == sender.id
    labels = _place_labels(message.chat) | ({"shared_own_contact": "true"} if own_contact else {})
    if found.kind is MessageKind.SYSTEM:
        labels["event"] = found.name
    yield IncomingMessage(
        native_id=str(sender.id),
        native_message_id=_native(message.business_connection_id, message.chat.id, message.message_id),
        text=found.text,
        revision=max(1, update_id % _MAX_REVISION) if name in _EDITS else 0,
        kind=found.kind,
        display_name=_name(sender),
        language=language_code(sender.language_code),
        sent_at_ms=seconds_to_ms(message.edit_date or message.date),
        in_reply_to=_answered(message),
        attachments=found.attachments,
        reply_context=_context(message),
        labels=labels,
        no_auto_reply=found.kind is MessageKind.SYSTEM,
        content=found.name,
        placeholder=found.placeholder,
        raw=b"" if whole and found.known else kept(value),
    )


def _sender(message: Message, value: Any) -> User | str:
    """Return the author, or why the message has no customer as its author."""
    given = message.sender_chat
    if given is not None and given.id != message.chat.id:
        return User(given.id, first_name=given.title, username=given.username)  # a user writes in a channel's name
    if message.from_ is not None:
        return "without_sender" if message.from_.is_bot else message.from_
    if message.chat.private:
        return User(message.chat.id)
    return "unreadable_sender" if "from" in value else "without_sender"


def _button(name: str, value: Any, update_id: int) -> Iterator[Outcome]:
    query, whole = salvaged(value, CallbackQuery)
    if query is None:
        yield _unreadable(value, name, update_id)
        return
    at = query.message
    context = _context(at) if at is not None else {"chat_id": str(query.from_.id)}
    text = query.data or query.game_short_name
    yield IncomingMessage(
        native_id=str(query.from_.id),
        native_message_id=f"cb:{query.id}",
        text=text,
        kind=MessageKind.BUTTON,
        display_name=_name(query.from_),
        language=language_code(query.from_.language_code),
        in_reply_to=_native(at.business_connection_id, at.chat.id, at.message_id) if at is not None else "",
        reply_context={**context, "callback_query_id": query.id},
        content="button",
        placeholder=not text,
        raw=b"" if whole else kept(value),
    )


def _reachability(name: str, value: Any, update_id: int) -> Iterator[Outcome]:
    member, whole = salvaged(value, MemberUpdated)
    if member is None:
        yield _unreadable(value, name, update_id, kind=MessageKind.SYSTEM)
        return
    if not member.chat.private:
        yield "group_membership"
        return
    blocked = member.new_chat_member.status in ("kicked", "left", "banned")
    yield IncomingMessage(
        native_id=str(member.from_.id),
        native_message_id=f"member:{update_id}",
        kind=MessageKind.SYSTEM,
        display_name=_name(member.from_),
        sent_at_ms=seconds_to_ms(member.date),
        reply_context={"chat_id": str(member.chat.id)},
        labels={"reachability": "blocked" if blocked else "reachable"},
        no_auto_reply=True,
        raw=b"" if whole else kept(value),
    )


def _reaction(name: str, value: Any, update_id: int) -> Iterator[Outcome]:
    reaction, whole = salvaged(value, ReactionUpdated)
    if reaction is None:
        yield _unreadable(value, name, update_id, kind=MessageKind.REACTION)
        return
    user, actor = reaction.user, reaction.actor_chat
    if user is None and actor is None and not reaction.chat.private:
        yield "without_sender"
        return
    author = user or User((actor or reaction.chat).id, first_name=actor.title if actor is not None else "")
    yield IncomingMessage(
        native_id=str(author.id),
        native_message_id=f"reaction:{update_id}",
        text=" ".join(each.emoji or content_name(each.type) for each in reaction.new_reaction),
        kind=MessageKind.REACTION,
        display_name=_name(author),
        sent_at_ms=seconds_to_ms(reaction.date),
        in_reply_to=_native("", reaction.chat.id, reaction.message_id),
        reply_context={"chat_id": str(reaction.chat.id)},
        labels={"event": "reaction_removed"} if not reaction.new_reaction else {},
        no_auto_reply=True,
        content="reaction",
        raw=b"" if whole else kept(value),
    )


def _deletion(name: str, value: Any, update_id: int) -> Iterator[Outcome]:
    deleted, whole = salvaged(value, Deleted)
    if deleted is None or not deleted.message_ids:
        yield _unreadable(value, name, update_id, kind=MessageKind.SYSTEM)
        return
    for number in deleted.message_ids:
        target = _native(deleted.business_connection_id, deleted.chat.id, number)
        yield IncomingMessage(
            native_id=str(deleted.chat.id),
            native_message_id=f"deleted:{target}",
            kind=MessageKind.SYSTEM,
            in_reply_to=target,
            reply_context={"chat_id": str(deleted.chat.id)},
            labels={"event": "revoked"},
            no_auto_reply=True,
            content="deletion",
            deletes=target,
            raw=b"" if whole else kept(value),
        )


def _vote(name: str, value: Any, update_id: int) -> Iterator[Outcome]:
    vote, whole = salvaged(value, PollAnswer)
    if vote is None or vote.user is None:
        # A vote in the name of a channel is not a customer's.
        channel = isinstance(value, dict) and "voter_chat" in value
        yield "poll_answer" if channel else _unreadable(value, name, update_id, kind=MessageKind.SYSTEM)
        return
    yield IncomingMessage(
        native_id=str(vote.user.id),
        native_message_id=f"vote:{update_id}",
        text=", ".join(str(option + 1) for option in vote.option_ids),
        kind=MessageKind.SYSTEM,
        display_name=_name(vote.user),
        labels={"event": "poll_answer"},
        no_auto_reply=True,
        content="poll_answer",
        raw=b"" if whole else kept(value),
    )


def _ignored(name: str, value: Any, update_id: int) -> Iterator[Outcome]:
    yield name


def _unknown(name: str, value: Any, update_id: int) -> Iterator[Outcome]:
    """An update of an unknown type: a placeholder from the user whom it names. Without a user it opens nothing, because
    a new type may concern no customer."""
    found, _ = salvaged(value, Unknown)
    user = (found.from_ or found.user) if found is not None else None
    if user is None or user.is_bot:
        yield _unreadable(value, name, update_id, kind=MessageKind.SYSTEM)
        return
    yield _unreadable(value, name, update_id)


_READERS: Final[Mapping[str, Callable[[str, Any, int], Iterator[Outcome]]]] = MappingProxyType(
    {
        **dict.fromkeys(_MESSAGES | _EDITS, _message),
        "callback_query": _button,
        "my_chat_member": _reachability,
        "message_reaction": _reaction,
        "deleted_business_messages": _deletion,
        "poll_answer": _vote,
        **dict.fromkeys(IGNORED, _ignored),
    }
)


def _unreadable(value: Any, name: str, update_id: int, kind: MessageKind = MessageKind.TEXT) -> IncomingMessage:
    """Return what can be said of an object that lacks what its type must have. Text that it has is kept as text."""
    found, _ = salvaged(value, Unknown)
    user = (found.from_ or found.user) if found is not None else None
    chat = found.chat if found is not None else None
    if user is None and chat is not None and chat.private:
        user = User(chat.id)
    text = first_text(value, "text", "caption", "data")
    raw = kept(value)
    known = name in _READERS
    return IncomingMessage(
        native_id=str(user.id) if user is not None else f"unidentified:{_number_of(raw)}",
        native_message_id=f"update:{update_id}",
        text=text,
        kind=kind,
        display_name=_name(user) if user is not None else "",
        verified=user is not None,
        language=language_code(user.language_code) if user is not None else "",
        reply_context={"chat_id": str(chat.id if chat is not None else user.id)} if user is not None else {},
        labels={"unparsed": "true", **(_place_labels(chat) if chat is not None else {})},
        no_auto_reply=user is None or kind is not MessageKind.TEXT,
        content=UNREADABLE if known else content_name(name),
        placeholder=not text and kind is MessageKind.TEXT,
        raw=raw,
    )


def _native(connection: str, chat: int, number: int) -> str:
    """Return the native id of a message. Chats of a business account have numbers of their own."""
    return f"{connection}:{chat}:{number}" if connection else f"{chat}:{number}"


def _number_of(raw: bytes) -> int:
    return int.from_bytes(hashlib.sha256(raw).digest()[:7])


def _place_labels(chat: Chat) -> dict[str, str]:
    return {} if chat.private else {"public": "true"}


def _answered(message: Message) -> str:
    """Return the native id of the message that is answered. In a forum's topic each message answers the topic's first
    one, which means nothing."""
    answered = message.reply_to_message
    if answered is None or (message.message_thread_id and answered.message_id == message.message_thread_id):
        return ""
    return _native(message.business_connection_id, message.chat.id, answered.message_id)


def _context(message: Message) -> dict[str, str]:
    context = {"chat_id": str(message.chat.id), "message_id": str(message.message_id)}
    if message.message_thread_id:
        context["message_thread_id"] = str(message.message_thread_id)
    if message.business_connection_id:
        context["business_connection_id"] = message.business_connection_id
    return context


def _name(user: User) -> str:
    return clean_name(f"{user.first_name} {user.last_name}") or clean_name(user.username)
