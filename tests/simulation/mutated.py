"""Puts a mutation into a processor: each changes one important line of the product, for the time of a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from services.chassis.kafka.contract import LaneContext, Outbox, Processor, ProcessorFactory
from services.chassis.kafka.records import Record
from services.chassis.kafka.relayed import RelayedPlaces
from services.ingest.lanes.intake import IntakeProcessor
from services.router.domain.pool.capacity import Capacity
from tests.simulation.mutations import Mutation
from tests.simulation.world import World


@contextmanager
def in_the_product(mutation: Mutation | None) -> Iterator[None]:
    """Change one line of the product for the time of the block. Mutations of the lane itself are in `lane`."""
    if mutation is Mutation.NO_DEDUPLICATION:
        with patch.object(IntakeProcessor, "_repeated", lambda *_: False):
            yield
    elif mutation is Mutation.NO_ORIGINS:
        with patch.object(RelayedPlaces, "repeated", lambda *_: False):
            yield
    elif mutation is Mutation.CAPACITY_OFF_BY_ONE:
        with patch.object(Capacity, "total", property(lambda self: self.profile.total + 1)):
            yield
    else:
        yield


def mutated(world: World, _lane: str, factory: ProcessorFactory) -> ProcessorFactory:
    """Return the factory, of processors that lose their timers if the run has this mutation."""
    if not world.mutated(Mutation.LOST_TIMER):
        return factory
    return lambda context: _WithoutTimers(context, factory)


class _WithoutTimers:
    """A processor that is not woken after a takeover before its first record."""

    def __init__(self, context: LaneContext, factory: Callable[[LaneContext], Processor]) -> None:
        self._inner = factory(context)
        self._taken_over = context.epoch > 1

    def restore(self, key: bytes, value: bytes) -> None:
        """See Processor."""
        self._inner.restore(key, value)

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """See Processor."""
        self._inner.start(now_ms, outbox)

    def begin(self, now_ms: int) -> None:
        """See Processor."""
        self._inner.begin(now_ms)

    def handle(self, record: Record, outbox: Outbox) -> None:
        """See Processor."""
        self._taken_over = False
        self._inner.handle(record, outbox)

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """See Processor."""
        self._inner.advance(now_ms, outbox)

    def end(self, outbox: Outbox) -> None:
        """See Processor."""
        self._inner.end(outbox)

    def next_wakeup(self) -> int | None:
        """See Processor."""
        return None if self._taken_over else self._inner.next_wakeup()
