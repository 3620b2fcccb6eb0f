"""Supervisors: now and then they cancel, move, prefer or assign an open interaction, or apply a new configuration."""

from typing import Final

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis.ids import derive
from tests.simulation.configuration import AGENTS, POOL, a_tenant
from tests.simulation.edges import Edges
from tests.simulation.log import PARTITIONS
from tests.simulation.world import World

EVENTS: Final = "routing.events.v1"
_ENDS: Final = frozenset({"completed", "abandoned", "cancelled"})
_QUEUES: Final = ("general", "sales")
_EVERY_MS: Final = 8_000
_CALLBACK_MS: Final = 5_000


class Supervisor:
    """An actor: the supervisors of all tenants. They know what the events say."""

    def __init__(self, world: World, edges: Edges) -> None:
        self._world = world
        self._edges = edges
        self._read = [0] * PARTITIONS
        self._open: dict[str, str] = {}
        self._versions = 1
        self._turn_ms = world.within(0, _EVERY_MS)

    def step(self) -> bool:
        """Read one event, or give one order."""
        for number in range(PARTITIONS):
            place = self._world.log.partition(EVENTS, number)
            if self._read[number] < len(place):
                self._look(pb.RoutingEvent.FromString(place[self._read[number]].value or b""))
                self._read[number] += 1
                return True
        if self._world.now_ms < self._turn_ms or self._world.now_ms >= self._world.faults.until_ms:
            return False
        self._turn_ms = self._world.within(0, _EVERY_MS)
        if self._open:
            self._order(self._world.chance.choice(sorted(self._open)))
        return True

    def wakeup(self) -> int | None:
        """Return when the next order is due."""
        return self._turn_ms if self._world.now_ms < self._world.faults.until_ms else None

    def _look(self, event: pb.RoutingEvent) -> None:
        if event.WhichOneof("event") in _ENDS:
            self._open.pop(event.interaction.interaction_id, None)
        elif event.WhichOneof("event") == "queued":
            self._open[event.interaction.interaction_id] = event.tenant

    def _order(self, interaction_id: str) -> None:
        chance, tenant = self._world.chance, self._open[interaction_id]
        self._versions += 1
        command = pb.RoutingCommand(
            command_id=derive("order", str(self._versions)),
            tenant=tenant,
            pool=POOL,
            issued_at_ms=self._world.now_ms,
            actor_kind=types_pb2.ACTOR_KIND_SUPERVISOR,
            actor_id="boss",
        )
        match chance.choice(("cancel", "reroute", "prefer", "callback", "assign", "configuration")):
            case "cancel":
                command.cancel_interaction.CopyFrom(pb.CancelInteraction(interaction_id=interaction_id))
            case "reroute":
                command.reroute.CopyFrom(pb.Reroute(interaction_id=interaction_id, queue=chance.choice(_QUEUES)))
            case "prefer":
                command.reprioritise.CopyFrom(pb.Reprioritise(interaction_id=interaction_id, add=5))
            case "callback":
                at_ms = self._world.within(0, _CALLBACK_MS)
                command.request_callback.CopyFrom(pb.RequestCallback(interaction_id=interaction_id, at_ms=at_ms))
            case "assign":
                agent = chance.choice(AGENTS)
                command.assign_interaction.CopyFrom(pb.AssignInteraction(interaction_id=interaction_id, agent_id=agent))
            case "configuration":
                command.activate_configuration.configuration.CopyFrom(self._changed(tenant))
        self._world.reached[f"a supervisor gave the order {command.WhichOneof('command')}"] += 1
        if self._world.lines is not None:
            self._world.note("supervisor", f"{command.WhichOneof('command')} {interaction_id}")
        self._edges.command(command)

    def _changed(self, tenant: str) -> config_pb2.TenantConfiguration:
        """Return the tenant's configuration with other times of offers and wrap-ups."""
        changed = a_tenant(tenant)
        changed.version = self._versions
        for queue in changed.queues:
            queue.offer_timeout_ms = self._world.chance.choice((4_000, 8_000, 12_000))
            queue.wrap_up_ms = self._world.chance.choice((0, 1_500, 3_000))
        return changed
