"""What a metric is, and the metrics of the chassis. Each service declares its own in `services/<service>/metrics.py`.

Alerts, dashboards, docs/metrics.md and the code are checked against all of them (`docs/generate/metrics.py`).

Rules: base units (seconds, bytes), one unit per metric, counters end in `_total`, classic buckets. Labels come from a
closed list; none of them is an agent, a customer, a conversation or an address: each value is a series for ever.
"""

from dataclasses import dataclass
from typing import Final, Literal

MetricKind = Literal["counter", "gauge", "histogram"]
Combination = Literal["sum", "max", "share"]
"""How the values of several tenants make one: counts are added, the highest age is shown, shares are weighted."""
TENANT: Final = "tenant"
"""Added by `Metrics` to metrics by tenant if the settings say so; no metric declares it."""
_OF_TENANTS: Final = frozenset({"queue", "pool", "channel"})
"""Labels whose values are a tenant's: another tenant may have the same ones."""

LABELS = frozenset(
    {
        "queue", "channel", "reason", "method", "code", "lane", "partition", "topic", "level", "target", "outcome",
        "kind", "state", "result", "within_p90", "issuer", "reader", "table", "event", "clock",
        "version", "python", "engine", "account",
    }
)  # fmt: skip
"""All labels. `kind`, `state`, `result` and `clock` are words of closed enumerations; `within_p90` is true or false;
`issuer` is an issuer of tokens as the settings name it; `reader`, `table` and `event` are names in the code;
`account` is a channel account of the configuration;
`version`, `python` and `engine` have one value in a process."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG_SECONDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
TARGET_SECONDS = (5.0, 20.0, 60.0, 300.0, 1800.0, 7200.0, 28800.0, 86400.0)
"""From the pick-up of a chat to the resolution of a mail."""
RECORDS = (0.0, 1.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric. `buckets` (upper bounds, in the metric's unit) are for histograms only. A metric without labels always
    exists from the start."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    born: tuple[tuple[str, ...], ...] = ()
    """Values of the labels, in their order, of the series that exist from the start: closed sets of words only."""
    combination: Combination = "sum"
    """Of a gauge by tenant."""
    tenant_known: bool = True
    """False if it counts what comes before the tenant is known, or what belongs to none."""

    @property
    def by_tenant(self) -> bool:
        """Whether the tenant is its first label, which is shown if the settings say so."""
        return self.tenant_known and not _OF_TENANTS.isdisjoint(self.labels)

    @property
    def series(self) -> int:
        """The number of series of one label set: a histogram has its buckets, the one without a bound, sum and count."""
        return len(self.buckets) + 3 if self.kind == "histogram" else 1


def counter(name: str, labels: str, help_: str, born: str = "", *, tenant_known: bool = True) -> MetricSpec:
    """Return a counter. `labels`: names, separated by blanks. `born`: the values of one label that are counted from 0, separated
    by blanks; with two labels, values are joined with a slash."""
    series = tuple(tuple(each.split("/")) for each in born.split())
    return MetricSpec(name, "counter", tuple(labels.split()), help_, born=series, tenant_known=tenant_known)


def gauge(
    name: str, labels: str, help_: str, combination: Combination = "sum", *, tenant_known: bool = True
) -> MetricSpec:
    """Return a gauge. `labels`: names, separated by blanks. `combination`: of several tenants' values."""
    names = tuple(labels.split())
    return MetricSpec(name, "gauge", names, help_, combination=combination, tenant_known=tenant_known)


def histogram(name: str, labels: str, help_: str, buckets: tuple[float, ...] = SECONDS) -> MetricSpec:
    """Return a histogram. `labels`: names, separated by blanks."""
    return MetricSpec(name, "histogram", tuple(labels.split()), help_, buckets)


PROCESS = (
    gauge("chapar_event_loop_lag_seconds", "", "Largest delay of the event loop's wake-ups in the last 10 s."),
    gauge(
        "chapar_build_info",
        "version python engine",
        "Always 1. The labels are Chapar's version, Python's version, and the engine's build: compiled or pure.",
    ),
    gauge("chapar_ready", "", "1 while the process accepts work, 0 while it starts or drains."),
    gauge(
        "chapar_clock_refused",
        "clock",
        "1 while a clock is refused, because it differs from the others by more than the bound: the machine's, or a broker's.",
    ),
    counter("chapar_clock_refusals_total", "clock", "Times that a clock began to be refused."),
    gauge("chapar_kafka_reachable", "", "1 while Kafka answers and has the topics of this service, 0 otherwise."),
    gauge(
        "chapar_transaction_open_seconds",
        "topic",
        "How long readers of committed records have waited for an open transaction in a partition of the topic; 0 for none.",
    ),
    counter(
        "chapar_records_stepped_over_total",
        "topic reason",
        "Records that a reader could not handle and skipped (lanes count chapar_lane_dead_letters_total).",
    ),
    gauge("chapar_certificate_expiry_timestamp_seconds", "", "Expiry of the gRPC certificate, Unix time."),
    gauge("chapar_config_version", "", "Version of the configuration that was read last, of whichever tenant."),
    gauge("chapar_config_refused", "", "Tenants whose newest configuration is refused; the one before stays in force."),
    counter(
        "chapar_connections_dropped_total",
        "kind reason",
        "Connections closed or refused because of a limit, by listener (ops, http, smtp): deadlines, heads, shares.",
    ),
    counter(
        "chapar_config_changes_total",
        "outcome",
        "Configuration records read: taken, removed or refused.",
        "taken removed refused",
    ),
)


LANES = (
    gauge("chapar_lane_lag_records", "lane partition", "Records of the input that are not yet committed."),
    gauge("chapar_lane_lag_seconds", "lane partition", "Age of the oldest record that was read but is not committed."),
    gauge(
        "chapar_lane_oldest_uncommitted_seconds",
        "lane partition",
        "Waiting time of the oldest handled record for its commit.",
    ),
    gauge("chapar_lane_partitions", "lane", "Partitions that this process owns."),
    gauge("chapar_lane_input_partitions", "lane", "Partitions of the lane's input, whichever process owns them."),
    gauge(
        "chapar_lane_refused",
        "lane partition reason",
        "1 while a process refuses to take a partition over, because its changelog or its input lost records.",
    ),
    gauge("chapar_lane_restore_ratio", "lane partition", "Share of the changelog read so far by a restore, 0 to 1."),
    histogram(
        "chapar_lane_restore_seconds", "lane", "Time from the assignment of a partition until it is live.", LONG_SECONDS
    ),
    counter("chapar_lane_restored_entries_total", "lane", "Changelog entries restored."),
    histogram("chapar_lane_batch_records", "lane", "Records in a batch; 0 for timers only.", RECORDS),
    histogram("chapar_lane_commit_seconds", "lane", "Time from a commit request to its response."),
    counter("chapar_lane_committed_records_total", "lane", "Records whose transaction is durable."),
    counter("chapar_lane_rebalances_total", "lane", "Number of times the group assigned partitions to this process."),
    counter("chapar_lane_aborts_total", "lane reason", "Batches discarded."),
    counter("chapar_lane_fences_total", "lane", "Number of times another owner took over before this one noticed."),
    counter(
        "chapar_lane_dead_letters_total", "lane reason", "Inputs that can never be processed and became dead letters."
    ),
)


GRPC = (
    counter(
        "chapar_grpc_started_total", "method", "Calls begun, by full method name; all unknown methods have one name."
    ),
    counter("chapar_grpc_handled_total", "method code", "Calls ended, by status code."),
    histogram("chapar_grpc_handling_seconds", "method", "Duration of unary calls."),
    gauge("chapar_grpc_in_progress", "method", "Calls and streams that are open."),
    counter(
        "chapar_audit_records_total",
        "outcome",
        "Audit records: requested, returned, refused; lost: not durable, so the call was refused or the refusal is counted again.",
    ),
    counter("chapar_grpc_turned_away_total", "reason", "Calls refused before their request was read.", "TOKEN_MISSING"),
    gauge("chapar_grpc_slots_taken", "kind", "Slots in use: call, watch or session."),
    counter("chapar_grpc_client_handled_total", "method code", "Unary calls that this process made to others."),
)


TOKENS = (
    gauge("chapar_token_keys", "issuer", "Keys by URL that verify tokens of this issuer."),
    counter("chapar_token_keys_fetches_total", "issuer outcome", "Fetches of a key set: fetched or failed."),
    gauge(
        "chapar_token_keys_fetched_timestamp_seconds",
        "issuer",
        "When the current key set was fetched, Unix time; 0 until there is one. Keys that are too old are not trusted.",
    ),
    gauge("chapar_revocations", "", "Revocations of tokens that are in force."),
    gauge(
        "chapar_service_token_expiry_timestamp_seconds",
        "",
        "When the token for this service's own calls ends, Unix time; with a token file or client credentials.",
    ),
)


PRIVACY = (
    counter(
        "chapar_personal_keys_total",
        "event",
        "Keys of persons: made, wrapped again, and destructions noticed.",
    ),
    gauge(
        "chapar_personal_keys_old_master",
        "",
        "Keys of persons that this process could not wrap with the first master key in its last pass.",
    ),
    gauge(
        "chapar_personal_keys_refused",
        "",
        "1 while the topic of keys lacks keys that this process has read from it: it was shortened or recreated.",
    ),
    counter("chapar_personal_erased_total", "reader", "Records of erased persons that a reader skipped."),
)


CHASSIS_METRICS: tuple[MetricSpec, ...] = (*PROCESS, *PRIVACY, *LANES, *GRPC, *TOKENS)
"""What each process has, whatever its service is."""
