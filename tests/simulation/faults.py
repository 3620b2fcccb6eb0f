"""Which faults a run has, and how often. Each seed draws its own mix: a fault that is always on hides what happens without it."""

from dataclasses import dataclass, fields
from random import Random
from typing import Final

_ON: Final = 0.6
"""The probability that a kind of fault happens at all in a run."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities per occasion, unless the name says otherwise. After `until_ms` no fault happens."""

    until_ms: int
    crash: float = 0.0
    """A process dies, at one of the monkey's turns."""
    stall: float = 0.0
    """A process stops and goes on later, at one of the monkey's turns."""
    move: float = 0.0
    """A partition moves to another process while its owner lives, at one of the monkey's turns."""
    skew: float = 0.0
    """A process has a clock of its own, at its start."""
    commit_lost: float = 0.0
    """A transaction aborts."""
    commit_unknown: float = 0.0
    """A transaction is durable, and its owner does not learn it."""
    dies_at_commit: float = 0.0
    """The owner dies before or after its transaction, or before its effects."""
    edge_repeats: float = 0.0
    """An edge writes a record again."""
    relay_repeats: float = 0.0
    """A relay dies or is replaced between publishing and its offset."""
    poison: float = 0.0
    """A record that no lane can read arrives, at one of the monkey's turns."""
    slow: float = 0.0
    """A step takes seconds."""
    provider_fails: float = 0.0
    """The provider refuses, hangs, or answers after the connection is lost."""
    desk_lost: float = 0.0
    """A desk loses its connection, at one of its turns."""
    desk_away: float = 0.0
    """An agent whose connection is lost stays away for longer than the grace period."""

    @classmethod
    def drawn(cls, chance: Random, until_ms: int) -> "Faults":
        """Return the mix of a run."""
        most = {
            "crash": 0.3,
            "stall": 0.3,
            "move": 0.4,
            "skew": 0.5,
            "commit_lost": 0.05,
            "commit_unknown": 0.05,
            "dies_at_commit": 0.05,
            "edge_repeats": 0.3,
            "relay_repeats": 0.4,
            "poison": 0.2,
            "slow": 0.01,
            "provider_fails": 0.8,
            "desk_lost": 0.05,
            "desk_away": 0.4,
        }
        assert set(most) == {field.name for field in fields(cls)} - {"until_ms"}
        rates = {name: chance.random() * rate if chance.random() < _ON else 0.0 for name, rate in most.items()}
        return cls(until_ms=until_ms, **rates)
