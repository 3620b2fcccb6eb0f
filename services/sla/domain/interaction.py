"""An interaction whose deadlines are tracked, and which parts of the state have changed in a batch."""

from dataclasses import dataclass, field

from services.policy.model.sla import NOTHING_KNOWN, Subject, Target
from services.sla.domain.deadlines import Deadline
from services.sla.domain.measures import TallyKey


@dataclass(slots=True)
class TrackedInteraction:
    """One tracked interaction. Restored from the changelog as it is."""

    interaction_id: str
    conversation_id: str
    tenant: str
    pool: str
    queue: str
    channel: str
    plan_id: str
    agent_id: str = ""
    last_epoch: int = 0
    """Highest epoch of the router's events seen: an event that is not newer has been counted already."""
    last_ms: int = 0
    """Time of the last event: time never goes backwards for one interaction."""
    customer_awaited: bool = False
    """An agent has replied since the customer's last message."""
    closed_at_ms: int = 0
    """When it was completed, abandoned or cancelled; 0 while it is open."""
    deadlines: list[Deadline] = field(default_factory=list)
    subject: Subject = NOTHING_KNOWN
    """Attributes by which the policy was chosen; empty in interactions from before policies could be chosen again."""
    scheduled: bool = False
    """It has waited, and waits again from an agreed time on."""
    due_given: bool = False
    """Its pick-up deadline was given with it: this service must not change the queue's order."""
    completed: bool = False
    """Closed by completion, so that it can be reopened."""
    unsent: tuple[str, ...] = ()
    """Ids of replies whose outcome is not known yet; the newest ones."""
    replies: tuple[str, ...] = ()
    """Ids of the replies that were sent since the customer's last message, and have not failed; the newest ones."""
    answered: tuple[Target, ...] = ()
    """The targets that these replies have met."""
    returned: bool = False
    """It has returned to a queue, and no agent has replied since: the customer waits for us, also when we wrote last."""
    parting: tuple[str, ...] = ()
    """Ids of the replies that were on their way when it returned: their outcomes do not end this wait."""

    @property
    def waits_for_customer(self) -> bool:
        """Whether the next step is the customer's."""
        return self.customer_awaited and not self.returned

    def latest(self, target: Target) -> Deadline | None:
        """Return the newest deadline of a target."""
        for deadline in reversed(self.deadlines):
            if deadline.target is target:
                return deadline
        return None

    def next_due(self) -> int | None:
        """Return when the first of its milestones is due; None while no milestone can fire."""
        first: int | None = None
        for deadline in self.deadlines:
            due = deadline.next_due
            if due is not None and (first is None or due < first):
                first = due
        return first


@dataclass(slots=True)
class Changes:
    """Keys of state that was touched since the last time. The reader checks whether they still exist."""

    interactions: dict[str, None] = field(default_factory=dict)
    plans: dict[str, None] = field(default_factory=dict)
    tallies: dict[TallyKey, None] = field(default_factory=dict)
    versions: dict[str, None] = field(default_factory=dict)
    """Tenants whose open interactions have all been checked against a new configuration version."""
