"""Paths that a set of seeds must reach: a simulation that never goes there says nothing about them."""

from collections import Counter
from typing import Final

RARE_PATHS: Final = (
    "a process died",
    "a process stopped",
    "a process died before a commit",
    "a process died after a commit",
    "a process died before its effects",
    "a process died with an attempt under way",
    "a transaction was lost",
    "an owner did not learn of its commit",
    "a partition moved",
    "a partition was taken over",
    "an earlier owner was fenced",
    "effects ran after a takeover",
    "an offer was open at a takeover",
    "an agent stayed away",
    "an edge wrote a record again",
    "a record could not be read",
    "a relay died",
    "a relay was replaced",
    "a reader read records again",
    "a desk lost its gateway",
    "a desk lost its connection",
    "a desk repeated a request",
    "an agent replied after a takeover",
    "an offer expired",
    "an interaction was transferred",
    "an interaction was taken from a lost agent",
    "a customer left before an agent answered",
    "a warm transfer was recalled",
    "a callback was scheduled",
    "a supervisor gave the order cancel_interaction",
    "a supervisor gave the order reroute",
    "a supervisor gave the order reprioritise",
    "a supervisor gave the order request_callback",
    "a supervisor gave the order assign_interaction",
    "a supervisor gave the order activate_configuration",
    "a deadline was breached",
    "a deadline was met",
    "a survey was answered",
    "a survey was expired",
    "a survey was withdrawn",
    "an invitation was skipped",
    "a delivery stayed unknown",
    "a dead letter was replayed",
    "a replayed dead letter was sent",
    "a late outcome corrected an unknown delivery",
    "the provider asks for a later attempt",
    "the provider refuses",
    "the provider answers nothing and has nothing",
    "the provider accepts, and the answer is lost",
    "the provider halts the account",
    "the provider was never asked",
)


def missing(reached: Counter[str]) -> list[str]:
    """Return the paths that were not reached."""
    return [path for path in RARE_PATHS if not reached[path]]
