"""A whole pool through the shard's own processor and outbox: into changelog entries and back.

The changelog has no snapshot of its own: it is written entity by entity as they change. So every entity is marked as
changed and one batch writes them. Restoring works as in a new owner: every entry, then `start`, which rebuilds derived
state and gives all leases new time.
"""

import gc
import time
from dataclasses import dataclass
from typing import Any, Final

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.lane import LaneContext, Record
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.metrics import Metrics
from services.router.domain.engine import Engine
from services.router.lanes.shard import COMMANDS, ShardProcessor
from services.router.lanes.shard_metrics import ShardMetrics
from services.router.metrics import METRICS
from services.router.translate import codec

_WHERE: Final = ("acme", "default")
_LIMIT: Final = 900_000
_FEED_PARTITIONS: Final = 64


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """CPU seconds, entries and bytes of the changelog."""

    dump_s: float
    restore_s: float
    entries: int
    size: int


def _processor() -> ShardProcessor:
    return ShardProcessor(LaneContext(0, 1), _FEED_PARTITIONS, ShardMetrics(Metrics(METRICS)))


def _outbox() -> BatchOutbox:
    return BatchOutbox(1, _LIMIT)


def round_trip(engine: Engine, remembered: dict[str, Any], now: int) -> RoundTrip:
    """Write and restore. `remembered`: the chunks of remembered commands, which the engine returns once, in the
    batch in which they were decided."""
    processor = _processor()
    processor.start(now, _outbox())
    processor.begin(now)
    _found(processor, now, _outbox())
    processor.engines[_WHERE] = engine
    _mark_all(engine)
    outbox = _outbox()
    began = time.process_time()
    processor.begin(now)
    _touch(processor, now, outbox)
    processor.end(outbox)
    for number, chunk in remembered.items():
        outbox.put(codec.entity_key(*_WHERE, "d", number), codec.encode(chunk))
    changelog = outbox.changes()
    dump_s = time.process_time() - began
    heir = _processor()
    gc.collect()
    gc.freeze()  # a process that restores a pool does not hold one already
    gc.disable()  # as a lane does while it restores
    began = time.process_time()
    for key, value in changelog.items():
        assert value is not None
        heir.restore(key, value)
    outbox = _outbox()
    heir.start(now, outbox)
    outbox.changes()
    restore_s = time.process_time() - began
    gc.enable()
    _same(heir.engines[_WHERE], engine)
    size = sum(len(key) + len(value or b"") for key, value in changelog.items())
    return RoundTrip(dump_s, restore_s, len(changelog), size)


def _found(processor: ShardProcessor, now: int, outbox: BatchOutbox) -> None:
    """Make the pool known: only a configuration does that."""
    configuration = config_pb2.TenantConfiguration(tenant=_WHERE[0], version=1)
    configuration.pools.add(name=_WHERE[1])
    command = pb.RoutingCommand(
        tenant=_WHERE[0],
        pool=_WHERE[1],
        activate_configuration=pb.ActivateConfiguration(configuration=configuration),
    )
    processor.handle(Record(COMMANDS, 0, 0, now, b"acme/default", command.SerializeToString(), ()), outbox)


def _touch(processor: ShardProcessor, now: int, outbox: BatchOutbox) -> None:
    """Handle a command that changes nothing."""
    command = pb.RoutingCommand(tenant=_WHERE[0], pool=_WHERE[1], upsert_agent=pb.UpsertAgent())
    processor.handle(Record(COMMANDS, 0, 0, now, b"acme/default", command.SerializeToString(), ()), outbox)


def _mark_all(engine: Engine) -> None:
    core = engine.core
    kinds: dict[str, dict[str, Any]] = {
        "c": {"": None},
        "a": core.agents,
        "s": core.sessions,
        "i": core.interactions,
        "p": core.last_agent,
        "q": core.histories,
        "l": {str(until): None for until in core.leases},
    }
    core.dirty.update({(kind, name): None for kind, names in kinds.items() for name in names})


def _same(restored: Engine, original: Engine) -> None:
    """Check that nothing was lost; otherwise the bench would measure nothing."""
    for name in ("agents", "sessions", "interactions", "last_agent"):
        before, after = (getattr(engine.core, name) for engine in (original, restored))
        if before.keys() != after.keys():
            raise AssertionError(f"{len(after)} of {len(before)} {name} were restored")
