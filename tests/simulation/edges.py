"""Writes to the log from outside of a lane, as the edges and gateways do: at least once."""

from typing import Final

from chapar.ingest.v1 import records_pb2 as ingest
from chapar.router.v1 import records_pb2 as router
from services.chassis.ids import derive
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.outbox import Send
from services.chassis.keys import tenant_key
from services.chassis.privacy.sealing import seal
from services.ingest.translate import headers
from tests.simulation.world import World, earliest

COMMANDS: Final = "routing.commands.v1"
_LATE_MS: Final = 4_000


class Edges:
    """An actor: writes records at once, and some of them again later."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._again: list[tuple[int, Send]] = []

    def step(self) -> bool:
        """Write one record again."""
        due = next((each for each in self._again if each[0] <= self._world.now_ms), None)
        if due is None:
            return False
        self._again.remove(due)
        self._world.reached["an edge wrote a record again"] += 1
        self._world.write(due[1])
        return True

    def wakeup(self) -> int | None:
        """Return when the next repetition is due."""
        return earliest([at for at, _ in self._again])

    def write(self, send: Send) -> None:
        """Write a record, once or more often."""
        world = self._world
        world.write(send)
        while world.goes_wrong(world.faults.edge_repeats):
            self._again.append((world.within(0, _LATE_MS), send))
            world.scheduler.wake(self)

    def inbound(self, record: ingest.InboundRecord, identity_id: str) -> None:
        """Write a record of an identity to inbound.v1, sealed with its key."""
        key = tenant_key(record.tenant, identity_id)
        named = headers.of_inbound(record)
        own = self._world.keys.made(record.tenant, identity_id)
        self.write(Send(headers.INBOUND, None, key, seal(record, own, headers.INBOUND, key), named))

    def command(self, command: router.RoutingCommand) -> None:
        """Write a command for a pool."""
        key = tenant_key(command.tenant, command.pool)
        event_id = command.command_id or derive("command", str(len(self._world.log.records)))
        named = record_headers(COMMANDS, event_id, command.tenant)
        self.write(Send(COMMANDS, None, key, command.SerializeToString(), named))

    def reply(self, reply_id: str, tenant: str, agent_id: str, about: router.InteractionAttributes, text: str) -> None:
        """Write an agent's reply to outbound.v1, sealed with the customer's key."""
        record = ingest.OutboundRecord(
            tenant=tenant,
            conversation_id=about.conversation_id,
            request=ingest.OutboundRequest(
                request_id=reply_id,
                tenant=tenant,
                conversation_id=about.conversation_id,
                interaction_id=about.interaction_id,
                text=text,
                purpose=ingest.OUTBOUND_PURPOSE_REPLY,
                author_id=agent_id,
                requested_at_ms=self._world.now_ms,
            ),
        )
        key = tenant_key(tenant, about.conversation_id)
        named = headers.of_outbound(record)
        own = self._world.keys.made(tenant, about.identity_id)
        self.write(Send(headers.OUTBOUND, None, key, seal(record, own, headers.OUTBOUND, key), named))
