"""The objects of Telegram's and Bale's Bot API, as far as they are used. Fields that are not named here are ignored."""

from typing import Any

import msgspec


class User(msgspec.Struct, frozen=True):
    """A user or bot."""

    id: int
    first_name: str = ""
    last_name: str = ""
    username: str = ""
    language_code: str = ""
    is_bot: bool = False


class Chat(msgspec.Struct, frozen=True):
    """The chat of a message, also of one that a user writes in the name of a chat."""

    id: int
    type: str = ""
    title: str = ""
    username: str = ""

    @property
    def private(self) -> bool:
        """Whether only one user reads it. The ids of groups and channels are negative."""
        return self.type == "private" or (not self.type and self.id > 0)


class File(msgspec.Struct, frozen=True):
    """Any of the files that a message can hold."""

    file_id: str
    file_name: str = ""
    mime_type: str = ""
    file_size: int = 0
    emoji: str = ""


class Place(msgspec.Struct, frozen=True):
    """A location."""

    latitude: float
    longitude: float


class Venue(msgspec.Struct, frozen=True):
    """A location with a name."""

    location: Place | None = None
    title: str = ""
    address: str = ""


class Contact(msgspec.Struct, frozen=True):
    """A shared contact; proves a phone number only when its user is the sender."""

    phone_number: str = ""
    first_name: str = ""
    last_name: str = ""
    user_id: int = 0


class Option(msgspec.Struct, frozen=True):
    """An option of a poll or a task of a checklist."""

    text: str = ""


class Poll(msgspec.Struct, frozen=True):
    """A poll."""

    question: str = ""
    options: list[Option] = []


class Checklist(msgspec.Struct, frozen=True):
    """A checklist."""

    title: str = ""
    tasks: list[Option] = []


class Dice(msgspec.Struct, frozen=True):
    """A die or another random value."""

    emoji: str = ""
    value: int = 0


class WebAppData(msgspec.Struct, frozen=True):
    """What a web app of the bot sends."""

    data: str = ""
    button_text: str = ""


class Payment(msgspec.Struct, frozen=True):
    """A payment. The amount is in the smallest unit of the currency."""

    currency: str = ""
    total_amount: int = 0
    invoice_payload: str = ""


class Replied(msgspec.Struct, frozen=True):
    """The message that is answered."""

    message_id: int


class Message(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A message."""

    message_id: int
    chat: Chat
    from_: User | None = None
    sender_chat: Chat | None = None
    is_automatic_forward: bool = False
    business_connection_id: str = ""
    date: int = 0
    edit_date: int = 0
    message_thread_id: int = 0
    text: str = ""
    caption: str = ""
    reply_to_message: Replied | None = None
    photo: list[File] = []
    document: File | None = None
    animation: File | None = None
    voice: File | None = None
    audio: File | None = None
    video: File | None = None
    video_note: File | None = None
    sticker: File | None = None
    location: Place | None = None
    venue: Venue | None = None
    contact: Contact | None = None
    poll: Poll | None = None
    checklist: Checklist | None = None
    dice: Dice | None = None
    web_app_data: WebAppData | None = None
    successful_payment: Payment | None = None
    refunded_payment: Payment | None = None


class CallbackQuery(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A pressed button."""

    id: str
    from_: User
    data: str = ""
    game_short_name: str = ""
    message: Message | None = None


class Member(msgspec.Struct, frozen=True):
    """A member's state in a chat."""

    status: str


class MemberUpdated(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A user blocked or unblocked the bot."""

    chat: Chat
    from_: User
    new_chat_member: Member
    date: int = 0


class ReactionKind(msgspec.Struct, frozen=True):
    """One reaction: an emoji, or another type without one."""

    type: str = ""
    emoji: str = ""


class ReactionUpdated(msgspec.Struct, frozen=True):
    """A user changed their reactions to a message. `new_reaction` has all that remain."""

    chat: Chat
    message_id: int
    user: User | None = None
    actor_chat: Chat | None = None
    date: int = 0
    new_reaction: list[ReactionKind] = []


class Deleted(msgspec.Struct, frozen=True):
    """Messages that were deleted in a chat with a connected business account."""

    chat: Chat
    business_connection_id: str = ""
    message_ids: list[int] = []


class PollAnswer(msgspec.Struct, frozen=True):
    """A user's vote; without options, the vote is withdrawn."""

    poll_id: str = ""
    user: User | None = None
    option_ids: list[int] = []


class Unknown(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The parts of an unknown update that may name its sender and chat."""

    from_: User | None = None
    user: User | None = None
    chat: Chat | None = None
    message: dict[str, Any] = {}
