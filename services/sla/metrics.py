"""The metrics of the SLA service."""

from typing import Final

from services.chassis.metrics_catalogue import TARGET_SECONDS, counter, gauge, histogram

METRICS: Final = (
    counter("chapar_sla_deadlines_armed_total", "target level", "Deadlines set."),
    gauge("chapar_sla_deadlines_open", "target", "Deadlines that are running."),
    histogram("chapar_sla_fired_lateness_seconds", "target", "Delay between a deadline and its decision."),
    counter(
        "chapar_sla_breaches_total",
        "target level queue",
        "Levels of targets that passed; a target is breached when its level ADEQUATE passed.",
    ),
    counter(
        "chapar_sla_corrections_total",
        "target level queue",
        "Breaches withdrawn, because an earlier event was read late; they are counted in chapar_sla_breaches_total too.",
    ),
    counter(
        "chapar_sla_rearmed_total",
        "target queue",
        "Responses that were met and run again, because the reply did not arrive; they are counted in chapar_sla_met_total too.",
    ),
    counter("chapar_sla_met_total", "target level queue", "Targets met."),
    counter("chapar_sla_warnings_total", "target queue", "Warnings before a breach."),
    gauge("chapar_sla_timers_past_due", "", "Timers that should have fired and have not; above zero is a page."),
    counter("chapar_sla_predictions_total", "target queue", "Breaches predicted and reported."),
    gauge("chapar_sla_forecast_open", "target queue", "Open targets with a forecast."),
    gauge(
        "chapar_sla_at_risk",
        "target queue",
        "Open targets that will more likely be breached than met, by the newest forecast.",
    ),
    gauge(
        "chapar_sla_forecast_brier_ratio",
        "target",
        "Mean squared error of the last 500 or so forecasts whose outcome is known, 0 to 1.",
    ),
    gauge(
        "chapar_sla_forecast_base_brier_ratio",
        "target",
        "The same error for a constant forecast, the share of breaches: a forecast that is not better is useless.",
    ),
    histogram(
        "chapar_sla_pick_up_seconds", "queue channel", "Time from the first queueing to an agent.", TARGET_SECONDS
    ),
    histogram(
        "chapar_sla_first_response_seconds",
        "queue channel",
        "Time from the customer's first message to the first reply; its mean is AFRT.",
        TARGET_SECONDS,
    ),
    histogram(
        "chapar_sla_response_seconds",
        "queue channel",
        "Time from the first unanswered customer message to the next reply; its mean is ART.",
        TARGET_SECONDS,
    ),
    histogram(
        "chapar_sla_resolution_seconds",
        "queue channel",
        "Time from the customer's first message to completion.",
        TARGET_SECONDS,
    ),
    counter(
        "chapar_sla_conditions_failed_total",
        "",
        "Conditions of SLA policies that could not be evaluated to true or false; the policy did not match.",
    ),
    counter(
        "chapar_sla_escalations_total",
        "kind outcome",
        "Escalations requested from the router, by kind (priority, route) and outcome (done, refused, retried).",
        "priority/done priority/refused priority/retried route/done route/refused route/retried",
    ),
    counter(
        "chapar_sla_reprioritise_total",
        "outcome",
        "Priority changes requested from the router, by outcome.",
        "raised refused retried",
    ),
)
