"""The relay lane: routing.events.v1 -> inbound.v1. It brings the router's decisions to the one writer of the person
concerned.

Stateless: its changelog holds only its position.
"""

from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError

from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis.kafka.clients import KafkaAccess
from services.chassis.kafka.heap import Heap
from services.chassis.kafka.lane import (
    InvalidRecord,
    LaneContext,
    LaneMetrics,
    LaneRunner,
    LaneSpec,
    LaneTuning,
    Outbox,
    Record,
)
from services.chassis.keys import tenant_key
from services.ingest.domain.reasons import Reason
from services.ingest.translate import headers
from services.ingest.translate.headers import INBOUND
from services.ingest.translate.notices import notice_record

SPEC: Final = LaneSpec("ingest-relay", "routing.events.v1", "ingest-relay.state.v1", "ingest-relay")
_DEFAULT_TUNING: Final = LaneTuning(linger=0.05)  # a notice is less urgent than an offer


def relay_lane(
    kafka: KafkaAccess,
    *,
    clock: Callable[[], int],
    client_id: str,
    lane_metrics: LaneMetrics,
    tuning: LaneTuning = _DEFAULT_TUNING,
    heap: Heap | None = None,
    on_restored: Callable[[bool], None] | None = None,
) -> LaneRunner:
    """Create the lane."""
    return LaneRunner(
        SPEC,
        relay_factory,
        kafka,
        clock=clock,
        client_id=client_id,
        tuning=tuning,
        metrics=lane_metrics,
        heap=heap,
        on_restored=on_restored,
    )


def relay_factory(_: LaneContext) -> "RelayProcessor":
    """Create the processor of a partition."""
    return RelayProcessor()


class RelayProcessor:
    """Converts events to notices."""

    def restore(self, key: bytes, value: bytes) -> None:
        """No state to restore."""

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """Nothing to do."""

    def begin(self, now_ms: int) -> None:
        """Nothing to do."""

    def handle(self, record: Record, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        if record.value is None:
            raise InvalidRecord(Reason.UNDECODABLE, "a tombstone is not a routing event")
        try:
            event = router_pb2.RoutingEvent.FromString(record.value)
        except DecodeError as error:
            raise InvalidRecord(Reason.UNDECODABLE, "not a RoutingEvent") from error
        notice = notice_record(event)
        if notice is not None:
            key = tenant_key(event.tenant, event.interaction.identity_id)
            outbox.send(INBOUND, key, notice.SerializeToString(), headers.of_inbound(notice))

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """No timers."""

    def end(self, outbox: Outbox) -> None:
        """Nothing to do."""

    def next_wakeup(self) -> int | None:
        """No timers."""
        return None
