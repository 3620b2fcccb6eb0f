"""What the sender lane hands to whoever talks to the providers."""

from dataclasses import dataclass
from typing import Protocol

from services.ingest.domain.deliveries import Delivery
from services.ingest.domain.messages import Route


@dataclass(frozen=True, slots=True)
class AttemptJob:
    """One attempt, durable in the changelog when it is handed over."""

    tenant: str
    conversation_id: str
    delivery: Delivery
    route: Route


class Attempts(Protocol):
    """Performs attempts and reports each outcome as a record of outbound.v1, whatever happens to the lane meanwhile."""

    @property
    def owner(self) -> str:
        """Id of this run of this process; attempts in the changelog carry it."""

    def turn(self, tenant: str, route: Route) -> int:
        """When one message by this route may leave, ms since the epoch; a caller that asks gets a moment of its own."""

    def submit(self, job: AttemptJob) -> None:
        """Take an attempt over. Does not block. The same (delivery, number) is never submitted twice."""

    def knows(self, delivery_id: str, number: int) -> bool:
        """Whether this attempt was submitted here and `forget` has not been called: then its outcome is on its way or in the log."""

    def forget(self, delivery_id: str, number: int) -> None:
        """Its outcome has been handled."""
