"""I9: the fold from zero equals what was decided live, through all crashes and takeovers.

- Intake, sla and feedback: one owner who handles the same batches at the same clocks, and never loses its memory, writes the
  same events. Ids name events, so the same ids mean the same events.
- Router: the product's own replay runs the journal again, takeovers included, and compares the hash of all effects.

A fold costs as much as the run, so only some seeds have it (`World.folded`).
"""

from collections.abc import Iterator
from typing import Final

from chapar.router.v1 import records_pb2 as router
from services.chassis.kafka.batch import BatchRunner
from services.chassis.kafka.contract import NO_METRICS, LaneContext, LaneTuning
from services.chassis.kafka.headers import EVENT_ID
from services.chassis.kafka.records import Headers, InvalidRecord, Record
from services.router.lanes import shard
from services.router.replay.fold import Fold
from services.router.replay.state import ShardState
from tests.fakes.lane import finish
from tests.simulation.lane import SimulatedLane
from tests.simulation.log import PARTITIONS
from tests.simulation.services import Services
from tests.simulation.world import World

_FOLDED: Final = {
    "ingest-intake": ("conversations.v1", "outbound.v1", "routing.commands.v1", "feedback.commands.v1"),
    "sla": ("sla.events.v1",),
    "feedback": ("feedback.responses.v1",),
}
"""The outputs that are compared. Only these lanes decide the same with and without a takeover."""


def folds(world: World, services: Services) -> Iterator[str]:
    """Yield the violations."""
    if not world.folded:
        return
    for lane in services.lanes:
        if lane.spec.name in _FOLDED:
            yield from _from_zero(services, lane)
        elif lane.spec.name == shard.SPEC.name:
            yield from _replay(world, lane)


def _from_zero(services: Services, lane: SimulatedLane) -> Iterator[str]:
    processor = services.factories[lane.spec.name](LaneContext(lane.partition, 1))
    runner = BatchRunner(lane.spec, lane.partition, LaneTuning(), NO_METRICS, _refused)
    steps = [step for batch in lane.batches for step in batch.steps]
    topics = _FOLDED[lane.spec.name]
    folded: set[str] = set()
    runner.start(processor, lane.batches[0].now_ms, 1)
    for step in steps:
        records = lane.input[step.first_offset : step.next_offset]
        taken = finish(runner.run(processor, records, step.now_ms, 1, step.followed))
        folded |= {f"{send.topic} {_id(send.headers)}" for send in taken.outbox.sends if send.topic in topics}
    live = {name for name in lane.written_ids if name.partition(" ")[0] in topics}
    for name in sorted(live - folded):
        yield f"I9 {lane.name} wrote {name}, and the fold from zero does not"
    for name in sorted(folded - live):
        yield f"I9 {lane.name} never wrote {name}, and the fold from zero does"


def _replay(world: World, lane: SimulatedLane) -> Iterator[str]:
    fold = Fold(ShardState(lane.partition), PARTITIONS, ())
    for record in world.log.partition(shard.JOURNAL, lane.partition):
        journal = router.JournalRecord.FromString(record.value or b"")
        commands = lane.input[journal.first_offset : journal.next_offset]
        rerun = finish(fold.step(journal, commands))
        if not rerun.agrees(journal):
            yield f"I9 {lane.name}: the replay differs at journal offset {record.offset}: {rerun.failure or 'other effects'}"
            return


def _id(headers: Headers) -> str:
    return dict(headers)[EVENT_ID].decode()


def _refused(_record: Record, _verdict: InvalidRecord, _lane: str, _now_ms: int) -> bytes:
    return b""
