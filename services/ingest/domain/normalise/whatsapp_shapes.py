"""The objects of the WhatsApp Cloud API, as far as they are used. Fields that are not named here are ignored."""

from typing import Any

import msgspec


class Profile(msgspec.Struct, frozen=True):
    """The customer's profile with the name that they chose."""

    name: str = ""


class ContactCard(msgspec.Struct, frozen=True):
    """The contact card of a sender."""

    wa_id: str = ""
    user_id: str = ""
    profile: Profile = Profile()


class Body(msgspec.Struct, frozen=True):
    """A text."""

    body: str


class Media(msgspec.Struct, frozen=True):
    """A file. `voice`: recorded in the chat."""

    id: str = ""
    mime_type: str = "application/octet-stream"
    caption: str = ""
    filename: str = ""
    file_size: int = 0
    voice: bool = False


class Context(msgspec.Struct, frozen=True):
    """The message that is answered."""

    id: str = ""


class Button(msgspec.Struct, frozen=True):
    """A pressed button of a template."""

    text: str = ""
    payload: str = ""


class Choice(msgspec.Struct, frozen=True):
    """The choice from a list or from buttons."""

    id: str = ""
    title: str = ""
    description: str = ""


class Form(msgspec.Struct, frozen=True):
    """A completed form (flow). `response_json`: the answers, as JSON in a string."""

    name: str = ""
    body: str = ""
    response_json: str = ""


class Permission(msgspec.Struct, frozen=True):
    """The answer to a request to call: "accept" or "reject"."""

    response: str = ""


class Interactive(msgspec.Struct, frozen=True):
    """An answer to an interactive message."""

    type: str = ""
    button_reply: Choice | None = None
    list_reply: Choice | None = None
    nfm_reply: Form | None = None
    call_permission_reply: Permission | None = None


class Reaction(msgspec.Struct, frozen=True):
    """A reaction. Without an emoji, the reaction is removed."""

    message_id: str
    emoji: str = ""


class Location(msgspec.Struct, frozen=True):
    """A place."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""


class SharedName(msgspec.Struct, frozen=True):
    """The name on a shared contact."""

    formatted_name: str = ""
    first_name: str = ""


class SharedPhone(msgspec.Struct, frozen=True):
    """A number on a shared contact."""

    phone: str = ""
    wa_id: str = ""


class SharedEmail(msgspec.Struct, frozen=True):
    """An address on a shared contact."""

    email: str = ""


class SharedContact(msgspec.Struct, frozen=True):
    """A contact that the customer shares."""

    name: SharedName = SharedName()
    phones: list[SharedPhone] = []
    emails: list[SharedEmail] = []


class Item(msgspec.Struct, frozen=True):
    """A product of an order."""

    product_retailer_id: str = ""
    quantity: int | float | str = 1
    item_price: int | float | str = ""
    currency: str = ""


class Order(msgspec.Struct, frozen=True):
    """An order from the catalogue."""

    text: str = ""
    product_items: list[Item] = []


class System(msgspec.Struct, frozen=True):
    """A change of the customer's account, such as a new number."""

    type: str = ""
    body: str = ""
    wa_id: str = ""
    new_wa_id: str = ""


class Referral(msgspec.Struct, frozen=True):
    """The advertisement from which the customer writes."""

    source_type: str = ""
    source_id: str = ""
    source_url: str = ""
    headline: str = ""


class Unsupported(msgspec.Struct, frozen=True):
    """What the customer sent, of a type that the API does not pass on."""

    type: str = ""


class Edit(msgspec.Struct, frozen=True):
    """A message's new content."""

    original_message_id: str
    message: dict[str, Any] = {}


class Revoke(msgspec.Struct, frozen=True):
    """A message that the customer deleted."""

    original_message_id: str


class Message(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One message."""

    id: str = ""
    type: str = ""
    from_: str = ""
    from_user_id: str = ""
    user_id: str = ""
    group_id: str = ""
    timestamp: str = ""
    text: Body | None = None
    image: Media | None = None
    audio: Media | None = None
    voice: Media | None = None
    video: Media | None = None
    document: Media | None = None
    sticker: Media | None = None
    button: Button | None = None
    interactive: Interactive | None = None
    reaction: Reaction | None = None
    location: Location | None = None
    contacts: list[SharedContact] = []
    order: Order | None = None
    system: System | None = None
    referral: Referral | None = None
    unsupported: Unsupported | None = None
    edit: Edit | None = None
    revoke: Revoke | None = None
    context: Context | None = None
