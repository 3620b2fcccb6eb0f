"""Exactly-once lanes: the public interface.

A service writes a `Processor` (its decisions for one partition, see `contract` for the rules) and starts one `LaneRunner` for it:

    spec = LaneSpec(name="router", input="routing.commands.v1", changelog="router.state.v1", group="router")
    async with Writer(kafka, service="router") as writer, asyncio.TaskGroup() as tasks:
        runner = LaneRunner(spec, factory, kafka, writer=writer, client_id="router@10.0.0.7:7001", clock=clock.now_ms)
        tasks.create_task(runner.run())

How it works (docs/lanes.md says why it is safe):

- One transaction contains outputs, changelog and the input position (a changelog record), so state and position always agree.
- All lanes of a process share one writer, whose transactions hold whatever lanes have ready (`writer`).
- A partition belongs to the writer that its changelog names: the claim (`claims`). The group only says who should claim.
- Every failure is recovered in one way: discard the state, take over again, restore, continue from the committed position.
"""

from services.chassis.kafka.contract import (
    NO_METRICS,
    DeadLetterEncoder,
    Follower,
    LaneContext,
    LaneMetrics,
    LaneSpec,
    LaneTuning,
    NoMetrics,
    Outbox,
    Processor,
    ProcessorFactory,
    ProcessorFailed,
)
from services.chassis.kafka.groups import owners
from services.chassis.kafka.records import Headers, InvalidRecord, Record
from services.chassis.kafka.runner import LaneRunner
from services.chassis.kafka.watermark import Followed
from services.chassis.kafka.witness import TakeoverRefused
from services.chassis.kafka.writer import Writer

__all__ = [
    "NO_METRICS",
    "DeadLetterEncoder",
    "Followed",
    "Follower",
    "Headers",
    "InvalidRecord",
    "LaneContext",
    "LaneMetrics",
    "LaneRunner",
    "LaneSpec",
    "LaneTuning",
    "NoMetrics",
    "Outbox",
    "Processor",
    "ProcessorFactory",
    "ProcessorFailed",
    "Record",
    "TakeoverRefused",
    "Writer",
    "owners",
]
