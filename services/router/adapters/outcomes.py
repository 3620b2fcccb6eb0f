"""Convert the engine's refusals to API errors."""

from collections.abc import Mapping
from typing import Final

from services.chassis.errors import ChaparError, ErrorKind
from services.router.domain.reasons import Reason

_TEXTS: Final[Mapping[str, str]] = {
    Reason.UNKNOWN_AGENT: "there is no such agent in this pool",
    Reason.UNKNOWN_INTERACTION: "there is no such open interaction in this pool",
    Reason.UNKNOWN_QUEUE: "there is no such queue in this pool",
    Reason.UNKNOWN_POOL: "the tenant's configuration has no such pool: name one that it has (chapar queues list shows their "
    "queues), or add the pool to the configuration and apply it (chapar config apply)",
    Reason.TOO_MANY_AGENTS: "the pool has reached the limit of agents for one pool: use another pool, or remove agents from the "
    "configuration",
    Reason.NO_CONFIGURATION: "no configuration has been activated in this pool: run chapar config apply",
    Reason.NO_OPENING: "the queue does not open within a year: name a time, or correct the calendar of its hours",
    Reason.INTERACTION_COMPLETED: "the interaction has been completed",
    Reason.AGENT_NOT_SIGNED_IN: "the agent is not signed in",
    Reason.STALE_EPOCH: "the interaction has changed since then: read it again, then decide again",
}
_NOT_FOUND: Final = frozenset(
    {Reason.UNKNOWN_AGENT, Reason.UNKNOWN_INTERACTION, Reason.UNKNOWN_QUEUE, Reason.UNKNOWN_OFFER}
)


def refusal(reason: str) -> ChaparError:
    """Return a refused command as an error with the same reason code."""
    kind = ErrorKind.NOT_FOUND if reason in _NOT_FOUND else ErrorKind.FAILED_PRECONDITION
    if reason == Reason.NOT_YOURS:
        kind = ErrorKind.PERMISSION_DENIED
    if reason == Reason.STALE_EPOCH:
        kind = ErrorKind.ABORTED
    return ChaparError(kind, reason or Reason.REFUSED, _TEXTS.get(reason, f"refused: {reason}"))
