"""What comes in and what goes out of the engine."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from services.sla.domain.policy import Action, Level, Target


class FactKind(Enum):
    """What the router decided about an interaction, as far as promises are concerned."""

    QUEUED = auto()
    SCHEDULED = auto()
    """Will be queued at its time: from the beginning, or because the customer wants to be called back."""
    ASSIGNED = auto()
    AGENT_REPLIED = auto()
    CUSTOMER_MESSAGED = auto()
    MOVED = auto()
    """Transferred, overflowed, or its queue or priority changed."""
    COMPLETED = auto()
    ABANDONED = auto()
    CANCELLED = auto()
    """By order, or as something that was no work: `reason` says which."""


OPENING: Final = frozenset({FactKind.QUEUED, FactKind.SCHEDULED})
"""With these, work begins to be promised something."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One event of the router. Times are milliseconds since the epoch; `epoch` grows with each event of the interaction."""

    kind: FactKind
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
    """Queued, and not for the first time."""
    language: str = ""
    priority: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    """Of facts that open work, sorted by name."""
    start_at_ms: int = 0
    """Of SCHEDULED: when it will be queued."""
    due_at_ms: int = 0
    """By when it is to be picked up, as given with the interaction; 0 if nobody has said."""
    reason: str = ""
    person_id: str = ""
    estimated_p50_ms: int = -1
    """Queued: the median of the wait that was announced; -1 when none was, 0 when an agent was free."""
    estimated_p90_ms: int = -1


class OccurrenceKind(Enum):
    """What happened to a promise."""

    SET = auto()
    PAUSED = auto()
    RESUMED = auto()
    WARNED = auto()
    BREACHED = auto()
    MET = auto()
    CANCELLED = auto()
    ESCALATED = auto()
    """Follows WARNED or BREACHED: what is to be done about it."""
    CHANGED = auto()
    """A new version of the policies gave it other due times."""
    PREDICTED = auto()
    """Likely to be broken: told once, where the policy asks for it."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened to a promise. (`cause`, `ordinal`) identify it: the same input gives the same pair."""

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
    """When the milestone that was passed was due; 0 for what no clock decided, and for escalations, which follow their milestone."""
    used_ms: int
    share: float
    escalate_priority: int
    reason: str
    action: Action | None = None
    """Of ESCALATED."""
    warning: int = 0
    """Which warning, from 1; 0 for what is no warning."""
    orders_queue: bool = False
    """The router is to order the queue by `adequate_at_ms`."""
    probability: float = 0.0
    """PREDICTED: that the adequate level will be passed."""
