"""I11: no record carries anything of another tenant."""

from collections.abc import Iterator

from services.chassis.kafka.headers import TENANT
from tests.simulation.configuration import TENANTS
from tests.simulation.world import World


def tenants(world: World) -> Iterator[str]:
    """Yield the violations."""
    names = {name.encode() for name in TENANTS}
    for record in world.log.records:
        owner = dict(record.headers).get(TENANT)
        if owner is None:
            continue
        for other in names - {owner}:
            if other in (record.value or b"") or (record.key or b"").startswith(other + b"/"):
                place = f"{record.topic}/{record.partition}/{record.offset}"
                yield f"I11 {place} of {owner.decode()} names {other.decode()}"
