"""State of the naive router of `engine_scan`: interactions and agents, in plain form."""

from typing import Any, Final

from services.policy.model.routing import AgentProfile
from services.router.domain.model import AgentState, InteractionAttributes
from tests.bench.engine_pool import capacity_of

WAITING, OFFERED, HELD, WRAP_UP = range(4)
LEASE, GRACE, OFFER, WRAP_UP_OVER, PLACE = range(1, 6)
STAGE: Final = {OFFER: OFFERED, WRAP_UP_OVER: WRAP_UP, PLACE: WAITING}
"""The stage in which a timer of an interaction is valid."""


class Job:
    """An open interaction."""

    __slots__ = (
        "agent",
        "assigned_at",
        "attributes",
        "declined",
        "due",
        "enqueued_at",
        "handed_on",
        "kept_for",
        "kept_until",
        "needs",
        "stage",
    )  # fmt: skip

    def __init__(self, attributes: InteractionAttributes, now: int) -> None:
        self.attributes = attributes
        self.enqueued_at = now
        self.stage = WAITING
        self.agent = self.kept_for = ""
        self.assigned_at = self.kept_until = 0
        self.due = 0
        """When the timer of its stage is due; 0: it has none."""
        self.handed_on = False
        """With `kept_for`: the transfer named the agent, so their skills and queues are not checked."""
        self.needs: tuple[Any, ...] = ()
        self.declined: dict[str, int] = {}
        """By agent: until when the agent gets no offer, or minus the number of their sign-in."""

    @property
    def id(self) -> str:
        """The interaction's id."""
        return self.attributes.interaction_id

    def asked(self) -> str:
        """The agent to whom it is offered."""
        return self.agent if self.stage == OFFERED else ""

    def holder(self) -> str:
        """The agent who holds it, or wraps it up."""
        return self.agent if self.stage in (HELD, WRAP_UP) else ""


class Person:
    """An agent."""

    __slots__ = (
        "attached", "capacity", "counts", "credits", "grace", "held", "id", "offers", "queues", "session", "sign_ins",
        "since", "skills", "state",
    )  # fmt: skip

    def __init__(self, profile: AgentProfile) -> None:
        self.id = profile.agent_id
        self.learn(profile)
        self.state = AgentState.OFFLINE
        self.session = ""
        self.attached = False
        self.credits = self.sign_ins = self.since = self.grace = 0
        self.counts: dict[str, int] = {}
        self.offers: dict[str, None] = {}
        self.held: dict[str, None] = {}

    def learn(self, profile: AgentProfile) -> None:
        """Take another profile."""
        self.skills = dict(profile.skills)
        self.queues = frozenset(profile.queues)
        self.capacity = capacity_of(profile)

    def at_desk(self) -> bool:
        """Available and connected."""
        return self.state is AgentState.AVAILABLE and self.attached

    def listens(self) -> bool:
        """Available and connected, with a desk that can show one more offer."""
        return self.at_desk() and (not self.credits or len(self.offers) < self.credits)

    def used(self) -> float:
        """Weight in use over the total."""
        weight = sum(c.weight * self.counts.get(c.channel, 0) for c in self.capacity.channels)
        return weight / self.capacity.total

    def count(self, channel: str, by: int) -> None:
        """Count an interaction of a channel."""
        self.counts[channel] = self.counts.get(channel, 0) + by
