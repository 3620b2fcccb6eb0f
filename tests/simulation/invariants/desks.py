"""I2 at the desks: when nothing is under way, each desk shows exactly what the router says its agent holds."""

from collections.abc import Iterator, Sequence

from tests.simulation.desk import Desk
from tests.simulation.invariants.routing import Routing


def desks_agree(desks: Sequence[Desk], routing: Routing) -> Iterator[str]:
    """Yield the violations. To be called at an instant at which no actor has anything to do."""
    for desk in desks:
        if not desk.up_to_date:
            continue
        shown, held = set(desk.belief.work), routing.held_by(desk.tenant, desk.agent_id)
        if shown != held:
            yield f"I2 desk {desk.tenant}/{desk.agent_id} shows {sorted(shown)}, and the agent holds {sorted(held)}"
