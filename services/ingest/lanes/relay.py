"""The relay: routing.events.v1 -> inbound.v1. It brings the router's decisions to the one writer of the person
concerned.

At least once (`chassis.kafka.relay`): the intake lane ignores repetitions.
"""

from typing import Final

from google.protobuf.message import DecodeError

from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis.kafka.lane import InvalidRecord, Record
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.relay import RelaySpec
from services.chassis.keys import tenant_key
from services.ingest.domain.reasons import Reason
from services.ingest.translate import headers
from services.ingest.translate.headers import INBOUND
from services.ingest.translate.notices import notice_record

SPEC: Final = RelaySpec("ingest-relay", "routing.events.v1")


def notice_of(record: Record) -> Send | None:
    """Return the notice of a routing event, for the lane of the person; None for an event that does not concern it.

    Raises InvalidRecord.
    """
    if record.value is None:
        raise InvalidRecord(Reason.UNDECODABLE, "a tombstone is not a routing event")
    try:
        event = router_pb2.RoutingEvent.FromString(record.value)
    except DecodeError as error:
        raise InvalidRecord(Reason.UNDECODABLE, "not a RoutingEvent") from error
    notice = notice_record(event)
    if notice is None:
        return None
    key = tenant_key(event.tenant, event.interaction.identity_id)
    return Send(INBOUND, None, key, notice.SerializeToString(), headers.of_inbound(notice))
