"""An interaction whose promises are watched, and what of the state has changed in a batch."""

from dataclasses import dataclass, field

from services.sla.domain.deadlines import Deadline
from services.sla.domain.measures import TallyKey
from services.sla.domain.policy import Target


@dataclass(slots=True)
class Work:
    """One interaction. Rebuilt from the changelog as it is."""

    interaction_id: str
    conversation_id: str
    tenant: str
    pool: str
    queue: str
    channel: str
    plan_id: str
    agent_id: str = ""
    last_epoch: int = 0
    """Of the router's events seen: an event that is not newer has been counted."""
    last_ms: int = 0
    """Time of the last event: time never goes backwards for one interaction."""
    customer_awaited: bool = False
    """An agent has replied since the customer's last message."""
    closed_at_ms: int = 0
    """When it was completed, abandoned or cancelled; 0 while it is open."""
    deadlines: list[Deadline] = field(default_factory=list)

    def latest(self, target: Target) -> Deadline | None:
        """The newest instance of a promise."""
        for deadline in reversed(self.deadlines):
            if deadline.target is target:
                return deadline
        return None


@dataclass(slots=True)
class Changes:
    """Keys of state that was touched since the last time; whoever reads them looks up whether they still exist."""

    works: dict[str, None] = field(default_factory=dict)
    plans: dict[str, None] = field(default_factory=dict)
    tallies: dict[TallyKey, None] = field(default_factory=dict)
