"""The engine's input and output: routing facts and occurrences."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from services.policy.model.sla import Action, Level, Target


class RoutingFactKind(Enum):
    """What the router decided about an interaction, as far as it matters for SLA targets."""

    QUEUED = auto()
    SCHEDULED = auto()
    """It will be queued at a later time: from the beginning, or because the customer asked for a callback."""
    ASSIGNED = auto()
    AGENT_REPLIED = auto()
    """An agent replied, and no outcome of the reply will be reported."""
    REPLY_WRITTEN = auto()
    """An agent replied, and the outcome of the reply follows."""
    REPLY_SENT = auto()
    REPLY_FAILED = auto()
    """A reply did not arrive, or may not have been sent. It may have been sent before."""
    CUSTOMER_MESSAGED = auto()
    CUSTOMER_LEFT = auto()
    """An agent holds it, and the customer waits for nothing any more."""
    MOVED = auto()
    """It was transferred or overflowed, or its queue or priority changed."""
    COMPLETED = auto()
    ABANDONED = auto()
    CANCELLED = auto()
    """It was cancelled by order, or discarded because it needs no agent (spam, for example): `reason` says which."""


OPENING: Final = frozenset({RoutingFactKind.QUEUED, RoutingFactKind.SCHEDULED})
"""Facts with which the tracking of an interaction begins."""


@dataclass(frozen=True, slots=True)
class RoutingFact:
    """One event of the router. Times are milliseconds since the epoch; `epoch` grows with each event of the
    interaction."""

    kind: RoutingFactKind
    event_id: str
    tenant: str
    pool: str
    interaction_id: str
    conversation_id: str
    queue: str
    channel: str
    tier: str
    occurred_at_ms: int
    arrived_at_ms: int
    epoch: int = 0
    agent_id: str = ""
    again: bool = False
    """It was queued, and not for the first time."""
    language: str = ""
    priority: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    """Only for facts that open an interaction; sorted by name."""
    start_at_ms: int = 0
    """Only for SCHEDULED: when it will be queued."""
    due_at_ms: int = 0
    """Pick-up deadline that was given with the interaction; 0 if none was given."""
    reason: str = ""
    reply_id: str = ""
    """Only for facts about replies; may be empty."""
    person_id: str = ""
    estimated_p50_ms: int = -1
    """Only for QUEUED: the median of the estimated wait time; -1 if there was no estimate, 0 if an agent was free."""
    estimated_p90_ms: int = -1
    disposition: str = ""
    """Only for COMPLETED."""


class OccurrenceKind(Enum):
    """What happened to a deadline."""

    SET = auto()
    PAUSED = auto()
    RESUMED = auto()
    WARNED = auto()
    BREACHED = auto()
    """The adequate level passed."""
    MET = auto()
    CANCELLED = auto()
    ESCALATED = auto()
    """Follows WARNED, DESIRED_PASSED or BREACHED: the action that the policy asks for."""
    CHANGED = auto()
    """A new version of the policies changed its due times."""
    PREDICTED = auto()
    """Likely to be breached. Reported once, if the policy asks for it."""
    CORRECTED = auto()
    """A level that was reported as passed was kept: an earlier event turned up late."""
    REARMED = auto()
    """A response that was met did not arrive: the clock runs as if it had never stopped."""
    DESIRED_PASSED = auto()
    """The desired level passed; the target can still be kept."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event in the life of a deadline. (`cause`, `ordinal`) identify it: the same input gives the same pair."""

    kind: OccurrenceKind
    cause: str
    ordinal: int
    tenant: str
    pool: str
    interaction_id: str
    conversation_id: str
    queue: str
    channel: str
    agent_id: str
    policy: str
    target: Target
    epoch: int
    level: Level
    desired_at_ms: int
    adequate_at_ms: int
    occurred_at_ms: int
    due_ms: int
    """When the milestone that was passed was due; 0 for occurrences that the clock did not decide, and for
    escalations, which follow their milestone."""
    used_ms: int
    share: float
    escalate_priority: int
    reason: str
    action: Action | None = None
    """Only for ESCALATED."""
    warning: int = 0
    """Number of the warning, from 1; 0 if it is not a warning."""
    orders_queue: bool = False
    """The router is to order the queue by `adequate_at_ms`."""
    probability: float = 0.0
    """Only for PREDICTED: the probability that the adequate level will be breached."""
