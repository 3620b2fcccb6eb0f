"""The state of the naive engine: one record for each interaction, agent and session. Times in milliseconds."""

from dataclasses import dataclass, field
from enum import Enum

from services.policy.model.routing import AgentProfile
from services.router.domain.model import AgentState, InteractionAttributes


class Phase(Enum):
    """The stage of an interaction. The transferring agent of a warm transfer is the `holder` of one that waits."""

    SCHEDULED = "scheduled"
    WAITING = "waiting"
    HELD = "held"
    WRAP_UP = "wrap-up"


@dataclass
class OpenOffer:
    """An open offer."""

    offer_id: str
    agent_id: str
    expires_at: int


@dataclass
class Job:
    """An open interaction.

    `entered` is the start of its queue's clock; while an agent holds it, the clock has the value `stopped`.
    """

    attributes: InteractionAttributes
    phase: Phase
    entered: int
    waiting_since: int
    waited: int = 0
    stopped: int = 0
    offers: list[OpenOffer] = field(default_factory=list)
    offered: int = 0
    """Number of offers that were made of it."""
    holder: str = ""
    assigned_at: int = 0
    wrap_until: int = 0
    replied: bool = False
    parked: bool = False
    counted_in: set[str] = field(default_factory=set)
    """The queue that has its customer among those answered, since an agent last transferred it without staying."""
    not_before: int = 0
    callback: bool = False
    turn: list[tuple[str, str]] = field(default_factory=list)
    """The holder's replies since the customer wrote last: reply, and "written", "sent" or "lost", in the order of these events."""
    quiet_since: int = 0
    """When the newest reply was sent that the customer has not answered."""
    warned: int = 0
    """When the customer was warned since then."""
    silent: dict[str, int] = field(default_factory=dict)
    """Agent who did not answer an offer of it, to the number of their changes of state then."""
    declined_until: dict[str, int] = field(default_factory=dict)
    declined_in: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Agent to the number of the sign-in in which they declined it without a time, and when."""
    transferring_agents: dict[str, int] = field(default_factory=dict)
    """Agents who transferred it in their present sign-in, and when; no agent has held it since."""
    taken_from: dict[str, int] = field(default_factory=dict)
    """Agents from whom it was taken, and when; no agent has held it since."""
    kept_for: str = ""
    kept_until: int = 0
    by_name: bool = False
    """With `kept_for`: an agent transferred it to that agent."""
    team: str = ""
    team_ms: int = 0
    team_until: int = 0
    """When the team's time is over; 0 before it has begun."""
    shift_ms: float = 0.0
    """The shift of the queue when it entered."""
    fired: set[tuple[str, str]] = field(default_factory=set)
    asking: bool = False
    """Whether it entered its queue and was not yet offered: overflow rules have not been asked."""

    @property
    def id(self) -> str:
        """The interaction's id."""
        return self.attributes.interaction_id

    def clock(self, now: int) -> int:
        """Return how long it has waited in its queue: relaxation and overflow depend on it."""
        return now - self.entered if self.phase is Phase.WAITING else self.stopped

    @property
    def customer_owes(self) -> bool:
        """Whether the customer's answer is awaited by an agent who is not wrapping up or transferring it."""
        newest = dict(self.turn)
        return self.phase is Phase.HELD and "sent" in newest.values()

    @property
    def entry(self) -> tuple[str, bool]:
        """Return its entry in the holder's ledger: channel, and whether the customer's answer is awaited."""
        return self.attributes.channel, self.customer_owes

    def waited_ms(self, now: int) -> int:
        """Return the total waiting time; an interaction that an agent holds does not wait."""
        return self.waited + (now - self.waiting_since if self.phase is Phase.WAITING and not self.holder else 0)


@dataclass
class Person:
    """An agent. "Longest idle" is measured from `idle_since`."""

    profile: AgentProfile
    state: AgentState = AgentState.OFFLINE
    session_id: str = ""
    sign_ins: int = 0
    state_changes: int = 0
    idle_since: int = 0
    last_offered: int = 0
    grace_until: int = 0
    lost: tuple[str, AgentState] = ("", AgentState.UNSPECIFIED)
    configured: bool = False
    busy: list[tuple[int, bool]] = field(default_factory=list)
    """Times since which the agent was busy, or not, in order."""

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.profile.agent_id


@dataclass
class History:
    """The history of a queue: when interactions entered it, and when each was answered or lost and whether in time."""

    entered: list[int] = field(default_factory=list)
    outcomes: list[tuple[int, bool]] = field(default_factory=list)
    minute: tuple[int, int] | None = None
    """When its present minute of the adaptive order began, and the number of outcomes before."""
    ended: list[bool] = field(default_factory=list)
    """Which of the outcomes in its last minute were in time."""
    minutes: list[int] = field(default_factory=list)
    """The outcomes in each minute of the adaptive order."""
    shift_ms: float = 0.0

    def level(self) -> float | None:
        """Return the share in time of the last 100."""
        last = [in_time for _, in_time in self.outcomes[-100:]]
        return sum(last) / len(last) if last else None

    def demand(self, now: int) -> float:
        """Return recent arrivals, halved every five minutes."""
        return sum(float(0.5 ** ((now - at) / 300_000)) for at in self.entered)


@dataclass
class Desk:
    """A session."""

    session_id: str
    agent_id: str
    credits: int
    lease_until: int
    attached: bool = True
