"""Ports: what the lane needs from other parts of the process."""

from typing import Protocol

from services.sla.domain.facts import Occurrence


class OnCommitted(Protocol):
    """Callback that receives the occurrences that the lanes of this process have committed."""

    def __call__(self, occurrences: list[Occurrence]) -> None:
        """Handle occurrences that are durable. Must not block or raise."""
