"""What happened on the floor: the raw material of every figure."""

from __future__ import annotations

from dataclasses import dataclass, field

# What became of an attempt: codes of `Log.outcome`.
UNSERVED, ANSWERED, ABANDONED, BLOCKED, CANCELLED = range(5)


@dataclass(slots=True)
class Log:
    """What happened. The first lists run in step, an entry for each attempt of a customer; times in ms."""

    kind: list[int]
    arrived: list[float]
    outcome: list[int]
    waited: list[float]
    """Until the answer, until he left, or until the end."""
    busy: list[tuple[int, float, float]] = field(default_factory=list)
    """(agent, from, to): has anything in hand, wrap-up too."""
    overtime: list[tuple[int, float, float]] = field(default_factory=list)
    """(agent, from, to): after the end of a shift."""
    retries: int = 0
    handed_over: int = 0
    commands: int = 0
    end: float = 0.0
