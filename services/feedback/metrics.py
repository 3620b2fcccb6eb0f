"""The metrics of feedback."""

from typing import Final

from services.chassis.metrics_catalogue import counter, gauge

METRICS: Final = (
    counter(
        "chapar_feedback_invitations_total", "channel outcome", "Invitations by decision: sent, or the reason why not."
    ),
    gauge(
        "chapar_feedback_invitations_waiting",
        "",
        "Invitations and reminders in the dispatcher's current batch, of at most 200 records, that were not passed to ingest yet.",
    ),
    gauge(
        "chapar_feedback_oldest_invitation_seconds",
        "",
        "Time since the oldest invitation that the dispatcher has read and not passed to ingest was due.",
    ),
    counter(
        "chapar_feedback_delivered_total",
        "channel",
        "Invitations that reached the customer's channel: the base of the response rate.",
    ),
    counter(
        "chapar_feedback_responses_total",
        "channel result",
        "Survey responses by result: counted, amended, or the reason why not.",
    ),
    gauge(
        "chapar_feedback_csat_ratio", "queue", "Satisfied responses over responses of the last window, 0 to 1.", "share"
    ),
    gauge("chapar_feedback_csat_responses", "queue", "Responses that the ratio is computed from."),
    gauge("chapar_feedback_response_ratio", "queue", "Responses over invitations of the newest day, 0 to 1.", "share"),
    gauge("chapar_feedback_response_invitations", "queue", "Invitations that the ratio is computed from."),
    counter(
        "chapar_feedback_first_contacts_total",
        "result",
        "First contacts: resolved, or the person came again.",
        "resolved again",
    ),
    counter(
        "chapar_feedback_recoveries_total",
        "outcome",
        "Recoveries after bad responses: due, opened, refused.",
        "due opened refused",
    ),
    counter("chapar_feedback_page_requests_total", "code", "Requests for survey pages, by status code.", "200"),
)
