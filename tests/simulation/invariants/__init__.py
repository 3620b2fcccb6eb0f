"""What must hold during a run and at its end. The numbers are those of docs/fault-simulation.md.

Every invariant is read from the log and from what the outside knows; none asks a processor.
"""

from collections.abc import Sequence

from tests.simulation.desk import Desk
from tests.simulation.invariants.conversations import conversations
from tests.simulation.invariants.deliveries import deliveries
from tests.simulation.invariants.folds import folds
from tests.simulation.invariants.lanes import lanes
from tests.simulation.invariants.routing import Routing
from tests.simulation.invariants.sla import sla
from tests.simulation.invariants.surveys import surveys
from tests.simulation.invariants.tenants import tenants
from tests.simulation.ledger import Ledger
from tests.simulation.services import Services
from tests.simulation.world import World


def violations(world: World, services: Services, ledger: Ledger, desks: Sequence[Desk], routing: Routing) -> list[str]:
    """Return what is wrong at the end; empty if nothing is. `routing`: as it was followed during the run."""
    routing.follow()
    return [
        *world.violations,
        *lanes(world, services),
        *routing.at_the_end(),
        *conversations(world, ledger, routing),
        *deliveries(world, ledger),
        *sla(world, routing),
        *surveys(world, routing),
        *tenants(world),
        *folds(world, services),
        *(f"I10 {desk.tenant}/{desk.agent_id} has not signed out" for desk in desks if not desk.signed_out),
    ]
