"""What the accounts of a channel can and must have: the declarations of the contract as plain values.

`services.policy.reading.channels` reads them from chapar/config/v1/channels.proto.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ValueKind(StrEnum):
    """How the value of a setting is written."""

    TEXT = "text"
    URL = "url"
    MAIL_SERVER = "mail server"
    ADDRESSES = "addresses"
    ORIGINS = "origins"
    DOMAIN = "domain"
    DIGITS = "digits"


PATTERNS: Final[Mapping[ValueKind, str]] = MappingProxyType(
    {
        ValueKind.TEXT: r"[\s\S]*",
        ValueKind.URL: r"https?://\S+",
        ValueKind.MAIL_SERVER: r"(smtp|smtps|smtp\+starttls)://\S+",
        ValueKind.ADDRESSES: r"[^@\s,]+@[^@\s,]+([\s,]+[^@\s,]+@[^@\s,]+)*",
        ValueKind.ORIGINS: r"(\*|https?://[^/\s,]+/?)([\s,]+(\*|https?://[^/\s,]+/?))*",
        ValueKind.DOMAIN: r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?",
        ValueKind.DIGITS: r"[0-9]+",
    }
)
"""Regular expressions for whole values, in the dialect that JSON Schema and Python share."""
EXAMPLES: Final[Mapping[ValueKind, str]] = MappingProxyType(
    {
        ValueKind.TEXT: "any text",
        ValueKind.URL: "a URL such as https://hooks.example.com/chapar",
        ValueKind.MAIL_SERVER: "a mail server such as smtps://user@mail.example.com",
        ValueKind.ADDRESSES: "e-mail addresses such as support@example.com, separated by commas or spaces",
        ValueKind.ORIGINS: "origins such as https://shop.example, separated by commas or spaces",
        ValueKind.DOMAIN: "a domain such as mail.example.com",
        ValueKind.DIGITS: "digits such as 100200300",
    }
)
"""What each kind asks for, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKey:
    """One secret or setting. `required_for` says what does not work without it; empty for an optional key."""

    name: str
    meaning: str
    required_for: str = ""
    kind: ValueKind = ValueKind.TEXT
    values: tuple[str, ...] = ()
    default: str = ""
    may_be_reference: bool = False

    def accepts(self, value: str) -> bool:
        """Return whether a value that is not a reference is well formed."""
        return value in self.values if self.values else re.fullmatch(PATTERNS[self.kind], value) is not None


@dataclass(frozen=True, slots=True)
class ChannelDeclaration:
    """The keys of a channel's accounts, by name. `has_edge`: Chapar can receive and send through it."""

    channel: str
    has_edge: bool
    secrets: Mapping[str, AccountKey]
    settings: Mapping[str, AccountKey]
