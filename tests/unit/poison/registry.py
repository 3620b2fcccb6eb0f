"""Every reader of every topic, as the fuzz drives it. `test_fuzz` asserts that no consumed topic and no reading module is missing.

A reader takes one record at a time. Whatever it lets escape would end a service. Lanes also get time, take-overs and a restore
of what they wrote, because a record that is taken now can do its harm later.
"""

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from google.protobuf.message import Message

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import privacy_pb2, revocation_pb2, verdict_pb2
from chapar.common.v1.webhook_pb2 import WebhookNotice
from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.config_reader import ConfigReader
from services.chassis.destinations import DEVELOPMENT
from services.chassis.grpc.lifetimes import Lifetimes
from services.chassis.grpc.trust import take_revocation
from services.chassis.kafka.consumer import NotNow
from services.chassis.kafka.contract import LaneContext, LaneTuning, ProcessorFactory
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.chassis.privacy.keyring import Keyring
from services.chassis.privacy.keystore import KeyStore
from services.chassis.privacy.master import MasterKeys
from services.chassis.privacy.sealing import DataKey
from services.chassis.privacy.settings import DEVELOPMENT as MASTER
from services.chassis.questions import LaneQuestions
from services.chassis.secrets import SecretReferences
from services.chassis.webhook_retries import Patience, Webhooks
from services.chassis.webhooks import webhook_client
from services.feedback.adapters import readers
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.adapters.configuration import decode as decode_surveys
from services.feedback.adapters.dates import shown
from services.feedback.adapters.links import SignedLinks
from services.feedback.adapters.recoveries import RecoveryDispatcher
from services.feedback.adapters.relay_lane import relay_factory as feedback_relay_factory
from services.feedback.adapters.score_log import folded, restored
from services.feedback.adapters.scores_view import FeedbackGauges, ScoresView
from services.feedback.adapters.survey_lane import survey_factory
from services.feedback.adapters.views import AnswersView
from services.feedback.domain.scores import Book
from services.feedback.handlers import Dispatcher
from services.feedback.ports import OutgoingInvitation, Recovery
from services.ingest.adapters.edges.accounts import ConfiguredAccounts
from services.ingest.adapters.edges.erasure import Outcomes
from services.ingest.adapters.edges.webchat_hub import WebchatHub
from services.ingest.adapters.rules_cel import CelConditions
from services.ingest.history.mapping import fact
from services.ingest.history.story import Unreadable
from services.ingest.lanes.intake import intake_factory
from services.ingest.lanes.policies import CompiledPolicies
from services.ingest.lanes.relay import relay_factory
from services.ingest.lanes.sender import sender_factory
from services.ingest.wiring import _decode as decode_accounts
from services.router.adapters.command_bus import CommandBus
from services.router.adapters.feed import take as take_feed
from services.router.adapters.gateway import Gateway
from services.router.adapters.shard import ShardProcessor
from services.router.adapters.shard_metrics import ShardMetrics
from services.sla.adapters.broadcast import Broadcast
from services.sla.adapters.business_calendar import caching_calendars
from services.sla.adapters.escalation import Escalation
from services.sla.adapters.lane import factory as sla_factory
from services.sla.adapters.notices import Notices
from services.sla.adapters.read_model import ReadModel
from services.sla.translate.configuration import decode_promises
from tests.fakes.lane import FakeLane
from tests.fakes.privacy import MemoryKeys
from tests.flow.ingest.world import RecordingAttempts, a_configuration
from tests.flow.sla.test_lane import Flow
from tests.unit.feedback.builders import a_programme
from tests.unit.poison.generator import NOW

Take = Callable[[Record], None]
HOUR = 3_600_000


@dataclass(frozen=True)
class Reader:
    """`make` builds what takes the records. `module` is where services read the topic."""

    name: str
    topic: str
    schema: type[Message]
    module: str
    make: Callable[[], Take]


def guarded(take: Take) -> Take:
    """As `Poison.guard` has it: refusals are refusals; what else escapes is a finding, although the guard would hold it."""

    def one(record: Record) -> None:
        try:
            take(record)
        except (InvalidRecord, ValueError) as verdict:
            if not isinstance(verdict, InvalidRecord) and type(verdict).__name__ != "Untranslatable":
                raise

    return one


class LaneReader:
    """A processor on the fake lane, without the step over bugs: a bug is a finding."""

    def __init__(self, make: ProcessorFactory, topic: str, first: tuple[bytes, ...] = ()) -> None:
        tuning = LaneTuning(attempts=1, step_over=False)
        self.lane = FakeLane(make, input_topic=topic, now_ms=NOW, tuning=tuning)
        for value in first:
            self.lane.handle(value)
        self._count = 0

    def __call__(self, record: Record) -> None:
        lane = self.lane
        made = lane.record(record.value, key=record.key, headers=record.headers)
        lane.batch(made._replace(timestamp_ms=record.timestamp_ms))
        self._count += 1
        if self._count % 50 == 0:
            lane.now_ms += 60_000
            lane.batch()
        if self._count % 400 == 0:
            lane.crash()
        if self._count % 300 == 0:
            lane.now_ms += 40 * 24 * HOUR  # what waits for a time meets it
            lane.batch()


def _batch(handle: readers.Batch) -> Take:
    def take(record: Record) -> None:
        try:
            asyncio.run(_awaited(handle, record))
        except NotNow:
            return

    return take


async def _awaited(handle: readers.Batch, record: Record) -> None:
    await handle([record])


class AnyKey(MemoryKeys):
    """Has a key of every id, so that what is sealed is tried with it."""

    def find(self, key_id: bytes) -> DataKey:
        return self.made("acme", "anyone")


class _Log:
    """Takes what would be written to the log."""

    async def publish(self, *_: object, **__: object) -> tuple[int, int]:
        return 0, 0


class _Ingest:
    async def send(self, _invitation: OutgoingInvitation) -> str:
        return "delivery"

    async def open(self, _recovery: Recovery) -> str:
        return "interaction"


class _Router:
    async def _answer(self, *_: object, **__: object) -> None:
        return

    Reprioritise = Reroute = _answer


def _programmes() -> ConfiguredProgrammes:
    surveys = TenantSurveys(a_programme())
    return ConfiguredProgrammes({"acme": surveys, "parsa": surveys}.get)


def _poison() -> Poison:
    return Poison("fuzz", Metrics())


def _router() -> Take:
    counters = ShardMetrics(Metrics())

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
    bus = CommandBus(_Log(), AnyKey(), "acme", 0, lambda: NOW)  # type: ignore[arg-type]  # a fake
    gateway = Gateway(bus, Metrics())

    def deliver(record: router_pb2.FeedRecord) -> None:
        if record.result.command_id:
            bus.resolve(record.result)
        else:
            gateway.deliver(record)

    return guarded(lambda record: take_feed(record, "acme", deliver))


def _intake() -> Take:
    tenants = {name: a_configuration(tenant=name) for name in ("acme", "parsa")}
    policies = CompiledPolicies(lambda: tenants, CelConditions)
    return LaneReader(intake_factory(policies, Metrics(), AnyKey()), "inbound.v1")


def _policies() -> Take:
    """What the lanes make of a configuration that the reader has taken: it must not fail where no record can be refused."""
    running: dict[str, config_pb2.TenantConfiguration] = {}
    compiled = CompiledPolicies(lambda: running, CelConditions)

    def change(tenant: str, value: config_pb2.TenantConfiguration | None) -> None:
        if value is not None:
            running[tenant] = value
        compiled()

    kafka = KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:9"})
    reader = ConfigReader(kafka, decode_accounts, on_change=None)

    def take(record: Record) -> None:
        reader._take(record.partition, record.offset, record.key, record.value)
        for tenant, value in reader.values.items():
            if running.get(tenant) is not value:
                change(tenant, value)

    return take


def _history() -> Take:
    keys = AnyKey()

    def take(record: Record) -> None:
        try:
            fact(record, keys)
        except Unreadable:
            return

    return take


def _verdicts() -> Take:
    return guarded(LaneQuestions(1.0, {}).take)


def _outcomes() -> Take:
    outcomes = Outcomes()
    return lambda record: outcomes.take(record.value or b"")


def _personal_keys() -> Take:
    directory = tempfile.mkdtemp(prefix="chapar-fuzz-")
    atexit.register(shutil.rmtree, directory)
    kafka = KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:9"})
    keys = Keyring(
        kafka,
        MasterKeys([MASTER]),
        KeyStore(Path(directory) / "keys.sqlite3"),
        _Log(),  # type: ignore[arg-type]  # a fake
        client_id="fuzz",
        clock=lambda: NOW,
        metrics=Metrics(),
    )

    def take(record: Record) -> None:
        keys._apply([record], record.offset + 1)

    return take


def _revocations() -> Take:
    lifetimes = Lifetimes()
    return guarded(lambda record: take_revocation(lifetimes, record, NOW / 1000))


def _sla_lane() -> Take:
    make = sla_factory(
        caching_calendars(),
        lambda: {name: Flow.policy() for name in ("acme", "parsa")},
        lambda _occurrences: None,
        forget_after_ms=10 * HOUR,
        settle_ms=0,
    )
    return LaneReader(make, "routing.events.v1")


def _webhooks(topic: str) -> Webhooks:
    return Webhooks(
        topic,
        lambda _tenant, _name: None,
        SecretReferences(lambda: NOW),
        webhook_client(DEVELOPMENT),  # not entered: no endpoint is configured, so nothing is called
        _Log(),  # type: ignore[arg-type]  # a fake
        lambda: NOW,
        Metrics(),
        Patience(delay_ms=0),
    )


def _dispatcher() -> Take:
    programmes = _programmes()
    links = SignedLinks(b"s" * 40, "https://ask.example", lambda: NOW)
    dispatcher = Dispatcher(
        programmes,
        links,
        _Ingest(),
        _Log(),  # type: ignore[arg-type]  # a fake
        lambda: NOW,
        lambda at_ms, programme, language: shown(at_ms, programme.zone, language),
    )
    return _batch(readers.invitations(dispatcher, AnyKey(), _poison(), Metrics()))


def _analytics() -> Take:
    book = Book()

    def take(record: Record) -> None:
        folded(book, record.offset, record.value, NOW)
        book.changes()

    return take


def _restore_scores() -> Take:
    return lambda record: restored(Book(), {record.key: record.value})


def _scores_view() -> Take:
    view, gauges, poison = ScoresView(), FeedbackGauges(Metrics()), _Strict()
    return lambda record: readers.take_score(view, gauges, poison, record)


def _answers_view() -> Take:
    view, keys, poison = AnswersView(100), AnyKey(), _Strict()
    return lambda record: readers.take_answer(view, keys, poison, record)


class _Strict(Poison):
    """A guard that lets bugs through."""

    def __init__(self) -> None:
        super().__init__("fuzz", Metrics())

    def guard(self, record: Record, take: Take) -> bool:
        guarded(take)(record)
        return True


def _read_model() -> Take:
    """The lane's own codec is strict, so here the guard itself is tried: what is not the lane's is stepped over."""
    model, poison = ReadModel(caching_calendars()), _poison()

    def take(record: Record) -> None:
        poison.guard(record, model.apply)

    return take


def _configuration(decode: Callable[[str, bytes], Any], on_change: Callable[[str, Any], None] | None = None) -> Take:
    kafka = KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:9"})
    reader = ConfigReader(kafka, decode, on_change=on_change)
    return lambda record: reader._take(record.partition, record.offset, record.key, record.value)


READERS: tuple[Reader, ...] = (
    Reader("ingest intake", "inbound.v1", ingest_pb2.InboundRecord, "ingest/lanes/intake.py", _intake),
    Reader(
        "ingest relay",
        "routing.events.v1",
        router_pb2.RoutingEvent,
        "ingest/lanes/relay.py",
        lambda: LaneReader(relay_factory, "routing.events.v1"),
    ),
    Reader(
        "ingest sender",
        "outbound.v1",
        ingest_pb2.OutboundRecord,
        "ingest/lanes/sender.py",
        lambda: LaneReader(sender_factory(_Forgetful(), Metrics(), AnyKey()), "outbound.v1"),
    ),
    Reader(
        "ingest web chat",
        "conversations.v1",
        ingest_pb2.ConversationRecord,
        "ingest/wiring.py",
        lambda: guarded(WebchatHub(AnyKey(), _poison()).take),
    ),
    *(
        Reader(f"ingest history {topic}", topic, schema, "ingest/history/projection.py", _history)
        for topic, schema in (
            ("conversations.v1", ingest_pb2.ConversationRecord),
            ("routing.events.v1", router_pb2.RoutingEvent),
            ("sla.events.v1", sla_pb2.SlaEvent),
            ("deliveries.v1", ingest_pb2.DeliveryRecord),
            ("feedback.answers.v1", feedback_pb2.FeedbackRecord),
            ("audit.v1", audit_pb2.AuditRecord),
        )
    ),
    *(
        Reader(f"{service} verdicts", f"{service}.verdicts.v1", verdict_pb2.Verdict, f"{service}/wiring.py", _verdicts)
        for service in ("ingest", "feedback")
    ),
    Reader(
        "ingest outcomes of erasures",
        "personal.erasures.v1",
        privacy_pb2.ErasureOutcome,
        "ingest/adapters/edges/erasure.py",
        _outcomes,
    ),
    Reader(
        "all personal keys", "personal.keys.v1", privacy_pb2.PersonalKey, "chassis/privacy/keyring.py", _personal_keys
    ),
    Reader("all revocations", "revocations.v1", revocation_pb2.Revocation, "chassis/grpc/trust.py", _revocations),
    Reader(
        "ingest configuration",
        "config.v1",
        config_pb2.TenantConfiguration,
        "ingest/wiring.py",
        lambda: _configuration(decode_accounts, ConfiguredAccounts().replace),
    ),
    Reader("ingest policies", "config.v1", config_pb2.TenantConfiguration, "ingest/wiring.py", _policies),
    Reader("router shard", "routing.commands.v1", router_pb2.RoutingCommand, "router/adapters/shard.py", _router),
    Reader("router gateway", "gateway.feed.v1", router_pb2.FeedRecord, "router/adapters/feed.py", _feed),
    Reader("sla lane", "routing.events.v1", router_pb2.RoutingEvent, "sla/adapters/lane.py", _sla_lane),
    Reader(
        "sla read model",
        "sla.state.v1",
        sla_pb2.SlaEvent,
        "sla/wiring.py",
        _read_model,
    ),
    Reader(
        "sla watchers",
        "sla.events.v1",
        sla_pb2.SlaEvent,
        "sla/adapters/broadcast.py",
        lambda: guarded(Broadcast(_poison()).take),
    ),
    Reader(
        "sla escalation",
        "sla.events.v1",
        sla_pb2.SlaEvent,
        "sla/wiring.py",
        lambda: _batch(Escalation(_Router(), Metrics()).handle),  # type: ignore[arg-type]  # a fake
    ),
    Reader(
        "sla notices",
        "sla.events.v1",
        sla_pb2.SlaEvent,
        "sla/wiring.py",
        lambda: _batch(Notices(lambda _: MappingProxyType({}), _webhooks("sla.webhooks.v1"), lambda: NOW).handle),
    ),
    Reader(
        "sla webhooks again",
        "sla.webhooks.v1",
        WebhookNotice,
        "sla/wiring.py",
        lambda: _batch(_webhooks("sla.webhooks.v1").again),
    ),
    Reader(
        "sla configuration",
        "config.v1",
        config_pb2.TenantConfiguration,
        "sla/wiring.py",
        lambda: _configuration(decode_promises(caching_calendars(), lambda _policy: None)),
    ),
    Reader(
        "feedback relay",
        "routing.events.v1",
        router_pb2.RoutingEvent,
        "feedback/adapters/relay_lane.py",
        lambda: LaneReader(feedback_relay_factory, "routing.events.v1"),
    ),
    Reader(
        "feedback survey",
        "feedback.commands.v1",
        feedback_pb2.FeedbackCommand,
        "feedback/adapters/survey_lane.py",
        lambda: LaneReader(survey_factory(_programmes(), Metrics(), AnyKey()), "feedback.commands.v1"),
    ),
    Reader(
        "feedback dispatcher", "feedback.answers.v1", feedback_pb2.FeedbackRecord, "feedback/wiring.py", _dispatcher
    ),
    Reader(
        "feedback recoveries",
        "feedback.answers.v1",
        feedback_pb2.FeedbackRecord,
        "feedback/wiring.py",
        lambda: _batch(readers.recoveries(RecoveryDispatcher(_Ingest(), _Log(), lambda: NOW), Metrics())),  # type: ignore[arg-type]  # fakes
    ),
    Reader(
        "feedback webhooks",
        "feedback.answers.v1",
        feedback_pb2.FeedbackRecord,
        "feedback/wiring.py",
        lambda: _batch(
            readers.answers_to_webhooks(_webhooks("feedback.webhooks.v1"), _programmes(), AnyKey(), lambda: NOW)
        ),
    ),
    Reader(
        "feedback answers view", "feedback.answers.v1", feedback_pb2.FeedbackRecord, "feedback/wiring.py", _answers_view
    ),
    Reader(
        "feedback analytics",
        "feedback.answers.v1",
        feedback_pb2.FeedbackRecord,
        "feedback/adapters/score_log.py",
        _analytics,
    ),
    Reader("feedback scores view", "feedback.scores.v1", feedback_pb2.ScoreRecord, "feedback/wiring.py", _scores_view),
    Reader(
        "feedback scores restored",
        "feedback.scores.v1",
        feedback_pb2.ScoreRecord,
        "feedback/adapters/score_log.py",
        _restore_scores,
    ),
    Reader(
        "feedback webhooks again",
        "feedback.webhooks.v1",
        WebhookNotice,
        "feedback/wiring.py",
        lambda: _batch(_webhooks("feedback.webhooks.v1").again),
    ),
    Reader(
        "feedback configuration",
        "config.v1",
        config_pb2.TenantConfiguration,
        "feedback/wiring.py",
        lambda: _configuration(decode_surveys),
    ),
)

NOT_READ: Mapping[str, str] = MappingProxyType(
    {
        "routing.journal.v1": "read by the replay command only",
        "deadletters.v1": "read by the deadletters command only",
        # A changelog is read by its own lane alone, which refuses to start on an entry that it did not write.
        "ingest-intake.state.v1": "changelog",
        "ingest-relay.state.v1": "changelog",
        "ingest-sender.state.v1": "changelog",
        "router.state.v1": "changelog",
        "feedback-relay.state.v1": "changelog",
        "feedback.state.v1": "changelog",
    }
)


class _Forgetful(RecordingAttempts):
    """Attempts that are never performed."""

    def submit(self, job: Any) -> None:
        return
