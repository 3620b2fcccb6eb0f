"""Creates the sender lane: the runner of its processor."""

from collections.abc import Callable, Mapping
from typing import Final

from services.chassis.kafka.clients import KafkaAccess
from services.chassis.kafka.heap import Heap
from services.chassis.kafka.lane import LaneMetrics, LaneRunner, LaneTuning
from services.chassis.kafka.writer import Writer
from services.chassis.metrics import Metrics
from services.chassis.privacy.lanes import AwaitedKeys
from services.ingest.domain.attempts import Attempts
from services.ingest.domain.deliveries import SenderLimits
from services.ingest.lanes.outbound_records import prepare
from services.ingest.lanes.sender import DEFAULT_LIMITS, SPEC, sender_factory
from services.policy.model.intake import Policies

TUNING: Final = LaneTuning(fetch_pause=0.15)  # most records are reply routes, which are not urgent


def sender_lane(
    kafka: KafkaAccess,
    attempts: Attempts,
    metrics: Metrics,
    keys: AwaitedKeys,
    policies: Policies,
    *,
    writer: Writer,
    clock: Callable[[], int],
    client_id: str,
    lane_metrics: LaneMetrics,
    limits: SenderLimits = DEFAULT_LIMITS,
    tuning: LaneTuning = TUNING,
    heap: Heap | None = None,
    on_restored: Callable[[bool], None] | None = None,
    on_refused: Callable[[Mapping[int, str]], None] | None = None,
    on_hanging: Callable[[Mapping[int, str]], None] | None = None,
) -> LaneRunner:
    """Create the lane. `attempts` must outlive it."""
    return LaneRunner(
        SPEC,
        sender_factory(attempts, metrics, keys, limits, policies),
        kafka,
        writer=writer,
        clock=clock,
        client_id=client_id,
        tuning=tuning,
        metrics=lane_metrics,
        heap=heap,
        on_restored=on_restored,
        on_refused=on_refused,
        on_hanging=on_hanging,
        prepare=prepare(keys),
    )
