"""The readers of the feedback service."""

from chapar.common.v1.webhook_pb2 import WebhookNotice
from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis.kafka.records import Record
from services.chassis.metrics import Metrics
from services.feedback.adapters import readers
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.adapters.configuration import decode as decode_surveys
from services.feedback.adapters.handlers import Dispatcher
from services.feedback.adapters.links import SignedLinks
from services.feedback.adapters.recoveries import RecoveryDispatcher
from services.feedback.adapters.score_log import count_record, restored
from services.feedback.adapters.scores_view import FeedbackGauges, ScoresView
from services.feedback.adapters.views import ResponsesView
from services.feedback.domain.scores import ScoreTable
from services.feedback.lanes.relay import command_of
from services.feedback.lanes.survey import survey_factory
from services.feedback.metrics import METRICS
from services.feedback.ports import OutgoingInvitation, Recovery
from services.policy.reading.dates import shown
from tests.unit.feedback.builders import a_programme
from tests.unit.poison.generator import NOW
from tests.unit.poison.reader import (
    AnyKey,
    LaneReader,
    Reader,
    SilentLog,
    StrictPoison,
    Take,
    a_poison,
    batch,
    configuration_reader,
    guarded,
    webhooks,
)


class _Ingest:
    async def send(self, _invitation: OutgoingInvitation) -> str:
        return "delivery"

    async def open(self, _recovery: Recovery) -> str:
        return "interaction"


def _programmes() -> ConfiguredProgrammes:
    surveys = TenantSurveys(a_programme())
    return ConfiguredProgrammes({"acme": surveys, "parsa": surveys}.get)


def _dispatcher() -> Take:
    programmes = _programmes()
    links = SignedLinks(b"s" * 40, "https://ask.example", lambda: NOW)
    dispatcher = Dispatcher(
        programmes,
        links,
        _Ingest(),
        SilentLog(),  # type: ignore[arg-type]  # a fake
        lambda: NOW,
        lambda at_ms, programme, language: shown(at_ms, programme.zone, language),
    )
    return batch(readers.invitations(dispatcher, AnyKey(), a_poison(), Metrics(METRICS), 4))


def _analytics() -> Take:
    table = ScoreTable()

    def take(record: Record) -> None:
        count_record(table, record.offset, record.value, NOW)
        table.changes()

    return take


def _restore_scores() -> Take:
    return lambda record: restored(ScoreTable(), {record.key: record.value})


def _scores_view() -> Take:
    view, gauges, poison = ScoresView(), FeedbackGauges(Metrics(METRICS)), StrictPoison()
    return lambda record: readers.take_score(view, gauges, poison, record)


def _responses_view() -> Take:
    view, keys, poison = ResponsesView(100), AnyKey(), StrictPoison()
    return lambda record: readers.take_response(view, keys, poison, record)


FEEDBACK_READERS: tuple[Reader, ...] = (
    Reader(
        "feedback relay",
        "routing.events.v1",
        router_pb2.RoutingEvent,
        "feedback/lanes/relay.py",
        lambda: guarded(command_of),
    ),
    Reader(
        "feedback survey",
        "feedback.commands.v1",
        feedback_pb2.FeedbackCommand,
        "feedback/lanes/survey.py",
        lambda: LaneReader(survey_factory(_programmes(), Metrics(METRICS), AnyKey()), "feedback.commands.v1"),
    ),
    Reader(
        "feedback dispatcher", "feedback.responses.v1", feedback_pb2.FeedbackRecord, "feedback/wiring.py", _dispatcher
    ),
    Reader(
        "feedback recoveries",
        "feedback.responses.v1",
        feedback_pb2.FeedbackRecord,
        "feedback/wiring.py",
        lambda: batch(readers.recoveries(RecoveryDispatcher(_Ingest(), SilentLog(), lambda: NOW), Metrics(METRICS), 4)),  # type: ignore[arg-type]  # fakes
    ),
    Reader(
        "feedback webhooks",
        "feedback.responses.v1",
        feedback_pb2.FeedbackRecord,
        "feedback/wiring.py",
        lambda: batch(
            readers.responses_to_webhooks(webhooks("feedback.webhooks.v1"), _programmes(), AnyKey(), lambda: NOW)
        ),
    ),
    Reader(
        "feedback responses view",
        "feedback.responses.v1",
        feedback_pb2.FeedbackRecord,
        "feedback/wiring.py",
        _responses_view,
    ),
    Reader(
        "feedback analytics",
        "feedback.responses.v1",
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
        lambda: batch(webhooks("feedback.webhooks.v1").again),
    ),
    Reader(
        "feedback configuration",
        "config.v1",
        config_pb2.TenantConfiguration,
        "feedback/wiring.py",
        lambda: configuration_reader(decode_surveys),
    ),
)
