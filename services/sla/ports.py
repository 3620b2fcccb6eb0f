"""What the lane needs from outside."""

from typing import Protocol

from services.sla.domain.facts import Occurrence


class Told(Protocol):
    """Is told what the lanes of this process have done."""

    def __call__(self, occurrences: list[Occurrence]) -> None:
        """These are durable. Must not block or raise."""
