"""This gateway's part of the feed.

It is read without a consumer group and from the end, because earlier records do not concern any session of this process.
"""

from collections.abc import Callable
from contextlib import aclosing

from google.protobuf.message import DecodeError

from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.clients import KafkaAccess
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.kafka.tail import tail
from services.router.adapters.command_bus import CommandBus
from services.router.adapters.gateway import Gateway
from services.router.domain.reasons import Reason

FEED = "gateway.feed.v1"


async def read_feed(
    kafka: KafkaAccess,
    partition: int,
    gateway_id: str,
    deliver: Callable[[pb.FeedRecord], None],
    ready: Callable[[], None],
    poison: Poison,
) -> None:
    """Pass every record for this gateway to `deliver` until cancelled. `ready` is called when no later record can be missed."""
    source = tail(kafka, FEED, [partition], "end", client_id=f"gateway-{partition}", caught_up=ready)
    async with aclosing(source) as records:
        async for record in records:
            poison.guard(record, lambda each: take(each, gateway_id, deliver))


def receiver(bus: CommandBus, gateway: Gateway) -> Callable[[pb.FeedRecord], None]:
    """Return a function that passes results of commands to the callers that wait, and everything else to the sessions."""

    def deliver(record: pb.FeedRecord) -> None:
        if record.result.command_id:
            bus.resolve(record.result)
        else:
            gateway.deliver(record)

    return deliver


def take(record: Record, gateway_id: str, deliver: Callable[[pb.FeedRecord], None]) -> None:
    """Deliver one record of the feed. Raises InvalidRecord."""
    try:
        message = pb.FeedRecord.FromString(record.value or b"")
    except DecodeError as error:
        raise InvalidRecord(Reason.UNDECODABLE, "not a FeedRecord") from error
    if message.gateway_id == gateway_id:
        deliver(message)
