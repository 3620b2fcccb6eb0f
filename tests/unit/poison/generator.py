"""Generates records that a topic may contain: plausible ones of its schema, ones with impossible values, and broken bytes.

Plausible values come from a small set of ids, so that records are related: the second record of an interaction follows the first.
"""

import random
from collections.abc import Iterator
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from services.chassis.kafka.records import Record

NOW: Final = 1_700_000_000_000
WORDS: Final = (
    "acme",
    "parsa",
    "default",
    "main",
    "i1",
    "i2",
    "i3",
    "c1",
    "c2",
    "p1",
    "a1",
    "a2",
    "sales",
    "general",
    "webchat",
    "telegram",
    "email",
    "after-contact",
    "fa",
    "en",
    "Asia/Tehran",
    "completed",
    "tier",
    "2023-11-14",
    "2023-11-14T22:13Z",
)
BY_NAME: Final = {
    "tenant": (*["acme"] * 9, "parsa"),
    "pool": ("default",),
    "queue": ("sales", "general"),
    "interaction_id": tuple(f"i{number}" for number in range(30)),
    "conversation_id": ("c1", "c1", "c1", "c2"),
    "person_id": (*["p1"] * 15, "p2"),
    "identity_id": ("d1", "d2"),
    "agent_id": ("a1", "a2"),
    "channel": ("webchat", "telegram", "email"),
    "account": ("site", "bot", "help"),
    "survey": ("after-contact",),
    "text": ("buy", "سلام", "5", "۵ عالی بود"),
    "attribute": ("vip",),
}
"""Values of fields by name, so that the records of one topic are about the same few objects."""
FRESH: Final = frozenset({"command_id", "event_id", "message_id", "request_id", "offer_id", "native_message_id"})
"""Fields whose values are new in most records, because a reader drops a repetition before it has any effect."""
ODD_WORDS: Final = (
    "",
    "\x00",
    "a\x00b",
    "/",
    "|",
    "a/b|c",
    "../..",
    "x" * 5000,
    "\ufeff\u202e\u2066",
    "🏳️‍🌈" * 50,
    "%s%n{link}",
    "٣",
    "'; DROP TABLE events; --",
    "9" * 400,
    "1e999",
    "NaN",
    "9999-99-99",
    "0000-00-00T00:00Z",
    "contacts.",
    "\U0010ffff",
)
ODD_NUMBERS: Final = (
    0,
    1,
    -1,
    2**31 - 1,
    -(2**31),
    2**63 - 1,
    -(2**63),
    253_402_300_800_000,
    10**17,
    -(10**17),
    86_400_000,
)
ODD_FLOATS: Final = (0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 5e-324)
_DEPTH: Final = 5
_UNSIGNED: Final = {
    FieldDescriptor.TYPE_UINT32: 2**32 - 1,
    FieldDescriptor.TYPE_UINT64: 2**64 - 1,
    FieldDescriptor.TYPE_FIXED32: 2**32 - 1,
    FieldDescriptor.TYPE_FIXED64: 2**64 - 1,
}
_SIGNED_32: Final = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32}


class Generator:
    """Generate records, the same for the same seed. `odd`: the share of values that make no sense, from 0 to 1."""

    def __init__(self, seed: int, odd: float = 0.05) -> None:
        self.random = random.Random(seed)
        self._odd = odd
        self._rate = odd
        self._fresh = 0

    def message(self, kind: type[Message]) -> Message:
        """Return a message of the schema: plausible, or plausible except for one field, or with odd values anywhere."""
        made = kind()
        choose = self.random.random()
        self._rate = self._odd if choose < 0.2 else 0.0
        self._fill(made, cast(Descriptor, kind.DESCRIPTOR), 0)
        if choose > 0.5:
            self._spoil(made)
        return made

    def _spoil(self, made: Message) -> None:
        """Set one field, at any depth, to an odd value."""
        leaves = [(owner, field) for owner, field in _leaves(made) if field.type != FieldDescriptor.TYPE_BOOL]
        if leaves:
            owner, field = self.random.choice(leaves)
            self._rate = 1.0
            setattr(owner, field.name, self._scalar(field))

    def record(self, topic: str, offset: int, kind: type[Message], partition: int = 0) -> Record:
        """Return one record. About a third have bytes, a key or a time that no service of Chapar writes."""
        message = self.message(kind)
        value: bytes | None = message.SerializeToString()
        key: bytes | None = self._key_of(message)
        at_ms = NOW + offset
        choose = self.random.random()
        if choose < 0.15:
            value = self._broken(value or b"")
        elif choose < 0.18:
            value = None
        if self.random.random() < 0.05:
            key = self.random.choice(
                (None, b"", b"\xff\xfe", b"\x00", b"a" * 3000, b"3:a", b"9" * 5000, b"\xed\xa0\x80")
            )
        if self.random.random() < 0.02:
            at_ms = self.random.choice((-1, 0, 2**62))
        headers: tuple[tuple[str, bytes], ...] = ()
        if self.random.random() < 0.05:
            headers = (("traceparent", b"\xff\x00"), ("sender-takeover", b"\xff"), ("replayed", b""), ("", b""))
        return Record(topic, partition, offset, at_ms, key, value, headers)

    def _key_of(self, message: Message) -> bytes:
        known = {field.name: value for field, value in message.ListFields()}
        for name in ("conversation_id", "person_id", "identity_id", "tenant"):
            value = known.get(name)
            if isinstance(value, str) and value:
                return value.encode("utf-8", "surrogatepass")
        return b"c1"

    def _broken(self, value: bytes) -> bytes:
        data = bytearray(value or b"\x00")
        match self.random.randrange(5):
            case 0:
                for _ in range(self.random.randint(1, 8)):
                    data[self.random.randrange(len(data))] = self.random.randrange(256)
            case 1:
                del data[self.random.randrange(len(data)) :]
            case 2:
                data += self.random.randbytes(self.random.randint(1, 50))
            case 3:
                return self.random.randbytes(self.random.randint(0, 200))
            case _:  # nested deeper than any reader allows
                inner = b""
                for _ in range(200):
                    inner = b"\x0a" + _varint(len(inner)) + inner
                return bytes(data) + inner
        return bytes(data)

    def _fill(self, made: Any, descriptor: Descriptor, depth: int) -> None:
        for oneof in descriptor.oneofs:
            field = self.random.choice(oneof.fields)
            if self.random.random() < 0.95 and depth < _DEPTH:
                self._set(made, field, depth)
        for field in descriptor.fields:
            likely = 0.98 if field.name in BY_NAME or field.name in FRESH else 0.7
            if field.containing_oneof is None and self.random.random() < likely:
                self._set(made, field, depth)

    def _set(self, made: Any, field: FieldDescriptor, depth: int) -> None:
        if field.message_type is not None and depth >= _DEPTH:
            return
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._map(getattr(made, field.name), field.message_type, depth)
        elif field.is_repeated:
            target = getattr(made, field.name)
            for _ in range(self.random.choice((0, 1, 1, 2, 3))):
                if field.message_type is not None:
                    self._fill(target.add(), field.message_type, depth + 1)
                else:
                    target.append(self._scalar(field))
        elif field.message_type is not None:
            child = getattr(made, field.name)
            child.SetInParent()
            self._fill(child, field.message_type, depth + 1)
        else:
            setattr(made, field.name, self._scalar(field))

    def _map(self, target: Any, entry: Descriptor, depth: int) -> None:
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        for _ in range(self.random.choice((0, 1, 2))):
            name = self._scalar(key)
            if value.message_type is not None:
                self._fill(target[name], value.message_type, depth + 1)
            else:
                target[name] = self._scalar(value)

    def _scalar(self, field: FieldDescriptor) -> Any:
        odd = self.random.random() < self._rate
        match field.type:
            case FieldDescriptor.TYPE_STRING:
                return self.random.choice(ODD_WORDS) if odd else self._word(field.name)
            case FieldDescriptor.TYPE_BYTES:
                return self.random.randbytes(self.random.randint(0, 40))
            case FieldDescriptor.TYPE_BOOL:
                return self.random.random() < 0.2
            case FieldDescriptor.TYPE_ENUM:
                return (
                    self.random.randrange(2**31)
                    if odd
                    else self.random.choice(cast(EnumDescriptor, field.enum_type).values).number
                )
            case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
                return self.random.choice(ODD_FLOATS) if odd else self.random.uniform(0, 10)
        number = self._number(field.name, odd)
        if field.type in _UNSIGNED:
            return abs(number) % (_UNSIGNED[field.type] + 1)
        if field.type in _SIGNED_32:
            return max(-(2**31), min(2**31 - 1, number))
        return number

    def _word(self, name: str) -> str:
        if name in FRESH and self.random.random() < 0.9:
            self._fresh += 1
            return f"{name}-{self._fresh}"
        return self.random.choice(BY_NAME.get(name, WORDS))

    def _number(self, name: str, odd: bool) -> int:
        if odd:
            return self.random.choice(ODD_NUMBERS)
        if name.endswith("at_ms"):
            return NOW + self.random.randint(-100_000, 3_600_000)
        if name.endswith("_ms"):
            return self.random.choice((1_000, 60_000, 600_000))
        return self.random.randint(0, 6)


def _leaves(made: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    """Yield the scalar fields that are set, with the messages that contain them."""
    for field, value in made.ListFields():
        if field.message_type is None:
            if not field.is_repeated:
                yield made, field
        elif not field.message_type.GetOptions().map_entry:
            for inner in value if field.is_repeated else (value,):
                yield from _leaves(inner)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
