"""Exactly-once lanes: the public interface.

A service writes a `Processor` (its decisions for one partition, see `contract` for the rules) and starts one `LaneRunner` for it:

    spec = LaneSpec(name="router", input="routing.commands.v1", changelog="router.state.v1", group="router")
    runner = LaneRunner(spec, factory, kafka, client_id="router@10.0.0.7:7001", clock=clock.now_ms)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())

How it works:

- One transaction per batch contains outputs, changelog and the input position (a changelog record), so state and position always agree.
- Two transactional producers per partition, `{prefix}{name}-{partition}-a` and `-b`, take turns: batch N+1 is handled and sent while N commits;
  it commits only after N's commit returned. A takeover initialises A, then B, restores, and commits first with A. This order makes it safe:
  the owner that commits first has proved that no other initialised A after it, so a rival that holds only B can never complete its first commit.
- Every other failure is recovered in one way: discard both producers, take over again, restore, continue from the committed position.
"""

from services.chassis.kafka.contract import (
    NO_METRICS,
    DeadLetterEncoder,
    LaneContext,
    LaneMetrics,
    LaneSpec,
    LaneTuning,
    NoMetrics,
    Outbox,
    PositionUnreachable,
    Processor,
    ProcessorFactory,
    ProcessorFailed,
)
from services.chassis.kafka.groups import owners
from services.chassis.kafka.records import Headers, InvalidRecord, Record
from services.chassis.kafka.runner import LaneRunner

__all__ = [
    "NO_METRICS",
    "DeadLetterEncoder",
    "Headers",
    "InvalidRecord",
    "LaneContext",
    "LaneMetrics",
    "LaneRunner",
    "LaneSpec",
    "LaneTuning",
    "NoMetrics",
    "Outbox",
    "PositionUnreachable",
    "Processor",
    "ProcessorFactory",
    "ProcessorFailed",
    "Record",
    "owners",
]
