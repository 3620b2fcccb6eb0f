"""What the gateway needs from outside."""

from dataclasses import dataclass
from typing import Protocol

from chapar.router.v1 import records_pb2 as pb


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command."""

    ok: bool
    reason: str


class Commands(Protocol):
    """The way to the shards."""

    def new(self, tenant: str, pool: str, command_id: str) -> pb.RoutingCommand:
        """An empty command with its envelope, answered to this gateway."""

    async def ask(self, command: pb.RoutingCommand, timeout_s: float) -> Outcome:
        """Publish and wait for the result. Raises ChaparError UNAVAILABLE (broker) or DEADLINE (no result in time): then the command may
        have been carried out, and repeating it with the same id is safe."""

    async def tell(self, command: pb.RoutingCommand) -> None:
        """Publish without waiting for a result. Raises ChaparError UNAVAILABLE."""


class Replies(Protocol):
    """The way to the customer."""

    async def send(self, reply_id: str, tenant: str, agent_id: str, facts: pb.InteractionFacts, text: str) -> None:
        """Hand a reply over for sending, durably; the same id again is the same reply. Raises ChaparError UNAVAILABLE."""
