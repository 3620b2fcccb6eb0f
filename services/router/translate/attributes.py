"""The attributes of interactions as bytes.

Each event and most notices of an interaction contain its attributes, so they are encoded once and reused while they do not change.
"""

from typing import Final

from chapar.router.v1 import records_pb2 as pb
from services.policy.reading.selectors import from_selector
from services.router.domain.model import InteractionAttributes
from services.router.translate.wire import flag, int32, int64, nested, sized, tag, text

_KEPT: Final = 20_000
_OF: Final = pb.InteractionAttributes
_INTERACTION_ID: Final = tag(_OF, "interaction_id")
_CONVERSATION_ID: Final = tag(_OF, "conversation_id")
_PERSON_ID: Final = tag(_OF, "person_id")
_IDENTITY_ID: Final = tag(_OF, "identity_id")
_CHANNEL: Final = tag(_OF, "channel")
_ACCOUNT: Final = tag(_OF, "account")
_LANGUAGE: Final = tag(_OF, "language")
_QUEUE: Final = tag(_OF, "queue")
_PRIORITY: Final = tag(_OF, "priority")
_REQUIREMENTS: Final = tag(_OF, "requirements")
_LABELS: Final = tag(_OF, "labels")
_ARRIVED_AT: Final = tag(_OF, "arrived_at_ms")
_RULE: Final = tag(_OF, "rule")
_PUBLIC: Final = tag(_OF, "public")
_DUE_AT: Final = tag(_OF, "due_at_ms")
_START_AT: Final = tag(_OF, "start_at_ms")
_PREFERRED_AGENT: Final = tag(_OF, "preferred_agent")
_PREFERRED_TEAM: Final = tag(_OF, "preferred_team")
_AUTOMATIC: Final = tag(_OF, "automatic")
_LABEL: Final = (b"\x0a", b"\x12")
"""An entry of a map is a message whose field 1 is the key and whose field 2 is the value; both are written always."""


def encode_attributes(f: InteractionAttributes) -> bytes:
    """Return attributes as a serialized `InteractionAttributes`. Labels have different names."""
    return b"".join(
        (
            text(_INTERACTION_ID, f.interaction_id),
            text(_CONVERSATION_ID, f.conversation_id),
            text(_PERSON_ID, f.person_id),
            text(_IDENTITY_ID, f.identity_id),
            text(_CHANNEL, f.channel),
            text(_ACCOUNT, f.account),
            text(_LANGUAGE, f.language),
            text(_QUEUE, f.queue),
            int32(_PRIORITY, f.priority),
            b"".join([nested(_REQUIREMENTS, from_selector(s).SerializeToString()) for s in f.requirements])
            if f.requirements
            else b"",
            b"".join([_label(name, value) for name, value in sorted(f.labels, key=_order)]) if f.labels else b"",
            int64(_ARRIVED_AT, f.arrived_at_ms),
            text(_RULE, f.rule),
            flag(_PUBLIC, f.public),
            int64(_DUE_AT, f.due_at_ms),
            int64(_START_AT, f.start_at_ms),
            text(_PREFERRED_AGENT, f.preferred_agent),
            text(_PREFERRED_TEAM, f.preferred_team),
            int32(_AUTOMATIC, f.automatic),
        )
    )


def _order(label: tuple[str, str]) -> bytes:
    # The order of protobuf's library: by the bytes of the name, but a longer name before a shorter one with which it begins. No UTF-8 has 0xff.
    return label[0].encode() + b"\xff"


def _label(name: str, value: str) -> bytes:
    return nested(_LABELS, nested(_LABEL[0], name.encode()) + nested(_LABEL[1], value.encode()))


def from_attributes(f: InteractionAttributes) -> pb.InteractionAttributes:
    """Return attributes as a message, for answers to calls."""
    return pb.InteractionAttributes.FromString(encode_attributes(f))


class AttributesCache:
    """Encoded attributes of interactions, by identity of the object."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[InteractionAttributes, bytes]] = {}

    def sized(self, attributes: InteractionAttributes) -> bytes:
        """Return the attributes behind their length, to be appended to the tag of a field."""
        known = self._known.get(attributes.interaction_id)
        if known is not None and known[0] is attributes:
            return known[1]
        if len(self._known) >= _KEPT:
            self._known.clear()
        made = sized(encode_attributes(attributes))
        self._known[attributes.interaction_id] = (attributes, made)
        return made

    def forget(self, interaction_id: str) -> None:
        """Remove an interaction that is closed."""
        self._known.pop(interaction_id, None)
