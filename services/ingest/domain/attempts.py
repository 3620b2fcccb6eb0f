"""The interface between the sender lane and the component that calls the providers."""

from dataclasses import dataclass
from typing import Protocol

from services.ingest.domain.deliveries import Delivery
from services.ingest.domain.messages import Route


@dataclass(frozen=True, slots=True)
class AttemptJob:
    """One attempt. It is durable in the changelog before it is handed over."""

    tenant: str
    conversation_id: str
    delivery: Delivery
    route: Route


class Attempts(Protocol):
    """Performs attempts and reports each outcome as a record of outbound.v1, even if the lane has moved to another
    process."""

    @property
    def owner(self) -> str:
        """The id of this run of this process. Attempts in the changelog carry it."""

    def turn(self, tenant: str, route: Route) -> int:
        """Return the time at which one message by this route may leave, ms since the epoch.

        Each call reserves a separate time.
        """

    def submit(self, job: AttemptJob) -> None:
        """Take over an attempt. Does not block. The same (delivery, number) is never submitted twice."""

    def knows(self, delivery_id: str, number: int) -> bool:
        """Return whether this attempt was submitted here and `forget` has not been called.

        If so, its outcome will arrive or was written to the log.
        """

    def published(self, delivery_id: str, number: int) -> bool:
        """Return whether the outcome of an attempt that this run knows was written to the log."""

    def forget(self, delivery_id: str, number: int) -> None:
        """Remove an attempt whose outcome has been handled."""
