"""The readers of the router service."""

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis.kafka.contract import LaneContext
from services.chassis.metrics import Metrics
from services.router.adapters.command_bus import CommandBus
from services.router.adapters.configured_pools import decode as pools_of_agents
from services.router.adapters.feed import take as take_feed
from services.router.adapters.gateway import Gateway
from services.router.lanes.shard import ShardProcessor
from services.router.lanes.shard_metrics import ShardMetrics
from services.router.metrics import METRICS
from tests.unit.poison.generator import NOW
from tests.unit.poison.reader import AnyKey, LaneReader, Reader, SilentLog, Take, configuration_reader, guarded


def _router() -> Take:
    counters = ShardMetrics(Metrics(METRICS))

    def make(context: LaneContext) -> ShardProcessor:
        return ShardProcessor(context, 8, counters)

    configuration = config_pb2.TenantConfiguration(
        tenant="acme",
        version=1,
        queues=[config_pb2.Queue(name=name) for name in ("sales", "general")],
        agents=[config_pb2.AgentProfile(agent_id=name) for name in ("a1", "a2")],
    )
    command = router_pb2.RoutingCommand(command_id="first", tenant="acme", pool="default")
    command.activate_configuration.configuration.CopyFrom(configuration)
    return LaneReader(make, "routing.commands.v1", (command.SerializeToString(),))


def _feed() -> Take:
    bus = CommandBus(SilentLog(), AnyKey(), "acme", 0, lambda: NOW)  # type: ignore[arg-type]  # a fake
    gateway = Gateway(bus, Metrics(METRICS))

    def deliver(record: router_pb2.FeedRecord) -> None:
        if record.result.command_id:
            bus.resolve(record.result)
        else:
            gateway.deliver(record)

    return guarded(lambda record: take_feed(record, "acme", deliver))


ROUTER_READERS: tuple[Reader, ...] = (
    Reader("router shard", "routing.commands.v1", router_pb2.RoutingCommand, "router/lanes/shard.py", _router),
    Reader(
        "router configuration",
        "config.v1",
        config_pb2.TenantConfiguration,
        "router/wiring.py",
        lambda: configuration_reader(pools_of_agents),
    ),
    Reader("router gateway", "gateway.feed.v1", router_pb2.FeedRecord, "router/adapters/feed.py", _feed),
)
