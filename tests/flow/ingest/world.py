"""The ingest service's lanes, joined as Kafka joins them, without Kafka: the output of one lane is another's input."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message as ProtoMessage
from prometheus_client import CollectorRegistry

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis.ids import derive
from services.chassis.kafka.headers import REPLAYED
from services.chassis.kafka.outbox import Send
from services.chassis.keys import tenant_key
from services.chassis.metrics import Metrics
from services.chassis.pacing import NO_LIMIT, Rate
from services.ingest.domain.attempts import AttemptJob
from services.ingest.domain.decisions import IntakeLimits
from services.ingest.domain.deliveries import Finished, Outcome, SenderLimits
from services.ingest.domain.messages import Route
from services.ingest.lanes.intake import intake_factory
from services.ingest.lanes.policies import CompiledPolicies
from services.ingest.lanes.relay import notice_of
from services.ingest.lanes.sender import sender_factory
from services.ingest.metrics import METRICS
from services.ingest.translate.sender import finished_record
from services.policy.reading.rule_conditions import CelConditions
from tests.fakes.lane import Failure, FakeLane
from tests.fakes.privacy import MemoryKeys
from tests.fakes.relay import FakeRelay

TENANT = "acme"


def a_configuration(**changes: Any) -> config_pb2.TenantConfiguration:
    """Two queues of one pool, accounts of five channels, and rules that send Persian to "fa" and give gold priority."""
    configuration = config_pb2.TenantConfiguration(
        tenant=TENANT,
        version=7,
        default_language="en",
        pools=[config_pb2.Pool(name="main")],
        queues=[
            config_pb2.Queue(name="general", pool="main"),
            config_pb2.Queue(name="persian", pool="main"),
            config_pb2.Queue(name="sales", pool="shop"),
        ],
        rules=[
            config_pb2.RoutingRule(name="broken", when="person.nothing == 'x'", queue="sales"),
            config_pb2.RoutingRule(
                name="gold",
                when="labels['tier'] == 'gold'",
                queue="sales",
                priority=5,
                labels={"vip": "true"},
                requirements=[types_pb2.Selector(attribute="vip", number=3)],
            ),
            config_pb2.RoutingRule(name="persian", when="language.startsWith('fa')", queue="persian"),
            config_pb2.RoutingRule(name="buy", when="text.contains('buy')", queue="sales"),
        ],
        channels=[
            config_pb2.ChannelAccount(channel="webchat", account="site", acknowledge=True),
            config_pb2.ChannelAccount(channel="telegram", account="bot", acknowledge=True),
            config_pb2.ChannelAccount(channel="whatsapp", account="wa", gather_ms=5_000),
            config_pb2.ChannelAccount(channel="email", account="help"),
        ],
    )
    for name, value in changes.items():
        setattr(configuration, name, value)
    return configuration


def an_identity(native_id: str = "v1", channel: str = "webchat", account: str = "site") -> records_pb2.Identity:
    """A customer's account on a channel."""
    return records_pb2.Identity(
        identity_id=derive(TENANT, channel, account, native_id),
        tenant=TENANT,
        channel=channel,
        account=account,
        native_id=native_id,
        display_name="Sara",
    )


def a_message(
    text: str = "hello",
    *,
    native_message_id: str = "m1",
    identity: records_pb2.Identity | None = None,
    **changes: Any,
) -> records_pb2.InboundRecord:
    """A customer's message as an edge publishes it."""
    who = identity if identity is not None else an_identity()
    revision = int(changes.get("revision", 0))
    message = records_pb2.CustomerMessage(
        message_id=derive(who.identity_id, native_message_id, str(revision)),
        identity=who,
        native_message_id=native_message_id,
        kind=records_pb2.MESSAGE_KIND_TEXT,
        text=text,
        language="en",
        received_at_ms=1_700_000_000_000,
        reply_context={"chat_id": who.native_id},
        origin=records_pb2.Origin(
            proof=records_pb2.ORIGIN_PROOF_UNSPECIFIED
            if who.channel == "email"
            else records_pb2.ORIGIN_PROOF_PROVIDER_SIGNATURE
        ),
    )
    for name, value in changes.items():
        if isinstance(value, Mapping):
            getattr(message, name).update(value)
        elif isinstance(value, ProtoMessage):
            getattr(message, name).CopyFrom(value)
        else:
            setattr(message, name, value)
    return records_pb2.InboundRecord(tenant=TENANT, message=message)


@dataclass(slots=True)
class RecordingAttempts:
    """Takes the place of the providers: keeps submitted attempts; a test decides their outcomes."""

    owner: str = "run-1"
    jobs: list[AttemptJob] = field(default_factory=list)
    known: set[tuple[str, int]] = field(default_factory=set)
    written: set[tuple[str, int]] = field(default_factory=set)
    """Attempts whose outcome was written to the log."""
    turns: Callable[[], int] = lambda: 0
    """Returns when the next message may leave."""

    def turn(self, _tenant: str, _route: Route) -> int:
        return self.turns()

    def submit(self, job: AttemptJob) -> None:
        at = (job.delivery.delivery_id, job.delivery.number)
        assert at not in [(j.delivery.delivery_id, j.delivery.number) for j in self.jobs], "submitted twice"
        self.jobs.append(job)
        self.known.add(at)

    def knows(self, delivery_id: str, number: int) -> bool:
        return (delivery_id, number) in self.known

    def published(self, delivery_id: str, number: int) -> bool:
        return (delivery_id, number) in self.written

    def forget(self, delivery_id: str, number: int) -> None:
        self.known.discard((delivery_id, number))
        self.written.discard((delivery_id, number))

    def restart(self, owner: str) -> None:
        """The process died: the new one does not know the submitted attempts."""
        self.owner = owner
        self.known.clear()
        self.written.clear()


class World:
    """All lanes of ingest with one partition each, and what they wrote."""

    def __init__(
        self,
        configuration: config_pb2.TenantConfiguration | None = None,
        limits: IntakeLimits | None = None,
        sender_limits: SenderLimits | None = None,
        pace: Rate = NO_LIMIT,
    ) -> None:
        self.configuration = configuration if configuration is not None else a_configuration()
        self.metrics = Metrics(METRICS, CollectorRegistry(auto_describe=True), tenants=True)
        self.attempts = RecordingAttempts()
        self.keys = MemoryKeys()
        self.tenants: dict[str, config_pb2.TenantConfiguration] = {}
        self.removed: set[str] = set()

        def configured() -> dict[str, config_pb2.TenantConfiguration]:
            known = {TENANT: self.configuration, **self.tenants}
            return {tenant: known[tenant] for tenant in known.keys() - self.removed}

        policies = CompiledPolicies(configured, CelConditions)
        self.intake = FakeLane(
            intake_factory(policies, self.metrics, self.keys, limits or IntakeLimits(), pace), input_topic="inbound.v1"
        )
        self.relay = FakeRelay(notice_of, "routing.events.v1")
        self.sender = FakeLane(
            sender_factory(self.attempts, self.metrics, self.keys, sender_limits or SenderLimits(), policies=policies),
            input_topic="outbound.v1",
        )
        self.log: list[Send] = []
        self._read = {id(lane): 0 for lane in (self.intake, self.relay, self.sender)}

    # ---- steps of a test

    def customer(self, *records: records_pb2.InboundRecord, fail: Failure | None = None) -> None:
        """Let messages arrive in one batch; with `fail` the lane's process dies there."""
        batch = [
            self.intake.record(r.SerializeToString(), key=tenant_key(r.tenant, r.message.identity.identity_id))
            for r in records
        ]
        self.intake.batch(*batch)
        self.pump()

    def inbound(self, record: records_pb2.InboundRecord, key: str) -> None:
        """Write any record of inbound.v1."""
        self.intake.handle(record.SerializeToString(), key=tenant_key(record.tenant, key))
        self.pump()

    def routing(
        self, kind: str, interaction: router_pb2.InteractionAttributes, at_ms: int | None = None, **fields: Any
    ) -> None:
        """Write a routing event of an interaction, as of now or with the state that it had at an earlier time."""
        self.relayed(kind, interaction, at_ms, **fields)
        self.pump()

    def relayed(
        self, kind: str, interaction: router_pb2.InteractionAttributes, at_ms: int | None = None, **fields: Any
    ) -> list[Send]:
        """Let the relay read a routing event; returns what it writes, which `pump` passes on."""
        event = router_pb2.RoutingEvent(
            event_id=derive("event", kind, interaction.interaction_id),
            tenant=TENANT,
            pool="main",
            occurred_at_ms=self.intake.now_ms if at_ms is None else at_ms,
            interaction=interaction,
        )
        part = getattr(event, kind)
        part.SetInParent()
        for name, value in fields.items():
            setattr(part, name, value)
        key = tenant_key(TENANT, interaction.conversation_id)
        return self.relay.handle(event.SerializeToString(), key=key)

    def reply(
        self,
        conversation_id: str,
        text: str,
        request_id: str = "r1",
        *,
        replayed: bool = False,
        author_id: str = "sara",
        **fields: Any,
    ) -> None:
        """Write an agent's reply, as the gateway does, or as an operator does who replays its dead letter."""
        request = records_pb2.OutboundRequest(
            request_id=request_id,
            tenant=TENANT,
            conversation_id=conversation_id,
            text=text,
            purpose=records_pb2.OUTBOUND_PURPOSE_REPLY,
            author_kind=types_pb2.ACTOR_KIND_AGENT,
            author_id=author_id,
            **fields,
        )
        record = records_pb2.OutboundRecord(tenant=TENANT, conversation_id=conversation_id, request=request)
        headers = ((REPLAYED, b"1"),) if replayed else ()
        self.sender.handle(record.SerializeToString(), key=tenant_key(TENANT, conversation_id), headers=headers)
        self.pump()

    def outcome(self, outcome: Outcome, job: AttemptJob | None = None, **fields: Any) -> None:
        """Write the outcome of an attempt (the newest)."""
        job = job or self.attempts.jobs[-1]
        event = Finished(delivery_id=job.delivery.delivery_id, attempt=job.delivery.number, outcome=outcome, **fields)
        record = finished_record(job.tenant, job.conversation_id, event, self.sender.now_ms)
        self.sender.handle(record.SerializeToString(), key=tenant_key(job.tenant, job.conversation_id))
        self.pump()

    def wait(self, ms: int) -> None:
        """Let time pass."""
        for lane in (self.intake, self.relay, self.sender):
            lane.advance(ms)
        self.pump()

    def crash(self) -> None:
        """Kill the sender's process: its memory and its attempts are lost."""
        self.attempts.restart(f"{self.attempts.owner}+")
        self.sender.crash()
        self.pump()

    # ---- results

    @property
    def commands(self) -> list[router_pb2.RoutingCommand]:
        """Return the commands sent to the router."""
        return self._all("routing.commands.v1", router_pb2.RoutingCommand.FromString)

    @property
    def enqueued(self) -> list[router_pb2.InteractionAttributes]:
        """Return the interactions that were handed to the router."""
        return [c.enqueue.interaction for c in self.commands if c.WhichOneof("command") == "enqueue"]

    @property
    def conversation(self) -> list[records_pb2.ConversationRecord]:
        """Return the records of all conversations."""
        return self._all("conversations.v1", records_pb2.ConversationRecord.FromString)

    @property
    def texts(self) -> list[str]:
        """Return the texts of all conversations, in order."""
        return [r.message.text for r in self.conversation if r.WhichOneof("record") == "message"]

    @property
    def delivery_records(self) -> list[records_pb2.DeliveryRecord]:
        """Return the published states of deliveries."""
        return self._all("deliveries.v1", records_pb2.DeliveryRecord.FromString)

    @property
    def deliveries(self) -> list[tuple[str, str]]:
        """Return (state, reason) of delivery records."""
        found = self.delivery_records
        return [(records_pb2.DeliveryState.Name(d.state).removeprefix("DELIVERY_STATE_"), d.reason) for d in found]

    @property
    def outbound(self) -> list[records_pb2.OutboundRecord]:
        """Return the requests from intake to the sender."""
        return [
            self.keys.opened(records_pb2.OutboundRecord.FromString(s.value), s.topic, s.key)
            for s in self.intake.sent_to("outbound.v1")
        ]

    @property
    def responses(self) -> list[feedback_pb2.FeedbackCommand]:
        """Return the survey responses."""
        return self._all("feedback.commands.v1", feedback_pb2.FeedbackCommand.FromString)

    def kinds(self) -> list[str]:
        """Return the kinds of all conversations' records, in order."""
        return [r.WhichOneof("record") or "" for r in self.conversation]

    # ---- internal

    def _all(self, topic: str, decode: Callable[[bytes], Any]) -> list[Any]:
        found = [(decode(s.value), s.key) for s in self.log if s.topic == topic]
        return [self.keys.opened(record, topic, key) if hasattr(record, "sealed") else record for record, key in found]

    def pump(self) -> None:
        """Pass the lanes' outputs to each other's inputs, until nothing is left."""
        moved = True
        while moved:
            moved = False
            for lane in (self.intake, self.relay, self.sender):
                while self._read[id(lane)] < len(lane.sent):
                    send = lane.sent[self._read[id(lane)]]
                    self.log.append(send)
                    self._read[id(lane)] += 1
                    target = {"outbound.v1": self.sender, "inbound.v1": self.intake}.get(send.topic)
                    if target is not None:
                        target.handle(send.value, key=send.key, headers=send.headers)
                        moved = True
