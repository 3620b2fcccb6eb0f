"""I8 to I10 of the lanes: each input offset was handled by one committed batch, none is left, and only poison was refused."""

from collections import Counter
from collections.abc import Iterator

from services.chassis.kafka.deadletters import DEAD_LETTERS
from tests.simulation.lane import SimulatedLane
from tests.simulation.services import Services
from tests.simulation.world import World


def lanes(world: World, services: Services) -> Iterator[str]:
    """Yield the violations."""
    yield from _dead_letters(world, services)
    for lane in services.lanes:
        yield from _batches(lane)
        owner = lane.owner
        if owner is None or owner.position.offset != len(lane.input) or owner.handled:
            yield f"I10 {lane.name} has not handled all of its {len(lane.input)} records"
    for relay in services.relays:
        if relay.offset != len(relay.input):
            yield f"I10 {relay.name} has relayed {relay.offset} of {len(relay.input)} records"


def _dead_letters(world: World, services: Services) -> Iterator[str]:
    """Each record that cannot be read is one dead letter, and no other input is."""
    inputs = {f"{lane.spec.input}/{lane.partition}".encode() for lane in services.lanes}
    letters = Counter(
        (record.value or b"").decode().partition(" ")[0]
        for record in world.log.of(DEAD_LETTERS)
        if record.key in inputs
    )
    for place in sorted(world.poison | letters.keys()):
        if letters[place] != (place in world.poison):
            yield f"I1 {place} became {letters[place]} dead letters"


def _batches(lane: SimulatedLane) -> Iterator[str]:
    offset = epoch = now_ms = 0
    for batch in lane.batches:
        if batch.first_offset != offset:
            yield f"I8 {lane.name}: a batch begins at {batch.first_offset}, and the last one ended at {offset}"
        if batch.epoch < epoch:
            yield f"I2 {lane.name}: epoch {batch.epoch} committed after {epoch}"
        if batch.now_ms < now_ms:
            yield f"I9 {lane.name}: the clock went back from {now_ms} to {batch.now_ms}"
        offset, epoch, now_ms = batch.next_offset, batch.epoch, batch.now_ms
