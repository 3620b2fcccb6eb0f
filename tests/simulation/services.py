"""The lanes and relays of the four services, each with the processes that can own it."""

from collections.abc import Callable
from typing import Final

from services.chassis.kafka.contract import LaneContext, LaneSpec, Processor, ProcessorFactory
from services.chassis.kafka.relay import Convert, RelaySpec
from services.feedback.lanes import relay as feedback_relay
from services.feedback.lanes import survey
from services.ingest.domain.decisions import IntakeLimits
from services.ingest.domain.deliveries import SenderLimits
from services.ingest.lanes import intake, sender
from services.ingest.lanes import relay as ingest_relay
from services.router.lanes import shard
from services.sla.lanes import deadlines
from tests.simulation.edges import Edges
from tests.simulation.lane import SimulatedLane
from tests.simulation.ledger import Ledger
from tests.simulation.log import PARTITIONS
from tests.simulation.machinery import Machinery
from tests.simulation.mutated import mutated
from tests.simulation.process import Process
from tests.simulation.provider import SimulatedAttempts
from tests.simulation.relay import SimulatedRelay
from tests.simulation.world import World

SERVICES: Final = ("ingest", "router", "sla", "feedback")
REPLICAS: Final = 2
PAUSES_MS: Final = {
    intake.SPEC.name: 0,
    shard.SPEC.name: 0,
    sender.SPEC.name: 50,
    deadlines.SPEC.name: 100,
    survey.SPEC.name: 200,
}
"""Between two fetches of each lane, as in production. A run has them or not."""
_FORGET_MS: Final = 10_000
_SETTLE_MS: Final = 50

Build = Callable[[Process], ProcessorFactory]


class Services:
    """Everything that decides."""

    def __init__(self, world: World, machinery: Machinery, edges: Edges, ledger: Ledger) -> None:
        self.processes = {
            service: [Process(world, service, number) for number in range(REPLICAS)] for service in SERVICES
        }
        self.attempts = {
            process: SimulatedAttempts(world, process, edges, ledger) for process in self.processes["ingest"]
        }
        self.lanes: list[SimulatedLane] = []
        self.relays: list[SimulatedRelay] = []
        self.factories: dict[str, ProcessorFactory] = {}
        """A factory for each lane, for folds: of the first process."""
        self._world = world
        m, keys = machinery, world.keys

        def router(_process: Process) -> ProcessorFactory:
            def make(context: LaneContext) -> Processor:
                return shard.ShardProcessor(context, PARTITIONS, m.shard)

            return make

        self._lane("ingest", intake.SPEC, lambda _: intake.intake_factory(m.intake_policies, m.ingest, keys, _INTAKE))
        self._lane(
            "ingest",
            sender.SPEC,
            lambda process: sender.sender_factory(self.attempts[process], m.ingest, keys, _SENDER, m.intake_policies),
        )
        self._lane("router", shard.SPEC, router)
        self._lane(
            "sla",
            deadlines.SPEC,
            lambda _: deadlines.factory(
                m.calendars,
                lambda: m.sla_policies,
                lambda _occurrences: None,
                forget_after_ms=_FORGET_MS,
                settle_ms=_SETTLE_MS,
            ),
        )
        self._lane("feedback", survey.SPEC, lambda _: survey.survey_factory(m.programmes, m.feedback, keys))
        self._relay("ingest", ingest_relay.SPEC, ingest_relay.notice_of)
        self._relay("feedback", feedback_relay.SPEC, feedback_relay.command_of)

    @property
    def all_processes(self) -> list[Process]:
        """Every process."""
        return [process for each in self.processes.values() for process in each]

    def _lane(self, service: str, spec: LaneSpec, build: Build) -> None:
        for partition in range(PARTITIONS):
            self.factories[spec.name] = build(self.processes[service][0])
            factories = [(each, mutated(self._world, spec.name, build(each))) for each in self.processes[service]]
            pause_ms = self._world.chance.choice((0, PAUSES_MS[spec.name]))
            self.lanes.append(SimulatedLane(self._world, spec, partition, factories, pause_ms))

    def _relay(self, service: str, spec: RelaySpec, convert: Convert) -> None:
        for partition in range(PARTITIONS):
            self.relays.append(SimulatedRelay(self._world, spec, convert, partition, self.processes[service]))


_INTAKE: Final = IntakeLimits()
_SENDER: Final = SenderLimits(first_halt_ms=2_000, last_halt_ms=8_000, orphan_grace_ms=1_500, late_outcome_ms=40_000)
