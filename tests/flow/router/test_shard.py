"""The shard lane without Kafka: records in, records out, and state that survives a crash."""

import pytest

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis.ids import derive
from services.chassis.kafka.contract import LaneContext
from services.chassis.metrics import Metrics
from services.policy.reading.numbers import LATEST_MS, LONGEST_MS
from services.router.adapters.outcomes import refusal
from services.router.lanes.shard import EVENTS, FEED, JOURNAL, ShardProcessor
from services.router.lanes.shard_metrics import ShardMetrics
from services.router.metrics import METRICS
from tests.fakes.lane import FakeLane

REPLY_TO = pb.ReplyTo(gateway_id="g", feed_partition=3)


class Shard:
    """A lane with the router's processor, and methods to send commands to it."""

    def __init__(self) -> None:
        self.metrics = Metrics(METRICS, tenants=True)
        counters = ShardMetrics(self.metrics)

        def factory(context: LaneContext) -> ShardProcessor:
            return ShardProcessor(context, 8, counters)

        self.lane = FakeLane(factory, input_topic="routing.commands.v1")
        self.count = 0

    def command(self, **body: object) -> bytes:
        """Return a command of tenant acme, pool default."""
        self.count += 1
        values = {
            "command_id": f"command-{self.count}",
            "tenant": "acme",
            "pool": "default",
            "reply_to": REPLY_TO,
            **body,
        }
        return pb.RoutingCommand(**values).SerializeToString()  # type: ignore[arg-type]  # a test's shorthand

    def tell(self, **body: object) -> list[pb.RoutingEvent]:
        """Run one command in one batch; return the events it caused."""
        return events(self.lane.handle(self.command(**body)))

    def configure(self) -> None:
        """Activate one queue and one agent."""
        configuration = config_pb2.TenantConfiguration(
            tenant="acme",
            version=1,
            queues=[config_pb2.Queue(name="q")],
            agents=[config_pb2.AgentProfile(agent_id="a")],
        )
        self.tell(activate_configuration=pb.ActivateConfiguration(configuration=configuration))

    def enqueue(self, interaction_id: str = "i") -> list[pb.RoutingEvent]:
        """Queue a new interaction."""
        attributes = pb.InteractionAttributes(
            interaction_id=interaction_id, conversation_id=f"c-{interaction_id}", channel="chat", queue="q",
            labels={"tier": "gold"},
        )  # fmt: skip
        return self.tell(enqueue=pb.Enqueue(interaction=attributes))

    def sign_in(self) -> list[pb.RoutingEvent]:
        """Sign in agent `a`."""
        return self.tell(sign_in=pb.SignIn(agent_id="a", session_id="s"))


def events(sends: list) -> list[pb.RoutingEvent]:  # type: ignore[type-arg]  # Send, of any topic
    """Return the routing events among the records that were sent."""
    return [pb.RoutingEvent.FromString(send.value) for send in sends if send.topic == EVENTS]


@pytest.fixture
def shard() -> Shard:
    """Return a configured shard."""
    made = Shard()
    made.configure()
    return made


def test_events_are_keyed_by_conversation_and_have_ids_that_a_repetition_shares(shard: Shard) -> None:
    """event_id derives from the command and the ordinal."""
    shard.enqueue()
    (send,) = shard.lane.sent_to(EVENTS)
    event = pb.RoutingEvent.FromString(send.value)
    assert send.key == b"acme/c-i"
    assert event.event_id == derive(event.command_id, "0")
    assert (event.tenant, event.pool, event.reason, event.epoch, event.configuration_version) == (
        "acme", "default", "ENQUEUED", 1, 1,
    )  # fmt: skip
    assert dict(event.interaction.labels) == {"tier": "gold"}


def test_results_and_notices_go_to_the_gateways_own_partition(shard: Shard) -> None:
    """They are written in the batch's transaction, with the gateway's name in the record."""
    shard.sign_in()
    feed = shard.lane.sent_to(FEED)
    records = [pb.FeedRecord.FromString(send.value) for send in feed]
    assert {send.partition for send in feed} == {3}
    assert {record.gateway_id for record in records} == {"g"}
    kinds = [record.WhichOneof("record") for record in records]
    assert kinds.index("snapshot") < len(kinds) - 1 == kinds.index("result", 1)


def test_a_batch_writes_one_journal_record_with_its_clock_and_offsets(shard: Shard) -> None:
    """A batch that did nothing writes none."""
    before = len(shard.lane.sent_to(JOURNAL))
    shard.lane.batch(*(shard.lane.record(shard.command(renew_leases=pb.RenewLeases())) for _ in range(2)))
    (send,) = shard.lane.sent_to(JOURNAL)[before:]
    journal = pb.JournalRecord.FromString(send.value)
    assert journal.next_offset - journal.first_offset == 2
    assert (journal.now_ms, len(journal.effects_sha256)) == (shard.lane.now_ms, 32)
    shard.lane.batch()
    assert len(shard.lane.sent_to(JOURNAL)) == before + 1


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\xff",
        b"",
        pb.RoutingCommand(tenant="acme", pool="default").SerializeToString(),
        pb.RoutingCommand(tenant="acme", accept_offer=pb.AcceptOffer(agent_id="a")).SerializeToString(),
        pb.RoutingCommand(
            enqueue=pb.Enqueue(interaction=pb.InteractionAttributes(interaction_id="x"))
        ).SerializeToString(),
        pb.RoutingCommand(
            tenant="acme", reply_to=pb.ReplyTo(feed_partition=99), renew_leases=pb.RenewLeases()
        ).SerializeToString(),
        pb.RoutingCommand(tenant="a|b", renew_leases=pb.RenewLeases()).SerializeToString(),
    ],
)
def test_an_undecodable_record_becomes_a_dead_letter_and_the_rest_is_processed(shard: Shard, value: bytes) -> None:
    """The dead letter is UNDECODABLE; the next record is queued. A partition that does not exist would block the lane for ever."""
    shard.lane.batch(
        shard.lane.record(value),
        shard.lane.record(shard.command(update_interaction=pb.UpdateInteraction(interaction_id="x"))),
    )
    assert [verdict.reason for _, verdict in shard.lane.dead_letters] == ["UNDECODABLE"]
    assert pb.FeedRecord.FromString(shard.lane.sent_to(FEED)[-1].value).result.reason == "UNKNOWN_INTERACTION"


def test_a_misspelt_pool_is_refused_and_leaves_nothing_behind(shard: Shard) -> None:
    """The reason is UNKNOWN_POOL, and there is no engine."""
    shard.tell(pool="defualt", sign_in=pb.SignIn(agent_id="a", session_id="s"))
    assert pb.FeedRecord.FromString(shard.lane.sent_to(FEED)[-1].value).result.reason == "UNKNOWN_POOL"
    processor = shard.lane.processor
    assert isinstance(processor, ShardProcessor)
    assert list(processor.engines) == [("acme", "default")]


@pytest.mark.parametrize("pool", ["invented", "x" * 200, "default ", "Default"])
def test_an_agent_for_an_invented_pool_leaves_nothing_behind(shard: Shard, pool: str) -> None:
    """A caller who may write agents can name any number of pools: each is refused with advice, and none is created."""
    written = len(shard.lane.sent_to(EVENTS))
    for number in range(50):
        profile = config_pb2.AgentProfile(agent_id="mallory", pool=f"{pool}{number}")
        shard.tell(pool=f"{pool}{number}", upsert_agent=pb.UpsertAgent(agent=profile))
        result = pb.FeedRecord.FromString(shard.lane.sent_to(FEED)[-1].value).result
        assert (result.ok, result.reason) == (False, "UNKNOWN_POOL")
    processor = shard.lane.processor
    assert isinstance(processor, ShardProcessor)
    assert list(processor.engines) == [("acme", "default")]
    assert len(shard.lane.sent_to(EVENTS)) == written
    assert "chapar config apply" in refusal("UNKNOWN_POOL").message


def test_an_interaction_for_an_unknown_pool_is_set_aside_not_lost(shard: Shard) -> None:
    """No caller waits for its result, so it becomes a dead letter that can be replayed when the pool exists."""
    attributes = pb.InteractionAttributes(interaction_id="i", conversation_id="c", queue="sales")
    shard.tell(pool="nowhere", enqueue=pb.Enqueue(interaction=attributes))
    assert [verdict.reason for _, verdict in shard.lane.dead_letters] == ["UNKNOWN_POOL"]
    processor = shard.lane.processor
    assert isinstance(processor, ShardProcessor)
    assert list(processor.engines) == [("acme", "default")]


def test_state_survives_a_crash_and_timers_fire_once(shard: Shard) -> None:
    """An offer made before the crash expires after it; a closed interaction has left the changelog."""
    shard.sign_in()
    shard.enqueue()
    shard.lane.crash()
    late = events(shard.lane.advance(20_000))
    assert [e.WhichOneof("event") for e in late if e.HasField("interaction")] == ["offer_ended"]
    assert events(shard.lane.advance(20_000)) == []
    shard.tell(customer_left=pb.CustomerLeft(interaction_id="i"))
    assert not [key for key in shard.lane.changelog if key.startswith(b"i|")]


def test_a_shard_without_an_owner_costs_no_session_and_no_offer(shard: Shard) -> None:
    """For a minute no lease could be renewed and no answer taken: the new owner gives the time again, and the answer counts."""
    shard.sign_in()
    shard.enqueue()
    offer = next(e.offered for e in events(shard.lane.sent) if e.HasField("offered"))
    shard.lane.now_ms += 60_000
    shard.lane.crash()
    told = shard.tell(accept_offer=pb.AcceptOffer(agent_id="a", offer_id=offer.offer_id))
    assert [e.WhichOneof("event") for e in told] == ["assigned"]
    late = events(shard.lane.advance(20_000))
    assert [e.reason for e in late] == ["LEASE_EXPIRED"]


def test_a_batch_that_was_not_committed_is_decided_again_alike(shard: Shard) -> None:
    """When the process dies before the commit, the same records give the same events, including their ids."""
    shard.sign_in()
    attributes = pb.InteractionAttributes(interaction_id="i", conversation_id="c", channel="chat", queue="q")
    value = shard.command(enqueue=pb.Enqueue(interaction=attributes))
    other = Shard()
    other.configure()
    other.sign_in()
    plain = other.lane.batch(other.lane.record(value))
    again = shard.lane.batch(shard.lane.record(value), fail="before_commit")
    assert events(again) == events(plain)


def test_a_repeated_command_is_answered_again_also_after_a_crash(shard: Shard) -> None:
    """The desk repeats a request whose result it has not received."""
    attributes = pb.InteractionAttributes(interaction_id="i", conversation_id="c", channel="chat", queue="q")
    value = shard.command(enqueue=pb.Enqueue(interaction=attributes))
    shard.lane.handle(value)
    shard.lane.crash()
    sent = shard.lane.handle(value)
    assert events(sent) == []
    assert [pb.FeedRecord.FromString(s.value).result.ok for s in sent if s.topic == FEED] == [True]


def test_decisions_are_counted(shard: Shard) -> None:
    """Counts are by kind and reason, and by queue."""
    shard.sign_in()
    shard.enqueue()
    shard.tell(accept_offer=pb.AcceptOffer(agent_id="a", offer_id="i.99"))
    assert shard.metrics.value("chapar_router_commands_total", "accept_offer", "UNKNOWN_OFFER") == 1
    assert shard.metrics.value("chapar_router_offered_total", "acme", "q") == 1


def test_nonsense_becomes_a_dead_letter_and_changes_nothing(shard: Shard) -> None:
    """NaN, negative times and operators of later versions become dead letters as a whole; the batch goes on, and the configuration in force stays."""
    shard.sign_in()
    queue = config_pb2.Queue(name="q", ageing_per_minute=float("nan"))
    configuration = config_pb2.TenantConfiguration(tenant="acme", version=2, queues=[queue])
    attributes = pb.InteractionAttributes(
        interaction_id="i", conversation_id="c", channel="chat", queue="q", arrived_at_ms=-1
    )
    bodies: tuple[dict[str, object], ...] = (
        {"activate_configuration": pb.ActivateConfiguration(configuration=configuration)},
        {"enqueue": pb.Enqueue(interaction=attributes)},
        {"decline_offer": pb.DeclineOffer(agent_id="a", offer_id="i.1", retry_after_ms=-1)},
    )
    for body in bodies:
        assert shard.tell(**body) == []
    assert [verdict.reason for _, verdict in shard.lane.dead_letters] == ["UNDECODABLE"] * 3
    (event, *_) = shard.enqueue()
    assert event.configuration_version == 1


def test_extreme_numbers_do_not_stop_the_lane(shard: Shard) -> None:
    """The largest valid numbers, in configuration and commands, are decided and restored, and never make a batch fail."""
    most, longest, huge = 2**31 - 1, LONGEST_MS, 1.7e308
    configuration = config_pb2.TenantConfiguration(
        tenant="acme",
        version=2,
        queues=[
            config_pb2.Queue(
                name="q",
                priority=most,
                ageing_per_minute=longest,
                offer_timeout_ms=longest,
                wrap_up_ms=longest,
                sticky_ms=longest,
            )
        ],
        pools=[config_pb2.Pool(name="default", session_lease_ms=longest, assignment_grace_ms=longest)],
        agents=[config_pb2.AgentProfile(agent_id="a", skills={"x": huge})],
    )
    shard.tell(activate_configuration=pb.ActivateConfiguration(configuration=configuration))
    shard.sign_in()
    attributes = pb.InteractionAttributes(
        interaction_id="i", conversation_id="c", channel="chat", queue="q", priority=most, arrived_at_ms=LATEST_MS - 1
    )
    attributes.requirements.add(attribute="x", number=-huge, weight=huge, expires_after_ms=longest)
    shard.tell(enqueue=pb.Enqueue(interaction=attributes))
    for _ in range(2):
        shard.tell(reprioritise=pb.Reprioritise(interaction_id="i", add=most))
    offer = next(e.offered for e in events(shard.lane.sent) if e.HasField("offered"))
    decline = pb.DeclineOffer(agent_id="a", offer_id=offer.offer_id, retry_after_ms=longest)
    assert [e.WhichOneof("event") for e in shard.tell(decline_offer=decline)] == ["offer_ended"]
    shard.lane.crash()
    assert [e.WhichOneof("event") for e in shard.tell(customer_left=pb.CustomerLeft(interaction_id="i"))] == [
        "abandoned"
    ]


def test_a_large_team_fits_the_changelog(shard: Shard) -> None:
    """4,000 agents in one configuration: each is an entity of its own, and all come back."""
    agents = [config_pb2.AgentProfile(agent_id=f"agent-{n}", display_name="x" * 200) for n in range(4_000)]
    configuration = config_pb2.TenantConfiguration(
        tenant="acme", version=2, queues=[config_pb2.Queue(name="q")], agents=agents
    )
    shard.tell(activate_configuration=pb.ActivateConfiguration(configuration=configuration))
    assert max(len(value) for value in shard.lane.changelog.values()) < 300_000
    processor = shard.lane.crash()
    assert isinstance(processor, ShardProcessor)
    assert len(processor.engines["acme", "default"].core.agents) == 4_000
