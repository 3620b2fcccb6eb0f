"""What the lane and the escalation need from outside."""

from typing import Protocol

from chapar.sla.v1.sla_pb2 import SlaEvent
from services.sla.domain.facts import Occurrence


class Told(Protocol):
    """Is told what the lanes of this process have done."""

    def __call__(self, occurrences: list[Occurrence]) -> None:
        """These are durable. Must not block or raise."""


class Notify(Protocol):
    """Tells a webhook about an escalation."""

    async def __call__(self, event: SlaEvent) -> None:
        """Returns when it is sure to be told, sooner or later, once or more with one id. Raises ChaparError: NOT_FOUND where no webhook has
        that name, UNAVAILABLE when it should be asked again."""
