"""What the outside knows: messages that an edge acknowledged, replies that a desk got OK for, messages at the provider.

The invariants compare it with the log.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class Acknowledged(NamedTuple):
    """A customer's message that an edge wrote to the log."""

    tenant: str
    identity_id: str
    message_id: str


@dataclass(slots=True)
class Ledger:
    """Facts that only the outside knows."""

    messages: list[Acknowledged] = field(default_factory=list)
    replies: list[tuple[str, str]] = field(default_factory=list)
    """Tenant and id of each reply whose desk got OK."""
    provider: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often the provider accepted each delivery, by tenant and delivery."""
    scores: dict[tuple[str, str], int] = field(default_factory=dict)
    """The first score that a customer gave, by tenant and invitation."""
