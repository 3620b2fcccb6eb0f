"""The facts about one delivery, and what became of it: `merged(facts, fact) -> facts`, `verdict(facts, parts) -> Verdict`.

The provider's answer, its status reports and bounces state facts. They arrive in any order, repeatedly and late. The
facts of a delivery are therefore a set that only grows, with one fact for each state of each part, and the verdict
depends on the set alone:
- READ implies DELIVERED, and DELIVERED implies SENT.
- FAILED wins over SENT and UNKNOWN: the provider accepted the message and could not deliver it. DELIVERED and READ win
  over FAILED: the message is at the customer.
- A fact wins over UNKNOWN.
- If a state is stated several times, the earliest statement counts.
- A long text is sent in parts, and each part has facts of its own. The delivery is as good as its worst part.

QUEUED and ATTEMPTING are not facts about what became of a delivery. They say what the sender does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

MAX_PARTS: Final = 100
"""The highest number of a part that has facts of its own."""


class DeliveryState(IntEnum):
    """The published state of a delivery. The numbers are those of the contract."""

    QUEUED = 1
    SENT = 2
    FAILED = 3
    UNKNOWN = 4
    ATTEMPTING = 5
    DELIVERED = 6
    READ = 7

    @property
    def arrived(self) -> bool:
        """Return whether the message is known to be at the customer."""
        return self in (DeliveryState.DELIVERED, DeliveryState.READ)

    @property
    def left(self) -> bool:
        """Return whether the provider has taken the message."""
        return self is DeliveryState.SENT or self.arrived


class FactSource(IntEnum):
    """Who states a fact. The numbers are those of the contract."""

    UNSPECIFIED = 0
    SENDER = 1
    """Chapar's sender, from the provider's answer to an attempt."""
    PROVIDER = 2
    """A status report of the provider."""
    BOUNCE = 3
    """A bounce."""


_RANKS: Final = MappingProxyType(
    {
        DeliveryState.UNKNOWN: 1,
        DeliveryState.SENT: 2,
        DeliveryState.FAILED: 3,
        DeliveryState.DELIVERED: 4,
        DeliveryState.READ: 5,
    }
)
"""Of the facts about one part, the one with the greatest rank counts."""

_GOODNESS: Final = MappingProxyType(
    {
        DeliveryState.FAILED: 1,
        DeliveryState.UNKNOWN: 2,
        DeliveryState.SENT: 3,
        DeliveryState.DELIVERED: 4,
        DeliveryState.READ: 5,
    }
)
"""Of the parts of a delivery, the one with the least goodness counts."""


@dataclass(frozen=True, slots=True, order=True)
class DeliveryFact:
    """One statement about a delivery.

    `part`: number of the part from 1; 0 for all parts. `at_ms`: when the source says that it happened, in ms since the
    epoch. `retryable`: whether the same message may be accepted later; only of FAILED and UNKNOWN.
    """

    part: int
    state: DeliveryState
    at_ms: int
    source: FactSource = FactSource.SENDER
    reason: str = ""
    retryable: bool = False

    def __post_init__(self) -> None:
        if self.state not in _RANKS:
            raise ValueError(f"{self.state.name} is not a fact about what became of a delivery")
        if not 0 <= self.part <= MAX_PARTS:
            raise ValueError(f"a part is 0 to {MAX_PARTS}")


Facts = tuple[DeliveryFact, ...]
"""In order, with at most one fact for each part and state."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a delivery, and the fact that decides it."""

    state: DeliveryState
    reason: str
    retryable: bool
    source: FactSource
    at_ms: int


def merged(facts: Facts, fact: DeliveryFact) -> Facts:
    """Return the facts with one more. The same facts in any order, any number of times, give the same result."""
    earliest: dict[tuple[int, DeliveryState], DeliveryFact] = {}
    for each in (*facts, fact):
        key = (each.part, each.state)
        earliest[key] = min(each, earliest.get(key, each))
    return tuple(sorted(earliest.values()))


def verdict(facts: Facts, parts: int = 1) -> Verdict | None:
    """Return what became of a delivery of this number of parts; None while no fact is known.

    A part without a fact is UNKNOWN once there is a fact about another part.
    """
    if not facts:
        return None
    number = max(1, min(parts, MAX_PARTS), *(fact.part for fact in facts))
    about_all = [fact for fact in facts if fact.part == 0]
    worst: DeliveryFact | None = None
    for part in range(1, number + 1):
        known = [*about_all, *(fact for fact in facts if fact.part == part)]
        best = _decisive(known) if known else DeliveryFact(part, DeliveryState.UNKNOWN, facts[0].at_ms)
        if worst is None or _GOODNESS[best.state] < _GOODNESS[worst.state]:
            worst = best
    assert worst is not None
    return Verdict(worst.state, worst.reason, worst.retryable, worst.source, worst.at_ms)


def _decisive(known: Iterable[DeliveryFact]) -> DeliveryFact:
    return max(known, key=lambda fact: (_RANKS[fact.state], -fact.at_ms))
