"""The channel's provider, and the attempts of one ingest process: each leaves, gets its outcome, and reports it to the log."""

from dataclasses import dataclass
from typing import Final

from services.chassis.kafka.outbox import Send
from services.chassis.keys import tenant_key
from services.chassis.privacy.sealing import seal
from services.ingest.domain.attempts import AttemptJob
from services.ingest.domain.deliveries import NOT_ATTEMPTED, Finished, Outcome
from services.ingest.domain.messages import Route
from services.ingest.translate import headers
from services.ingest.translate.sender import finished_record
from tests.simulation.edges import Edges
from tests.simulation.ledger import Ledger
from tests.simulation.process import Process
from tests.simulation.world import World, earliest

_FAILURES: Final = (
    ("asks for a later attempt", Outcome.RETRY, False),
    ("refuses", Outcome.REJECTED, False),
    ("answers nothing and has nothing", Outcome.UNKNOWN, False),
    ("accepts, and the answer is lost", Outcome.UNKNOWN, True),
    ("halts the account", Outcome.HALTED, False),
    ("was never asked", Outcome.RETRY, False),
)


@dataclass(slots=True)
class _Flight:
    """An attempt on its way. `outcome` None: it has not left yet."""

    job: AttemptJob
    at_ms: int
    outcome: Finished | None = None


class SimulatedAttempts:
    """An actor, and the `Attempts` of one process."""

    def __init__(self, world: World, process: Process, edges: Edges, ledger: Ledger) -> None:
        self._world = world
        self._process = process
        self._edges = edges
        self._ledger = ledger
        self._run = process.run
        self._flights: list[_Flight] = []
        self._known: set[tuple[str, int]] = set()

    # -- Attempts

    @property
    def owner(self) -> str:
        """See `Attempts`."""
        return self._process.owner

    def turn(self, _tenant: str, _route: Route) -> int:
        """See `Attempts`."""
        return self._process.clock()

    def submit(self, job: AttemptJob) -> None:
        """See `Attempts`."""
        self._look()
        at = (job.delivery.delivery_id, job.delivery.number)
        if at in self._known:
            self._world.violations.append(f"attempt {at} was submitted twice to one process")
        self._known.add(at)
        self._flights.append(_Flight(job, self._world.within(0, 1_500)))
        self._world.scheduler.wake(self)

    def knows(self, delivery_id: str, number: int) -> bool:
        """See `Attempts`."""
        self._look()
        return (delivery_id, number) in self._known

    def published(self, delivery_id: str, number: int) -> bool:
        """See `Attempts`."""
        under_way = {(each.job.delivery.delivery_id, each.job.delivery.number) for each in self._flights}
        return self.knows(delivery_id, number) and (delivery_id, number) not in under_way

    def forget(self, delivery_id: str, number: int) -> None:
        """See `Attempts`."""
        self._known.discard((delivery_id, number))

    # -- Actor

    def step(self) -> bool:
        """Let one attempt leave, or report one outcome."""
        self._look()
        if not self._process.running:
            return False
        due = [each for each in self._flights if each.at_ms <= self._world.now_ms]
        if not due:
            return False
        flight = self._world.chance.choice(due)
        if flight.outcome is None:
            self._leave(flight)
        else:
            self._flights.remove(flight)
            self._report(flight.job, flight.outcome)
        return True

    def wakeup(self) -> int | None:
        """Return when the next attempt leaves or ends."""
        self._look()
        at_ms = earliest([each.at_ms for each in self._flights])
        return None if at_ms is None else max(at_ms, self._process.running_from_ms)

    def _look(self) -> None:
        if self._run != self._process.run:
            self._world.reached["a process died with an attempt under way"] += bool(self._flights)
            self._run = self._process.run
            self._flights.clear()
            self._known.clear()

    def _leave(self, flight: _Flight) -> None:
        world, delivery = self._world, flight.job.delivery
        what, outcome, accepted = "accepts", Outcome.ACCEPTED, True
        if world.goes_wrong(world.faults.provider_fails):
            what, outcome, accepted = world.chance.choice(_FAILURES)
            world.reached[f"the provider {what}"] += 1
        if accepted:
            self._ledger.provider[flight.job.tenant, delivery.delivery_id] += 1
        if world.lines is not None:
            world.note("provider", f"{what}: {delivery.delivery_id} attempt {delivery.number} of {self.owner}")
        flight.outcome = Finished(
            delivery_id=delivery.delivery_id,
            attempt=delivery.number,
            outcome=outcome,
            reason=NOT_ATTEMPTED if what == "was never asked" else outcome.name,
            native_ids=(f"n-{delivery.delivery_id}",) if outcome is Outcome.ACCEPTED else (),
        )
        flight.at_ms = world.within(0, 3_000)

    def _report(self, job: AttemptJob, outcome: Finished) -> None:
        record = finished_record(job.tenant, job.conversation_id, outcome, self._process.clock())
        key = tenant_key(job.tenant, job.conversation_id)
        named = headers.of_outbound(record)
        own = self._world.keys.made(job.tenant, job.route.identity.identity_id)
        self._edges.write(Send(headers.OUTBOUND, None, key, seal(record, own, headers.OUTBOUND, key), named))
