"""The log of a simulated floor: the data from which every figure is computed."""

from __future__ import annotations

from dataclasses import dataclass, field

# Outcomes of an attempt: codes of `Log.outcome`.
UNSERVED, ANSWERED, ABANDONED, BLOCKED, CANCELLED = range(5)


@dataclass(slots=True)
class Log:
    """What happened. The first lists have the same length, an entry for each attempt of a customer; times in ms."""

    kind: list[int]
    arrived: list[float]
    outcome: list[int]
    waited: list[float]
    """Time until the answer, until the customer left, or until the end."""
    busy: list[tuple[int, float, float]] = field(default_factory=list)
    """(agent, from, to): has any interaction, including wrap-up."""
    overtime: list[tuple[int, float, float]] = field(default_factory=list)
    """(agent, from, to): after the end of a shift."""
    retries: int = 0
    handed_over: int = 0
    commands: int = 0
    end: float = 0.0
