"""The table: how each shipped alert is provoked, and what is expected. An alert without a row fails the check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tests.alerts import faults
from tests.alerts.exposition import Change, Replay
from tests.alerts.faults import Fault

NONE: Final[Mapping[str, str]] = MappingProxyType({})
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Real:
    """A fault of the real installation. Alerts with the same fault are provoked together."""

    fault: Fault

    @property
    def cause(self) -> str:
        """The fault in words."""
        return (self.fault.__doc__ or "").split("\n")[0]


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """Recorded metrics in which some series change, because the cause takes days, a cluster, or loses data."""

    cause: str
    replay: Replay
    past: tuple[Change, ...] = ()
    """Series that had these values for the last six hours, until 20 minutes ago."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to provoke an alert. `labels`: of the alert that must fire. Times are seconds of the check, at most."""

    alert: str
    how: Real | Replayed
    labels: Mapping[str, str] = field(default_factory=lambda: NONE)
    fires_s: float = 40
    resolves_s: float = 60

    @property
    def name(self) -> str:
        """The alert, and the labels that distinguish this row."""
        return self.alert + "".join(f" {value}" for value in self.labels.values())


def _gauge(name: str, value: float, **labels: str) -> Change:
    return Change(name, labels, value)


def _counter(name: str, value: float, **labels: str) -> Change:
    return Change(name, labels, value, stays=True)


def _growing(name: str, each_s: float, **labels: str) -> Change:
    """A counter of what is tried again for as long as the fault lasts."""
    return Change(name, labels, 0, stays=True, grows=each_s)


def _moment(name: str, seconds_from_now: float, **labels: str) -> Change:
    return Change(name, labels, seconds_from_now, since_now=True)


def _replayed(alert: str, cause: str, job: str, *changes: Change, past: tuple[Change, ...] = (), **more: object) -> Row:
    return Row(alert, Replayed(cause, Replay(job, changes), past), **more)  # type: ignore[arg-type]  # fields of Row


ROUTER, INGEST, SLA, FEEDBACK, BROKER = "chapar-router", "chapar-ingest", "chapar-sla", "chapar-feedback", "kafka"
AWAY, LOADED = Real(faults.kafka_away), Real(faults.kafka_away_under_load)
HANGS, SHORT = Real(faults.feedback_hangs), Real(faults.no_agents_after_a_restart_of_sla)

ROWS: Final = (
    *(Row("ChaparKafkaUnreachable", AWAY, {"job": job}) for job in (ROUTER, INGEST, SLA, FEEDBACK)),
    *(Row("ChaparServiceAbsent", AWAY, {"job": job}) for job in (ROUTER, INGEST, SLA, FEEDBACK)),
    Row("ChaparTimersPastDue", LOADED, resolves_s=150),
    Row("ChaparEdgeRefusesForBroker", LOADED, {"channel": "telegram"}),
    Row("ChaparGrpcErrorBudgetBurnsFast", LOADED, {"job": INGEST}, resolves_s=150),
    Row("ChaparServiceAbsent", HANGS, {"job": FEEDBACK}),
    Row("ChaparLaneWithoutOwner", HANGS, {"job": FEEDBACK, "lane": "feedback"}),
    Row("ChaparLaneWithoutOwner", Real(faults.a_stranger_takes_partitions), {"lane": "sla"}),
    Row("ChaparRebalanceStorm", Real(faults.strangers_come_and_go), {"lane": "router"}, fires_s=90),
    Row("ChaparDeadLetters", Real(faults.a_record_that_no_one_can_read), {"lane": "router", "reason": "UNDECODABLE"}),
    Row("ChaparConfigurationRefused", Real(faults.a_configuration_that_no_one_can_read), {"job": INGEST}),
    Row("ChaparConfigurationRefused", Real(faults.a_configuration_that_no_one_can_read), {"job": SLA}),
    Row("ChaparUnroutable", Real(faults.texts_without_a_rule), {"channel": "webhook"}),
    Row(
        "ChaparUnroutable", Real(faults.interactions_for_a_queue_that_is_gone),
        {"queue": "sales", "reason": "UNKNOWN_QUEUE"},
    ),
    Row("ChaparBreaches", SHORT, {"target": "PICK_UP"}, fires_s=60, resolves_s=120),
    Row("ChaparWebhooksGivenUp", SHORT, {"job": SLA, "reason": "GONE"}, resolves_s=180),
    Row("ChaparAbandonment", Real(faults.customers_give_up), {"queue": "support"}),
    Row("ChaparProviderFails", Real(faults.a_provider_that_refuses), {"channel": "telegram"}, fires_s=60, resolves_s=90),
    Row("ChaparUnknownDeliveries", Real(faults.a_provider_that_hangs_up), {"channel": "telegram"}),
    Row("ChaparHistoryBehind", Real(faults.a_locked_history), {"job": INGEST}, fires_s=90),
    Row("ChaparClockRefused", Real(faults.a_clock_an_hour_ahead), {"job": SLA, "clock": "machine"}),
    _replayed(
        "ChaparLaneLag", "A record waits 31 s for its commit", ROUTER,
        _gauge("chapar_lane_lag_seconds", 31, lane="router", partition="0"),
        labels={"lane": "router"},
    ),
    _replayed(
        "ChaparLaneRefused", "A changelog was deleted", ROUTER,
        _gauge("chapar_lane_refused", 1, lane="router", partition="0", reason="CHANGELOG_LOST"),
        labels={"reason": "CHANGELOG_LOST"},
    ),
    _replayed(
        "ChaparTransactionHangs",
        "A broker lost the markers of a transaction",
        ROUTER,
        _gauge("chapar_transaction_open_seconds", 90, topic="routing.events.v1"),
        labels={"topic": "routing.events.v1"},
    ),
    _replayed(
        "ChaparPersonalKeysRefused", "The topic of keys was shortened", INGEST,
        _gauge("chapar_personal_keys_refused", 1),
    ),
    _replayed(
        "ChaparWaitsTooLong", "A customer has waited for eleven minutes", ROUTER,
        _gauge("chapar_router_oldest_waiting_seconds", 660, queue="sales"),
        labels={"queue": "sales"},
    ),
    _replayed(
        "ChaparTargetsAtRisk", "A third of thirty targets will be breached", SLA,
        _gauge("chapar_sla_at_risk", 10, target="PICK_UP", queue="sales"),
        _gauge("chapar_sla_forecast_open", 30, target="PICK_UP", queue="sales"),
        labels={"queue": "sales"},
    ),
    _replayed(
        "ChaparSatisfactionDrops", "Satisfaction falls from 90 % to 70 % within a week", FEEDBACK,
        _gauge("chapar_feedback_csat_ratio", 0.7, queue="sales"),
        _gauge("chapar_feedback_csat_responses", 40, queue="sales"),
        past=(_gauge("chapar_feedback_csat_ratio", 0.9, queue="sales"),),
        fires_s=120,
    ),
    _replayed(
        "ChaparNoSurveyResponses", "One of 150 invited customers responds on a day", FEEDBACK,
        _gauge("chapar_feedback_response_ratio", 0.0067, queue="sales"),
        _gauge("chapar_feedback_response_invitations", 150, queue="sales"),
        fires_s=300,
    ),
    _replayed(
        "ChaparAccountBroken", "The token of a bot cannot be read", INGEST,
        _gauge("chapar_account_problems", 1, channel="telegram", account="main"),
        labels={"channel": "telegram", "account": "main"},
    ),
    _replayed(
        "ChaparFilesWait", "A provider gives no file that customers sent", INGEST,
        _growing("chapar_file_fetches_total", 1, channel="whatsapp", outcome="again"),
        labels={"channel": "whatsapp"},
        fires_s=120, resolves_s=200,
    ),
    _replayed(
        "ChaparInvitationsWait",
        "An invitation has waited for six minutes",
        FEEDBACK,
        _gauge("chapar_feedback_oldest_invitation_seconds", 360),
    ),
    _replayed(
        "ChaparRecoveriesNotOpened", "Many recoveries are due for an hour, and none is opened", FEEDBACK,
        _counter("chapar_feedback_recoveries_total", 50, outcome="due"),
        fires_s=120, resolves_s=200,
    ),
    _replayed(
        "ChaparCertificateExpires", "A certificate ends in ten days", ROUTER,
        _moment("chapar_certificate_expiry_timestamp_seconds", 10 * _DAY_S),
        fires_s=180,
    ),
    _replayed(
        "ChaparTokenKeysStale", "The keys of an issuer are two hours old, and fetching them fails", ROUTER,
        _moment("chapar_token_keys_fetched_timestamp_seconds", -7_200, issuer="https://login.example"),
        _counter("chapar_token_keys_fetches_total", 3, issuer="https://login.example", outcome="failed"),
        resolves_s=300,
    ),
    _replayed(
        "ChaparBrokerUnderReplicated", "A broker of three is away", BROKER,
        _gauge("kafka_server_replicamanager_underreplicatedpartitions", 12),
    ),
    _replayed(
        "ChaparBrokerPartitionsOffline", "Two brokers of three are away", BROKER,
        _gauge("kafka_controller_kafkacontroller_offlinepartitionscount", 4),
    ),
    _replayed(
        "ChaparBrokerWithoutController", "No controller is elected", BROKER,
        _gauge("kafka_controller_kafkacontroller_activecontrollercount", 0),
    ),
    _replayed(
        "ChaparBrokerHandlersBusy", "The request handlers of a broker are idle 10 % of the time", BROKER,
        _gauge("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_ratio", 0.1),
        fires_s=60,
    ),
    _replayed(
        "ChaparBrokerDiskFull", "A volume of a broker is filled to 90 %", BROKER,
        _gauge("kubelet_volume_stats_available_bytes", 20e9, persistentvolumeclaim="data-0-chapar-dual-0"),
        _gauge("kubelet_volume_stats_capacity_bytes", 200e9, persistentvolumeclaim="data-0-chapar-dual-0"),
        fires_s=60,
    ),
)  # fmt: skip
