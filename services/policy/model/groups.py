"""Which messages of group chats an account takes: the values of its settings `groups` and `bot_username`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

EACH: Final = "each"
ADDRESSED: Final = "addressed"
IGNORE: Final = "ignore"
"""Values of `groups`: every message, only those that address the account, or none."""


@dataclass(frozen=True, slots=True)
class GroupPolicy:
    """`username`: the bot's name in its channel, lower case and without `@`; "" when it has none."""

    choice: str = EACH
    username: str = ""

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Self:
        """Return the policy of an account's settings. An unknown value, which lint reports, takes every message."""
        return cls(settings.get("groups", EACH), settings.get("bot_username", "").lstrip("@").lower())

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Return whether a message with these labels is taken. The label `public` marks a message of a group, and
        `addressed` one that addresses the account."""
        if labels.get("public") != "true" or self.choice not in (ADDRESSED, IGNORE):
            return True
        return self.choice == ADDRESSED and labels.get("addressed") == "true"
