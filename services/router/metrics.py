"""The metrics of the router."""

from typing import Final

from services.chassis.metrics_catalogue import LONG_SECONDS, counter, gauge, histogram

METRICS: Final = (
    counter("chapar_router_commands_total", "kind reason", "Commands decided; the reason is empty unless refused."),
    counter(
        "chapar_router_refusals_total", "kind reason", "Commands refused; repetitions of a command are not counted."
    ),
    counter("chapar_router_offers_total", "queue outcome", "Offers by outcome: accepted, declined, expired, revoked."),
    counter("chapar_router_offered_total", "queue", "Offers made."),
    gauge("chapar_router_waiting", "queue", "Interactions that are waiting."),
    gauge(
        "chapar_router_oldest_waiting_seconds",
        "queue",
        "Longest waiting time of the interactions that wait, without the time with an agent.",
        "max",
    ),
    counter("chapar_router_unroutable_total", "queue reason", "Interactions that no agent could take, by reason."),
    gauge("chapar_router_agents", "state", "Signed-in agents by state."),
    gauge("chapar_router_occupancy_ratio", "", "Weight held by agents over their capacity, 0 to 1."),
    gauge("chapar_router_engine_compiled", "", "1 if the engine runs compiled, 0 if it runs as Python."),
    histogram("chapar_router_assignment_seconds", "queue", "Time from queued to accepted by an agent.", LONG_SECONDS),
    histogram("chapar_router_handling_seconds", "queue", "Time from accepted to completed.", LONG_SECONDS),
    histogram(
        "chapar_router_decision_seconds", "kind", "Time the engine took for a command; one command in eight is timed."
    ),
    counter("chapar_router_completed_total", "queue channel", "Interactions completed."),
    counter("chapar_router_abandoned_total", "queue channel", "Interactions that the customer gave up while waiting."),
    counter(
        "chapar_router_transferred_total", "queue reason", "Interactions transferred, by the queue that they left."
    ),
    counter(
        "chapar_router_overflowed_total",
        "queue reason",
        "Interactions that an overflow rule moved, changed or cancelled, by the rule's queue and the reason why it fired.",
    ),
    counter("chapar_router_scheduled_total", "queue", "Interactions scheduled to be queued at a later time."),
    counter(
        "chapar_router_parked_total", "queue channel", "Assignments parked because of an interrupting interaction."
    ),
    counter("chapar_router_over_capacity_total", "queue", "Assignments that a supervisor forced over the capacity."),
    histogram(
        "chapar_router_estimate_error_seconds",
        "queue",
        "Difference between the wait until the assignment and the median estimate when it was queued.",
        LONG_SECONDS,
    ),
    counter(
        "chapar_router_estimates_total",
        "queue within_p90",
        "Assignments with an estimated wait time, by whether the wait was within its 90th percentile: nine in ten should be.",
    ),
    gauge("chapar_gateway_sessions", "", "Open agent sessions of this gateway."),
    counter("chapar_gateway_sessions_begun_total", "outcome", "Sessions begun: new, resumed or refused."),
    histogram("chapar_gateway_command_seconds", "kind", "Time from an agent's command to its result on the stream."),
)
