"""This gateway's part of the feed: read without a group, from the end, because what was said before this process began concerns no session of it."""

from collections.abc import Callable
from contextlib import aclosing

from google.protobuf.message import DecodeError

from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.clients import KafkaAccess
from services.chassis.kafka.tail import tail
from services.chassis.logs import get_logger

FEED = "gateway.feed.v1"


async def read_feed(
    kafka: KafkaAccess,
    partition: int,
    gateway_id: str,
    deliver: Callable[[pb.FeedRecord], None],
    ready: Callable[[], None],
) -> None:
    """Hand every record for this gateway to `deliver`, for ever. `ready` is called when nothing can be missed any more."""
    log = get_logger(__name__)
    source = tail(kafka, FEED, [partition], "end", client_id=f"gateway-{partition}", caught_up=ready)
    async with aclosing(source) as records:
        async for record in records:
            try:
                message = pb.FeedRecord.FromString(record.value or b"")
            except DecodeError:
                log.warning("feed record can't be read", partition=record.partition, offset=record.offset)
                continue
            if message.gateway_id == gateway_id:
                deliver(message)
