"""One run: the seed draws the faults, the scheduler chooses whose turn it is, and at the end the invariants are checked."""

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Final

from chapar.router.v1 import records_pb2 as pb
from services.chassis.ids import derive
from services.chassis.kafka.deadletters import DEAD_LETTERS
from tests.simulation.configuration import AGENTS, POOL, SURVEY_DELAY_MS, SURVEY_LIFE_MS, TENANTS
from tests.simulation.customers import CONVERSATIONS, Customers
from tests.simulation.desk import Desk
from tests.simulation.edges import Edges
from tests.simulation.faults import Faults
from tests.simulation.gateway import FEED, Gateway
from tests.simulation.invariants import violations
from tests.simulation.invariants.desks import desks_agree
from tests.simulation.invariants.routing import Routing
from tests.simulation.keys import seeded_nonces
from tests.simulation.ledger import Ledger
from tests.simulation.log import PARTITIONS, SimulatedLog
from tests.simulation.machinery import Machinery
from tests.simulation.monkey import Monkey
from tests.simulation.mutated import in_the_product
from tests.simulation.mutations import Mutation
from tests.simulation.operators import Operators
from tests.simulation.reader import SimulatedReader
from tests.simulation.services import Services
from tests.simulation.supervisor import EVENTS, Supervisor
from tests.simulation.surveys import dispatch
from tests.simulation.world import BEGIN_MS, World

CALM_MS: Final = 40_000
"""When the last fault happens, after the beginning."""
CLOSING_MS: Final = 130_000
"""When agents sign out once they have nothing left."""
END_MS: Final = CLOSING_MS + SURVEY_DELAY_MS + SURVEY_LIFE_MS + 10_000
"""When everything must be done: the survey about the last interaction has expired."""
_SLOW_MS: Final = 4_000
_LAST_TURNS: Final = 10_000
RESPONSES: Final = "feedback.responses.v1"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a run."""

    seed: int
    violations: tuple[str, ...]
    reached: Counter[str]
    log: SimulatedLog
    faults: Faults

    @property
    def digest(self) -> str:
        """The hash of every record that was written."""
        return self.log.digest()


def run(seed: int, machinery: Machinery, mutation: Mutation | None = None, *, lines: list[str] | None = None) -> Report:
    """Run one seed. `lines` receives the event log, for a person to read; it changes nothing else."""
    with seeded_nonces(seed), in_the_product(mutation):
        return _Run(seed, machinery, mutation, lines).finish()


class _Run:
    def __init__(self, seed: int, machinery: Machinery, mutation: Mutation | None, lines: list[str] | None) -> None:
        chance = Random(seed)
        faults = Faults.drawn(chance, BEGIN_MS + CALM_MS)
        world = World(seed, chance, faults, machinery.partitioner, mutation, lines=lines)
        self.world, self.ledger, self.routing = world, Ledger(), Routing(world)
        edges = Edges(world)
        self.services = Services(world, machinery, edges, self.ledger)
        routers = self.services.processes["router"]
        gateways = [Gateway(world, process, number, edges) for number, process in enumerate(routers)]
        self.desks = [
            Desk(world, tenant, agent, gateways, edges, self.ledger) for tenant in TENANTS for agent in AGENTS
        ]
        handle = dispatch(world, edges, machinery.programmes)
        customers = Customers(world, edges, self.ledger, BEGIN_MS + CALM_MS * 3 // 4)
        monkey = Monkey(world, self.services.all_processes, self.services.lanes)
        add = world.scheduler.add
        for lane in self.services.lanes:
            add(lane, [(lane.spec.input, lane.partition)])
        for relay in self.services.relays:
            add(relay, [relay.place])
        for number in range(PARTITIONS):
            feedback = self.services.processes["feedback"]
            add(SimulatedReader(world, "dispatcher", RESPONSES, number, feedback, handle), [(RESPONSES, number)])
        for number, gateway in enumerate(gateways):
            add(gateway, [(FEED, number)])
        add(customers, [(CONVERSATIONS, number) for number in range(PARTITIONS)])
        add(Operators(world, edges), [(DEAD_LETTERS, number) for number in range(PARTITIONS)])
        add(Supervisor(world, edges), [(EVENTS, number) for number in range(PARTITIONS)])
        for attempts in self.services.attempts.values():
            add(attempts)
        for desk in self.desks:
            add(desk)
        add(edges)
        add(monkey)
        for tenant, configuration in machinery.configurations.items():
            command = pb.RoutingCommand(command_id=derive("activate", tenant), tenant=tenant, pool=POOL)
            command.activate_configuration.configuration.CopyFrom(configuration)
            edges.command(command)

    def finish(self) -> Report:
        """Run to the end and check everything."""
        world = self.world
        world.note("seed", f"{world.seed}: {world.faults}")
        try:
            self._go()
            found = violations(world, self.services, self.ledger, self.desks, self.routing)
        except Exception as error:
            error.add_note(f"seed {world.seed}, at {world.now_ms - BEGIN_MS} ms")
            raise
        return Report(
            world.seed,
            tuple(found),
            world.reached,
            world.log,
            world.faults,
        )

    def _go(self) -> None:
        world, scheduler = self.world, self.world.scheduler
        until, closing = BEGIN_MS + END_MS, BEGIN_MS + CLOSING_MS
        while world.now_ms < until:
            if closing <= world.now_ms:
                closing = until
                for desk in self.desks:
                    desk.closing = True
                scheduler.wake_all()
            if scheduler.turn(world.now_ms):
                self._pass_time()
            else:
                self._look()
                world.now_ms = max(world.now_ms + 1, min(closing, until, scheduler.next_alarm() or until))
        world.now_ms = until
        for _ in range(_LAST_TURNS):  # without time: work begun in the last milliseconds ends
            if not scheduler.turn(until):
                break

    def _look(self) -> None:
        """Check what must hold whenever nothing is under way."""
        world = self.world
        self.routing.follow()
        if world.violations:
            return  # what follows from the first one says little
        for violation in desks_agree(self.desks, self.routing):
            world.violations.append(violation)
            world.note("invariant", violation)

    def _pass_time(self) -> None:
        world = self.world
        share = world.chance.random()
        if share > 0.95:
            world.now_ms += 10 + int(world.chance.random() * 190)
        elif share > 0.5:
            world.now_ms += 1 + int(world.chance.random() * 10)
        if world.goes_wrong(world.faults.slow):
            world.now_ms += world.chance.randint(100, _SLOW_MS)
