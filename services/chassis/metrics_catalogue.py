"""The one list of metrics: rules, dashboards, docs/metrics.md and the code are checked against it.

Rules: base units (seconds, bytes), one unit per metric, counters end in `_total`, classic buckets. Labels come from a
closed list; none of them is an agent, a customer, a conversation or an address: each value is a series for ever.
"""

from dataclasses import dataclass
from typing import Literal

MetricKind = Literal["counter", "gauge", "histogram"]

LABELS = frozenset(
    {
        "queue", "channel", "reason", "method", "code", "lane", "partition", "topic", "level", "target", "outcome",
        "kind", "state", "result", "within_p90", "issuer", "reader", "table", "event",
        "version", "python", "engine",
    }
)  # fmt: skip
"""All labels. `kind`, `state` and `result` are words of closed enumerations; `within_p90` is true or false;
`issuer` is an issuer of tokens as the settings name it; `reader`, `table` and `event` are names in the code;
`version`, `python` and `engine` have one value in a process."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG_SECONDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
RECORDS = (0.0, 1.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric. `buckets` (upper bounds, in the metric's unit) are for histograms only."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


def _counter(name: str, labels: str, help_: str) -> MetricSpec:
    return MetricSpec(name, "counter", tuple(labels.split()), help_)


def _gauge(name: str, labels: str, help_: str) -> MetricSpec:
    return MetricSpec(name, "gauge", tuple(labels.split()), help_)


def _histogram(name: str, labels: str, help_: str, buckets: tuple[float, ...] = SECONDS) -> MetricSpec:
    return MetricSpec(name, "histogram", tuple(labels.split()), help_, buckets)


PROCESS = (
    _gauge("chapar_event_loop_lag_seconds", "", "Largest delay of the event loop's wake-ups in the last 10 s."),
    _gauge(
        "chapar_build_info",
        "version python engine",
        "Always 1. The labels are Chapar's version, Python's version, and the engine's build: compiled or pure.",
    ),
    _gauge("chapar_ready", "", "1 while the process accepts work, 0 while it starts or drains."),
    _gauge("chapar_kafka_reachable", "", "1 while Kafka answers and has the topics of this service, 0 otherwise."),
    _counter(
        "chapar_records_stepped_over_total",
        "topic reason",
        "Records that a reader could not handle and skipped (lanes count chapar_lane_dead_letters_total).",
    ),
    _gauge("chapar_certificate_expiry_timestamp_seconds", "", "Expiry of the gRPC certificate, Unix time."),
    _gauge("chapar_config_version", "", "Version of the tenants' configuration that was applied last."),
    _counter(
        "chapar_connections_dropped_total",
        "kind reason",
        "Connections closed or refused because of a limit, by listener (ops, http, smtp): deadlines, heads, shares.",
    ),
    _counter("chapar_config_changes_total", "outcome", "Configuration records read: taken, unchanged or refused."),
)

WEBHOOKS = (
    _counter("chapar_webhook_attempts_total", "outcome", "Attempts to notify another system: taken or not_taken."),
    _counter(
        "chapar_webhook_dead_letters_total", "reason", "Notices given up, by the reason of the last failed attempt."
    ),
)

LANES = (
    _gauge("chapar_lane_lag_records", "lane partition", "Records of the input that are not yet committed."),
    _gauge("chapar_lane_lag_seconds", "lane partition", "Age of the oldest record that was read but is not committed."),
    _gauge(
        "chapar_lane_oldest_uncommitted_seconds",
        "lane partition",
        "Waiting time of the oldest handled record for its commit.",
    ),
    _gauge("chapar_lane_partitions", "lane", "Partitions that this process owns."),
    _gauge("chapar_lane_input_partitions", "lane", "Partitions of the lane's input, whichever process owns them."),
    _gauge("chapar_lane_restore_ratio", "lane partition", "Share of the changelog read so far by a restore, 0 to 1."),
    _histogram(
        "chapar_lane_restore_seconds", "lane", "Time from the assignment of a partition until it is live.", LONG_SECONDS
    ),
    _counter("chapar_lane_restored_entries_total", "lane", "Changelog entries restored."),
    _histogram("chapar_lane_batch_records", "lane", "Records in a batch; 0 for timers only.", RECORDS),
    _histogram("chapar_lane_commit_seconds", "lane", "Time from a commit request to its response."),
    _counter("chapar_lane_committed_records_total", "lane", "Records whose transaction is durable."),
    _counter("chapar_lane_rebalances_total", "lane", "Number of times the group assigned partitions to this process."),
    _counter("chapar_lane_aborts_total", "lane reason", "Batches discarded."),
    _counter("chapar_lane_fences_total", "lane", "Number of times another owner took over before this one noticed."),
    _counter(
        "chapar_lane_dead_letters_total", "lane reason", "Inputs that can never be processed and became dead letters."
    ),
)

GRPC = (
    _counter(
        "chapar_grpc_started_total", "method", "Calls begun, by full method name; all unknown methods have one name."
    ),
    _counter("chapar_grpc_handled_total", "method code", "Calls ended, by status code."),
    _histogram("chapar_grpc_handling_seconds", "method", "Duration of unary calls."),
    _gauge("chapar_grpc_in_progress", "method", "Calls and streams that are open."),
    _counter(
        "chapar_audit_records_total",
        "outcome",
        "Audit records: requested, returned, refused; lost: not durable, so the call was refused or the refusal is counted again.",
    ),
    _counter("chapar_grpc_turned_away_total", "reason", "Calls refused before their request was read."),
    _gauge("chapar_grpc_slots_taken", "kind", "Slots in use: call, watch or session."),
    _counter("chapar_grpc_client_handled_total", "method code", "Unary calls that this process made to others."),
)

TOKENS = (
    _gauge("chapar_token_keys", "issuer", "Keys by URL that verify tokens of this issuer."),
    _counter("chapar_token_keys_fetches_total", "issuer outcome", "Fetches of a key set: fetched or failed."),
    _gauge(
        "chapar_token_keys_fetched_timestamp_seconds",
        "issuer",
        "When the current key set was fetched, Unix time; 0 until there is one. Keys that are too old are not trusted.",
    ),
    _gauge("chapar_revocations", "", "Revocations of tokens that are in force."),
    _gauge(
        "chapar_service_token_expiry_timestamp_seconds",
        "",
        "When the token for this service's own calls ends, Unix time; with a token file or client credentials.",
    ),
)

INGEST = (
    _counter(
        "chapar_edge_requests_total", "channel code reason", "Requests at an edge, by the response's status code."
    ),
    _counter("chapar_edge_refused_total", "channel reason", "Requests refused for their signature, form or size."),
    _counter("chapar_edge_published_total", "channel", "Messages that the broker has acknowledged."),
    _histogram("chapar_edge_publish_seconds", "channel", "Time from the raw bytes to the broker's acknowledgement."),
    _gauge("chapar_edge_connections", "channel", "Open web chat and SMTP connections."),
    _counter("chapar_intake_messages_total", "channel", "Customer messages accepted."),
    _counter("chapar_intake_duplicates_total", "channel", "Messages that had been accepted before."),
    _counter("chapar_intake_interactions_opened_total", "channel queue", "Interactions opened, by the queue chosen."),
    _counter("chapar_intake_unroutable_total", "channel reason", "Messages for which no routing rule chose a queue."),
    _gauge("chapar_intake_open_interactions", "", "Open interactions in memory."),
    _counter("chapar_sender_attempts_total", "channel outcome", "Attempts to send, by outcome."),
    _counter("chapar_sender_retries_total", "channel reason", "Attempts that will be repeated."),
    _counter(
        "chapar_sender_unknown_total", "channel", "Sends with an unknown outcome; they are not repeated automatically."
    ),
    _counter("chapar_sender_dead_letters_total", "channel reason", "Sends given up."),
    _histogram("chapar_sender_seconds", "channel", "Time until a provider's response.", LONG_SECONDS),
    _gauge(
        "chapar_sender_waiting", "channel", "Attempts that were passed to a channel's client and have no outcome yet."
    ),
    _gauge("chapar_history_lag_records", "topic", "Records that the history projection has not yet written."),
    _counter("chapar_history_records_total", "topic outcome", "Records projected: written, repeated or refused."),
)

ROUTER = (
    _counter("chapar_router_commands_total", "kind reason", "Commands decided; the reason is empty unless refused."),
    _counter(
        "chapar_router_refusals_total", "kind reason", "Commands refused; repetitions of a command are not counted."
    ),
    _counter("chapar_router_offers_total", "queue outcome", "Offers by outcome: accepted, declined, expired, revoked."),
    _counter("chapar_router_offered_total", "queue", "Offers made."),
    _gauge("chapar_router_waiting", "queue", "Interactions that are waiting."),
    _gauge("chapar_router_oldest_waiting_seconds", "queue", "Waiting time of the oldest waiting interaction."),
    _counter("chapar_router_unroutable_total", "queue reason", "Interactions that no agent could take, by reason."),
    _gauge("chapar_router_agents", "state", "Signed-in agents by state."),
    _gauge("chapar_router_occupancy_ratio", "", "Weight held by agents over their capacity, 0 to 1."),
    _gauge("chapar_router_engine_compiled", "", "1 if the engine runs compiled, 0 if it runs as Python."),
    _histogram("chapar_router_assignment_seconds", "queue", "Time from queued to accepted by an agent.", LONG_SECONDS),
    _histogram("chapar_router_handling_seconds", "queue", "Time from accepted to completed.", LONG_SECONDS),
    _histogram("chapar_router_decision_seconds", "kind", "Time the engine took for one command."),
    _counter("chapar_router_completed_total", "queue channel", "Interactions completed."),
    _counter("chapar_router_abandoned_total", "queue channel", "Interactions that the customer gave up while waiting."),
    _counter(
        "chapar_router_transferred_total", "queue reason", "Interactions transferred, by the queue that they left."
    ),
    _counter(
        "chapar_router_overflowed_total",
        "queue reason",
        "Interactions that an overflow rule moved, changed or cancelled, by the rule's queue and the reason why it fired.",
    ),
    _counter("chapar_router_scheduled_total", "queue", "Interactions scheduled to be queued at a later time."),
    _counter(
        "chapar_router_parked_total", "queue channel", "Assignments parked because of an interrupting interaction."
    ),
    _counter("chapar_router_over_capacity_total", "queue", "Assignments that a supervisor forced over the capacity."),
    _histogram(
        "chapar_router_estimate_error_seconds",
        "queue",
        "Difference between the wait until the assignment and the median estimate when it was queued.",
        LONG_SECONDS,
    ),
    _counter(
        "chapar_router_estimates_total",
        "queue within_p90",
        "Assignments with an estimated wait time, by whether the wait was within its 90th percentile: nine in ten should be.",
    ),
    _gauge("chapar_gateway_sessions", "", "Open agent sessions of this gateway."),
    _counter("chapar_gateway_sessions_begun_total", "outcome", "Sessions begun: new, resumed or refused."),
    _histogram("chapar_gateway_command_seconds", "kind", "Time from an agent's command to its result on the stream."),
)

SLA = (
    _counter("chapar_sla_deadlines_armed_total", "target level", "Deadlines set."),
    _gauge("chapar_sla_deadlines_open", "target", "Deadlines that are running."),
    _histogram("chapar_sla_fired_lateness_seconds", "target", "Delay between a deadline and its decision."),
    _counter("chapar_sla_breaches_total", "target level queue", "Targets breached."),
    _counter("chapar_sla_met_total", "target level queue", "Targets met."),
    _counter("chapar_sla_warnings_total", "target queue", "Warnings before a breach."),
    _gauge("chapar_sla_timers_past_due", "", "Timers that should have fired and have not; above zero is a page."),
    _counter("chapar_sla_predictions_total", "target queue", "Breaches predicted and reported."),
    _gauge("chapar_sla_forecast_open", "target queue", "Open targets with a forecast."),
    _gauge(
        "chapar_sla_at_risk",
        "target queue",
        "Open targets that will more likely be breached than met, by the newest forecast.",
    ),
    _gauge(
        "chapar_sla_forecast_brier_ratio",
        "target",
        "Mean squared error of the last 500 or so forecasts whose outcome is known, 0 to 1.",
    ),
    _gauge(
        "chapar_sla_forecast_base_brier_ratio",
        "target",
        "The same error for a constant forecast, the share of breaches: a forecast that is not better is useless.",
    ),
    _histogram(
        "chapar_sla_pick_up_seconds", "queue channel", "Time from the first queueing to an agent.", LONG_SECONDS
    ),
    _histogram(
        "chapar_sla_first_response_seconds",
        "queue channel",
        "Time from the customer's first message to the first reply; its mean is AFRT.",
        LONG_SECONDS,
    ),
    _histogram(
        "chapar_sla_response_seconds",
        "queue channel",
        "Time from the first unanswered customer message to the next reply; its mean is ART.",
        LONG_SECONDS,
    ),
    _histogram(
        "chapar_sla_resolution_seconds",
        "queue channel",
        "Time from the customer's first message to completion.",
        LONG_SECONDS,
    ),
    _counter(
        "chapar_sla_conditions_failed_total",
        "",
        "Conditions of SLA policies that could not be evaluated to true or false; the policy did not match.",
    ),
    _counter(
        "chapar_sla_escalations_total",
        "kind outcome",
        "Escalations requested from the router, by kind (priority, route) and outcome (done, refused, retried).",
    ),
    _counter("chapar_sla_reprioritise_total", "outcome", "Priority changes requested from the router, by outcome."),
)

FEEDBACK = (
    _counter(
        "chapar_feedback_invitations_total", "channel outcome", "Invitations by decision: sent, or the reason why not."
    ),
    _counter(
        "chapar_feedback_delivered_total",
        "channel",
        "Invitations that reached the customer's channel: the base of the response rate.",
    ),
    _counter(
        "chapar_feedback_responses_total",
        "channel result",
        "Survey responses by result: counted, amended, or the reason why not.",
    ),
    _gauge("chapar_feedback_csat_ratio", "queue", "Satisfied responses over responses of the last window, 0 to 1."),
    _gauge("chapar_feedback_csat_responses", "queue", "Responses that the ratio is computed from."),
    _gauge("chapar_feedback_response_ratio", "queue", "Responses over invitations of the newest day, 0 to 1."),
    _gauge("chapar_feedback_response_invitations", "queue", "Invitations that the ratio is computed from."),
    _counter("chapar_feedback_first_contacts_total", "result", "First contacts: resolved, or the person came again."),
    _counter("chapar_feedback_recoveries_total", "outcome", "Recoveries after bad responses: due, opened, refused."),
    _counter("chapar_feedback_page_requests_total", "code", "Requests for survey pages, by status code."),
)

PRIVACY = (
    _counter(
        "chapar_personal_keys_total",
        "event",
        "Keys of persons: made, wrapped again, and destructions noticed.",
    ),
    _gauge(
        "chapar_personal_keys_old_master",
        "",
        "Keys of persons that this process could not wrap with the first master key in its last pass.",
    ),
    _gauge(
        "chapar_personal_keys_refused",
        "",
        "1 while the topic of keys lacks keys that this process has read from it: it was shortened or recreated.",
    ),
    _counter("chapar_personal_erased_total", "reader", "Records of erased persons that a reader skipped."),
    _counter("chapar_history_retired_rows_total", "table", "Rows of history deleted because of their age."),
    _counter("chapar_history_erased_rows_total", "table", "Rows of history emptied because their person was erased."),
)

CATALOGUE: tuple[MetricSpec, ...] = (
    *(*PROCESS, *PRIVACY, *WEBHOOKS, *LANES, *GRPC, *TOKENS),
    *(*INGEST, *ROUTER, *SLA, *FEEDBACK),
)
