"""A queue moves to another pool of the same shard: records out become records in, and a crash at any point loses and doubles nothing."""

import pytest

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.contract import LaneContext
from services.chassis.metrics import Metrics
from services.router.lanes.shard import COMMANDS, EVENTS, FEED, ShardProcessor
from services.router.lanes.shard_metrics import ShardMetrics
from services.router.metrics import METRICS
from tests.fakes.lane import FakeLane

REPLY_TO = pb.ReplyTo(gateway_id="g", feed_partition=3)


class Shard:
    """A shard that owns both pools, and reads what it writes to its own input."""

    def __init__(self) -> None:
        counters = ShardMetrics(Metrics(METRICS, tenants=True))

        def factory(context: LaneContext) -> ShardProcessor:
            return ShardProcessor(context, 8, counters)

        self.lane = FakeLane(factory, input_topic=COMMANDS)
        self.read = 0

    def tell(self, pool: str, command_id: str = "", **body: object) -> None:
        """Handle one command."""
        command = pb.RoutingCommand(command_id=command_id, tenant="acme", pool=pool, reply_to=REPLY_TO, **body)  # type: ignore[arg-type]  # a test's shorthand
        self.lane.handle(command.SerializeToString())

    def configure(self, version: int, **queues: str) -> None:
        """Activate a version in both pools: queue=pool."""
        configuration = config_pb2.TenantConfiguration(
            tenant="acme",
            version=version,
            pools=[config_pb2.Pool(name=pool) for pool in ("day", "night")],
            queues=[config_pb2.Queue(name=name, pool=pool) for name, pool in queues.items()],
        )
        for pool in ("day", "night"):
            self.tell(
                pool, f"v{version}-{pool}", activate_configuration=pb.ActivateConfiguration(configuration=configuration)
            )

    def enqueue(self) -> None:
        """Queue the interaction `i` in `support`, in the pool day."""
        attributes = pb.InteractionAttributes(
            interaction_id="i", conversation_id="c", channel="chat", queue="support", labels={"tier": "gold"}
        )
        self.tell("day", "e", enqueue=pb.Enqueue(interaction=attributes))

    def pump(self) -> list[pb.RoutingCommand]:
        """Handle the commands that the shard has written and not read yet; return them."""
        sends = self.lane.sent_to(COMMANDS)[self.read :]
        self.read += len(sends)
        found = [pb.RoutingCommand.FromString(send.value) for send in sends]
        assert [send.key for send in sends] == [f"acme/{each.pool}".encode() for each in found]
        for send in sends:
            self.lane.handle(send.value)
        return found

    def story(self) -> list[tuple[str, str, int]]:
        """Return pool, reason and epoch of each event."""
        found = [pb.RoutingEvent.FromString(send.value) for send in self.lane.sent_to(EVENTS)]
        return [(event.pool, event.reason, event.epoch) for event in found]


@pytest.fixture
def shard() -> Shard:
    """Return a shard in which `i` waits in the queue `support` of the pool day."""
    made = Shard()
    made.configure(1, sales="day", support="day")
    made.enqueue()
    return made


STORY = [("day", "ENQUEUED", 1), ("day", "QUEUE_MOVED", 2), ("night", "QUEUE_MOVED", 3)]


def test_the_interaction_is_received_once_with_its_epoch_and_labels(shard: Shard) -> None:
    shard.configure(2, sales="day", support="night")
    (command,) = shard.pump()
    received = command.receive_interaction
    assert (command.pool, received.epoch, received.configuration_version, received.reason) == (
        "night", 2, 2, "QUEUE_MOVED",
    )  # fmt: skip
    assert (received.interaction.queue, dict(received.interaction.labels)) == ("support", {"tier": "gold"})
    assert shard.story() == STORY
    shard.lane.handle(command.SerializeToString())  # a repetition
    assert shard.story() == STORY


def test_a_crash_between_the_pools_loses_nothing(shard: Shard) -> None:
    """The old pool's state, and the record for the new pool, are of one transaction."""
    shard.configure(2, sales="day", support="night")
    shard.lane.crash()
    shard.pump()
    shard.lane.crash()
    assert shard.story() == STORY
    shard.tell("day", "m", customer_messaged=pb.CustomerMessaged(interaction_id="i", message_id="m"))
    (command,) = shard.pump()
    assert (command.command_id, command.pool, command.reply_to) == ("m", "night", REPLY_TO)
    assert shard.story()[-1] == ("night", "CUSTOMER_MESSAGE", 4)


def test_the_caller_gets_the_result_from_the_new_pool(shard: Shard) -> None:
    """One result, by the gateway that the command names."""
    shard.configure(2, sales="day", support="night")
    shard.pump()
    shard.tell("day", "c", cancel_interaction=pb.CancelInteraction(interaction_id="i"))
    shard.pump()
    results = [pb.FeedRecord.FromString(send.value).result for send in shard.lane.sent_to(FEED)]
    assert [(each.ok, each.reason) for each in results if each.command_id == "c"] == [(True, "")]
    shard.tell("day", "again", cancel_interaction=pb.CancelInteraction(interaction_id="i"))
    shard.pump()
    results = [pb.FeedRecord.FromString(send.value).result for send in shard.lane.sent_to(FEED)]
    assert [each.reason for each in results if each.command_id == "again"] == ["UNKNOWN_INTERACTION"]


def test_an_interaction_for_a_pool_that_does_not_exist_is_a_dead_letter(shard: Shard) -> None:
    """No caller waits for it, so it must leave a trace."""
    attributes = pb.InteractionAttributes(interaction_id="x", conversation_id="c", queue="q")
    shard.tell("nowhere", "r", receive_interaction=pb.ReceiveInteraction(interaction=attributes))
    assert [verdict.reason for _, verdict in shard.lane.dead_letters] == ["UNKNOWN_POOL"]


@pytest.mark.parametrize(
    "body",
    [
        pb.ReceiveInteraction(),
        pb.ReceiveInteraction(interaction=pb.InteractionAttributes(interaction_id="x", conversation_id="c"), epoch=-1),
        pb.ReceiveInteraction(
            interaction=pb.InteractionAttributes(interaction_id="x", conversation_id="c"), waited_ms=-1
        ),
    ],
)
def test_nonsense_is_a_dead_letter(shard: Shard, body: pb.ReceiveInteraction) -> None:
    shard.tell("night", "r", receive_interaction=body)
    assert [verdict.reason for _, verdict in shard.lane.dead_letters] == ["UNDECODABLE"]
