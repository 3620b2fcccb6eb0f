"""Creates the intake lane: the runner of its processor."""

from collections.abc import Callable, Mapping
from typing import Final

from services.chassis.kafka.clients import KafkaAccess
from services.chassis.kafka.heap import Heap
from services.chassis.kafka.lane import LaneMetrics, LaneRunner, LaneTuning
from services.chassis.kafka.writer import Writer
from services.chassis.metrics import Metrics
from services.chassis.pacing import NO_LIMIT, Rate
from services.chassis.privacy.lanes import AwaitedKeys
from services.ingest.domain.decisions import IntakeLimits
from services.ingest.lanes.inbound_records import prepare
from services.ingest.lanes.intake import DEFAULT_LIMITS, SPEC, intake_factory
from services.ingest.lanes.intake_counters import IntakeCounters
from services.policy.model.intake import Policies

TUNING: Final = LaneTuning()


def intake_lane(
    kafka: KafkaAccess,
    policies: Policies,
    metrics: Metrics,
    keys: AwaitedKeys,
    *,
    writer: Writer,
    clock: Callable[[], int],
    client_id: str,
    lane_metrics: LaneMetrics,
    limits: IntakeLimits = DEFAULT_LIMITS,
    pace: Rate = NO_LIMIT,
    tuning: LaneTuning = TUNING,
    heap: Heap | None = None,
    on_restored: Callable[[bool], None] | None = None,
    on_refused: Callable[[Mapping[int, str]], None] | None = None,
    on_hanging: Callable[[Mapping[int, str]], None] | None = None,
) -> LaneRunner:
    """Create the lane. Start it only when at least one tenant's configuration is known: records of unknown tenants
    become dead letters."""
    counters = IntakeCounters(metrics)
    return LaneRunner(
        SPEC,
        intake_factory(policies, metrics, keys, limits, pace, counters),
        kafka,
        writer=writer,
        clock=clock,
        client_id=client_id,
        tuning=tuning,
        metrics=lane_metrics,
        on_lost=counters.lost,
        heap=heap,
        on_restored=on_restored,
        on_refused=on_refused,
        on_hanging=on_hanging,
        prepare=prepare(keys),
    )
