"""The metrics of ingest."""

from typing import Final

from services.chassis.metrics_catalogue import LONG_SECONDS, counter, gauge, histogram

METRICS: Final = (
    counter(
        "chapar_edge_requests_total",
        "channel code reason",
        "Requests at an edge, by the response's status code.",
        tenant_known=False,
    ),
    counter(
        "chapar_edge_refused_total",
        "channel reason",
        "Requests refused for their signature, form or size.",
        tenant_known=False,
    ),
    counter(
        "chapar_edge_kept_raw_total",
        "channel",
        "Messages that were taken with a field that can't be read, or of an unknown type; they are kept raw.",
    ),
    counter("chapar_edge_published_total", "channel", "Messages that the broker has acknowledged."),
    histogram("chapar_edge_publish_seconds", "channel", "Time from the raw bytes to the broker's acknowledgement."),
    gauge("chapar_edge_connections", "channel", "Open web chat and SMTP connections.", tenant_known=False),
    counter(
        "chapar_files_total",
        "channel state",
        "Files of incoming messages: stored, to_fetch, or why they were refused.",
    ),
    counter(
        "chapar_file_fetches_total",
        "channel outcome",
        "Attempts to fetch a file from its provider: fetched, again, halted, refused, given_up or erased.",
    ),
    counter("chapar_files_bytes_total", "channel", "Bytes of incoming files that were stored."),
    counter(
        "chapar_thumbnails_total",
        "outcome",
        "Images whose thumbnail was asked for the first time: made, or none because there can't be one.",
        born="made none",
    ),
    counter(
        "chapar_file_store_errors_total",
        "kind",
        "Operations of the file store that failed. Messages with files wait at their senders.",
        tenant_known=False,
    ),
    gauge(
        "chapar_account_problems",
        "channel account",
        "Required secrets and settings that a channel account lacks; 0: it can work.",
    ),
    counter("chapar_intake_messages_total", "channel", "Customer messages accepted."),
    counter("chapar_intake_duplicates_total", "channel", "Messages that had been accepted before."),
    counter(
        "chapar_intake_paced_total",
        "channel outcome",
        "Messages beyond a customer's rate that wait in the intake lane: WAITED; and AT_BOUND, taken early because too many waited.",
    ),
    counter(
        "chapar_edge_beyond_rate_total",
        "channel reason",
        "Messages of a provider that were accepted although they are beyond a rate: SENDER_RATE, ACCOUNT_RATE, TENANT_RATE.",
    ),
    counter("chapar_intake_interactions_opened_total", "channel queue", "Interactions opened, by the queue chosen."),
    counter("chapar_intake_unroutable_total", "channel reason", "Messages for which no routing rule chose a queue."),
    counter("chapar_intake_blocked_total", "channel", "Messages of blocked senders: kept in history, not routed."),
    gauge("chapar_intake_open_interactions", "", "Open interactions in memory."),
    counter("chapar_sender_attempts_total", "channel outcome", "Attempts to send, by outcome."),
    counter("chapar_sender_retries_total", "channel reason", "Attempts that will be repeated."),
    counter(
        "chapar_sender_unknown_total", "channel", "Sends with an unknown outcome; they are not repeated automatically."
    ),
    counter(
        "chapar_delivery_outcomes_total",
        "channel state reason",
        "Deliveries that reached a state: SENT, DELIVERED, READ, FAILED, UNKNOWN. A delivery can reach several.",
    ),
    counter("chapar_edge_reports_total", "channel state", "Reports of providers about our messages."),
    counter(
        "chapar_delivery_reports_unmatched_total",
        "channel",
        "Reports of providers and bounces about deliveries that are not known, or no longer.",
    ),
    counter("chapar_sender_dead_letters_total", "channel reason", "Sends given up."),
    histogram("chapar_sender_seconds", "channel", "Time until a provider's response.", LONG_SECONDS),
    gauge(
        "chapar_sender_waiting", "channel", "Attempts that were passed to a channel's client and have no outcome yet."
    ),
    gauge("chapar_history_lag_records", "topic", "Records that the history projection has not yet written."),
    gauge(
        "chapar_history_writable", "", "1 while the history's database takes what the projection writes, 0 otherwise."
    ),
    counter("chapar_history_records_total", "topic outcome", "Records projected: written, repeated or refused."),
    counter(
        "chapar_history_retired_rows_total",
        "table",
        "Rows of history deleted because of their age.",
        "conversations audit",
    ),
    counter(
        "chapar_history_erased_rows_total",
        "table",
        "Rows of history emptied because their person was erased.",
        "messages deliveries",
    ),
)
