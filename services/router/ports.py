"""The interfaces that the gateway needs from other parts."""

from dataclasses import dataclass
from typing import Protocol

from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a command."""

    ok: bool
    reason: str


class Commands(Protocol):
    """Sends commands to the shards."""

    def new(self, tenant: str, pool: str, command_id: str) -> pb.RoutingCommand:
        """Return an empty command with its envelope; its result comes to this gateway."""

    async def ask(self, command: pb.RoutingCommand, timeout_s: float) -> Outcome:
        """Publish a command and wait for its result.

        Raises ChaparError UNAVAILABLE (broker) or DEADLINE (no result in time). After DEADLINE the command may have been carried out; repeating
        it with the same id is safe.
        """

    async def tell(self, command: pb.RoutingCommand) -> None:
        """Publish a command without waiting for a result. Raises ChaparError UNAVAILABLE."""


class Replies(Protocol):
    """Sends replies to customers."""

    async def send(
        self,
        reply_id: str,
        tenant: str,
        agent_id: str,
        attributes: pb.InteractionAttributes,
        reply: api.Reply,
        pool: str = "",
    ) -> None:
        """Pass a reply on for sending, durably; the same id again is the same reply. `pool`: whose shard learns what becomes
        of it. Its files are as the agent's desk has them; ingest checks them. Raises ChaparError UNAVAILABLE."""
