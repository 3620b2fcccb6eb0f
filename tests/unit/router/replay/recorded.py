"""A recorded shard: a lane without Kafka that tests send commands to, and the log that it writes."""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiokafka.partitioner import murmur2

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka import deadletters
from services.chassis.kafka.contract import LaneContext
from services.chassis.kafka.records import Record
from services.chassis.metrics import Metrics
from services.router.domain.model import Stage
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Interaction
from services.router.lanes.shard import COMMANDS, EVENTS, JOURNAL, ShardProcessor
from services.router.lanes.shard_metrics import ShardMetrics
from services.router.metrics import METRICS
from services.router.replay.log import Bounds, LogPartition
from services.router.replay.run import ShardReport, replay
from services.router.replay.state import ShardState
from services.router.replay.window import Window
from tests.fakes.lane import FakeLane

AGENTS = ("a", "b", "c", "d")
QUEUES = ("q", "w", "s")
FEED_PARTITIONS, EVENT_PARTITIONS = 8, 4
REPLY_TO = pb.ReplyTo(gateway_id="g", feed_partition=3)
EVERYTHING = Window()


def a_configuration(version: int = 1, offer_ms: int = 10_000) -> config_pb2.TenantConfiguration:
    """Return three queues and four agents, with everything that depends on time: wrap-up, rings, overflow, several offers, interrupts, occupancy."""
    selector = types_pb2.Selector(attribute="persian", operator=types_pb2.SELECTOR_OPERATOR_AT_LEAST, number=3)
    selector.expires_after_ms = 6_000
    french = types_pb2.Selector(attribute="french", operator=types_pb2.SELECTOR_OPERATOR_AT_LEAST, number=9)
    chat = config_pb2.ChannelCapacity(channel="chat", weight=1)
    mail = config_pb2.ChannelCapacity(channel="mail", weight=2)
    chat.interrupts.append("mail")
    return config_pb2.TenantConfiguration(
        tenant="acme",
        version=version,
        pools=[config_pb2.Pool(name="default", session_lease_ms=20_000, assignment_grace_ms=15_000)],
        queues=[
            config_pb2.Queue(
                name="q", offer_timeout_ms=offer_ms, sticky_ms=8_000, sticky_team_ms=4_000, ageing_per_minute=2
            ),
            config_pb2.Queue(
                name="w",
                offer_timeout_ms=offer_ms,
                wrap_up_ms=4_000,
                requirements=[selector],
                choice=config_pb2.AGENT_CHOICE_LOAD_RATIO,
            ),
            config_pb2.Queue(
                name="s",
                offer_timeout_ms=offer_ms,
                priority=2,
                requirements=[french],
                choice=config_pb2.AGENT_CHOICE_SKILL_SCORE,
                max_offers=2,
                transfer_hold_ms=5_000,
                rings=[
                    config_pb2.Ring(after_ms=3_000, lower={"french": 2}),
                    config_pb2.Ring(after_ms=8_000, drop=["french"], queues=["q"]),
                ],
                overflow=[
                    config_pb2.OverflowRule(
                        name="late", when=config_pb2.OVERFLOW_TRIGGER_WAIT, threshold_ms=12_000, queue="q"
                    ),
                    config_pb2.OverflowRule(
                        name="many", when=config_pb2.OVERFLOW_TRIGGER_LENGTH, threshold=5, add_priority=1
                    ),
                ],
            ),
        ],
        capacity_profiles=[
            config_pb2.CapacityProfile(name="two", total=2, default_weight=1),
            config_pb2.CapacityProfile(
                name="rested", total=2, channels=[chat, mail], occupancy_limit=0.7, occupancy_window_ms=20_000
            ),
        ],
        agents=[
            config_pb2.AgentProfile(
                agent_id=name,
                capacity_profile=profile,
                skills={"persian": level, "french": 2},
                team=("north", "south")[level > 2],
            )
            for name, level, profile in zip(AGENTS, (5, 2, 0, 5), ("two", "two", "rested", "rested"), strict=True)
        ],
    )


@dataclass
class MemoryLog:
    """Implements `log.ShardLog` with lists that a test may tamper with."""

    commands_: list[Record]
    journal_: list[Record]
    effects_: list[Record]
    letters: list[Record] = field(default_factory=list)
    late: list[Record] = field(default_factory=list)
    """Effects whose commit becomes visible while the end of their partition is read."""
    journal_begin: int = 0
    lost: frozenset[LogPartition] = frozenset()

    async def bounds(self) -> Bounds:
        first = self.commands_[0].offset if self.commands_ else 0
        return Bounds(self.journal_begin, len(self.journal_), first)

    def journal(self, offset: int) -> AsyncGenerator[list[Record], None]:
        return _chunks(r for r in self.journal_ if r.offset >= max(offset, self.journal_begin))

    def commands(self, offset: int) -> AsyncGenerator[list[Record], None]:
        return _chunks(r for r in self.commands_ if r.offset >= offset)

    def dead_letters(self, since_ms: int) -> AsyncGenerator[list[Record], None]:
        return _chunks(r for r in self.letters if r.timestamp_ms >= since_ms)

    def effects(self, from_ms: int, to_ms: int) -> AsyncGenerator[list[Record], None]:
        return _chunks(r for r in self.effects_ if from_ms <= r.timestamp_ms <= to_ms)

    def events(self) -> list[LogPartition]:
        return [(EVENTS, partition) for partition in range(EVENT_PARTITIONS)]

    async def published(self, at: LogPartition, since_ms: int) -> AsyncGenerator[list[Record], None]:
        kept = [record for record in self.effects_ if (record.topic, record.partition) == at]
        since = next((n for n, record in enumerate(kept) if record.timestamp_ms >= since_ms), len(kept))
        async for chunk in _chunks(kept[since:]):
            yield chunk
        yield []
        if self.late:
            yield [record for record in self.late if (record.topic, record.partition) == at]

    async def shortened(self) -> frozenset[LogPartition]:
        return self.lost

    async def forgotten(self, from_ms: int) -> frozenset[LogPartition]:
        return self.lost

    def place(self, topic: str, partition: int | None, key: bytes) -> LogPartition:
        return _place(topic, partition, key)

    def journaled(self, number: int) -> pb.JournalRecord:
        """Return a record of the journal, from 0."""
        return pb.JournalRecord.FromString(self.journal_[number].value or b"")

    def rewrite(self, number: int, **fields: Any) -> None:
        """Change fields of a record of the journal."""
        changed = self.journaled(number)
        for name, value in fields.items():
            changed.ClearField(name)  # type: ignore[arg-type]  # a name of the contract
            changed.MergeFrom(pb.JournalRecord(**{name: value}))
        self.journal_[number] = self.journal_[number]._replace(value=changed.SerializeToString())

    async def replayed(self, state: ShardState | None = None, window: Window = EVERYTHING) -> ShardReport:
        """Replay the log; this updates `state`."""
        start = state if state is not None else ShardState(0)
        return await replay(
            self, start, window=window, feed_partitions=FEED_PARTITIONS, progress=lambda _done, _total: None
        )


async def _chunks(records: Iterable[Record]) -> AsyncGenerator[list[Record], None]:
    """Yield records in chunks of different sizes, as a broker returns them."""
    piece: list[Record] = []
    size = 1
    for record in records:
        piece.append(record)
        if len(piece) == size:
            yield piece
            piece, size = [], size % 7 + 1
    if piece:
        yield piece


def _place(topic: str, partition: int | None, key: bytes) -> LogPartition:
    count = EVENT_PARTITIONS if topic == EVENTS else FEED_PARTITIONS
    return topic, int((murmur2(key) & 0x7FFFFFFF) % count) if partition is None else partition


class Recorded:
    """A lane with the router's processor. Commands wait in `pending` until a batch is cut."""

    def __init__(self, offer_ms: int = 10_000) -> None:
        counters = ShardMetrics(Metrics(METRICS))

        def factory(context: LaneContext) -> ShardProcessor:
            return ShardProcessor(context, FEED_PARTITIONS, counters)

        self.lane = FakeLane(factory, input_topic=COMMANDS)
        self.commands: list[Record] = []
        self.pending: list[Record] = []
        self.count = 0
        self.tell(
            activate_configuration=pb.ActivateConfiguration(configuration=a_configuration(offer_ms=offer_ms)),
        )
        for agent in AGENTS:
            self.sign_in(agent)
        self.cut()

    @property
    def core(self) -> PoolState:
        """The present state of the pool."""
        processor = self.lane.processor
        assert isinstance(processor, ShardProcessor)
        return processor.engines["acme", "default"].core

    def interactions(self, *stages: Stage) -> list[Interaction]:
        """Return open interactions, in the order of their ids."""
        interactions = sorted(self.core.interactions.values(), key=lambda interaction: interaction.id)
        return [interaction for interaction in interactions if not stages or interaction.stage in stages]

    # Steps

    def put(self, value: bytes) -> None:
        """Add a record to the pending batch."""
        record = self.lane.record(value, key=b"acme/default")
        self.commands.append(record)
        self.pending.append(record)

    def tell(self, **body: Any) -> None:
        """Add a command to the pending batch."""
        self.count += 1
        values = {
            "command_id": f"command-{self.count}",
            "tenant": "acme",
            "pool": "default",
            "reply_to": REPLY_TO,
            **body,
        }
        self.put(pb.RoutingCommand(**values).SerializeToString())

    def enqueue(self, queue: str = "q", channel: str = "chat", person: int = 0) -> str:
        """Add a new interaction; return its id."""
        name = f"i-{self.count}"
        attributes = pb.InteractionAttributes(
            interaction_id=name,
            conversation_id=f"c-{name}",
            person_id=f"p-{person}",
            channel=channel,
            queue=queue,
            arrived_at_ms=self.lane.now_ms,
            labels={"tier": "gold", "city": "Tehran", "shop": "17", "plan": "b", "locale": "fa"},
        )
        self.tell(enqueue=pb.Enqueue(interaction=attributes))
        return name

    def sign_in(self, agent: str) -> None:
        """Open a new session of an agent."""
        self.tell(sign_in=pb.SignIn(agent_id=agent, session_id=f"s-{agent}-{self.count}"))

    def cut(self) -> None:
        """Run the pending batch and commit it."""
        batch, self.pending = self.pending, []
        if batch:
            self.lane.batch(*batch)

    def wait(self, ms: int) -> None:
        """Let time pass; timers fire at their own times."""
        self.cut()
        self.lane.advance(ms)

    def crash(self, away_ms: int = 0) -> None:
        """Lose the owner, and let another one take over after a while."""
        self.cut()
        self.lane.now_ms += away_ms
        self.lane.crash()

    # The log

    def log(self) -> MemoryLog:
        """Return the log as the topics hold it."""
        self.cut()
        journal: list[Record] = []
        effects: list[Record] = []
        batch: list[Record] = []
        ends: dict[LogPartition, int] = {}
        for send in self.lane.sent:
            if send.verdict:
                continue
            if send.topic != JOURNAL:
                at = _place(send.topic, send.partition, send.key)
                batch.append(Record(*at, ends.get(at, 0), 0, send.key, send.value, send.headers))
                ends[at] = ends.get(at, 0) + 1
                continue
            now_ms = pb.JournalRecord.FromString(send.value).now_ms
            effects.extend(record._replace(timestamp_ms=now_ms) for record in batch)
            batch.clear()
            journal.append(Record(JOURNAL, 0, len(journal), now_ms, send.key, send.value, send.headers))
        assert not batch
        letters = [
            Record(
                "deadletters.v1", 0, n, record.timestamp_ms, b"", deadletters.encode(record, verdict, "router", 0), ()
            )
            for n, (record, verdict) in enumerate(self.lane.dead_letters)
        ]
        effects.sort(key=lambda record: (record.topic, record.partition, record.offset))
        return MemoryLog(list(self.commands), journal, effects, letters)


def an_event(record: Record) -> pb.RoutingEvent:
    """Parse a record of routing.events.v1."""
    assert record.topic == EVENTS
    return pb.RoutingEvent.FromString(record.value or b"")
