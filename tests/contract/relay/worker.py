"""Runs a relay of a service in a process that kills itself: `python -m … BOOTSTRAP PREFIX SERVICE BATCHES`.

It dies after the broker has acknowledged the batch of this number, before the offsets are committed; 0 is never.
"""

import asyncio
import os
import signal
import sys

from services.chassis.clock import system_clock
from services.chassis.kafka.batch_publisher import BatchPublisher
from services.chassis.kafka.lane import NO_METRICS
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.relay import Convert, Relay, RelaySpec
from services.chassis.metrics import Metrics
from services.feedback.lanes import relay as feedback
from services.ingest.lanes import relay as ingest
from tests.fixtures.broker import plain_settings

RELAYS: dict[str, tuple[RelaySpec, Convert]] = {
    "ingest": (ingest.SPEC, ingest.notice_of),
    "feedback": (feedback.SPEC, feedback.command_of),
}


class SelfHarm:
    """Kills this process at a batch."""

    def __init__(self, batches: int) -> None:
        self._left = batches

    def __call__(self, point: str) -> None:
        self._left -= point == "handled"
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(bootstrap: str, prefix: str, service: str, batches: int) -> None:
    """Run until killed."""
    kafka = plain_settings(bootstrap, prefix)
    spec, convert = RELAYS[service]
    async with (
        DurableProducer(kafka, client_id="letters") as producer,
        BatchPublisher(kafka, client_id=spec.name, clock=system_clock) as publisher,
    ):
        poison = Poison(spec.name, Metrics(), producer=producer, clock=system_clock)
        relay = Relay(
            spec,
            convert,
            kafka,
            publisher,
            poison,
            client_id=spec.name,
            clock=system_clock,
            metrics=NO_METRICS,
            fault=SelfHarm(batches) if batches else None,
        )
        await relay.run()


if __name__ == "__main__":
    servers, topics, name, number = sys.argv[1:]
    asyncio.run(main(servers, topics, name, int(number)))
