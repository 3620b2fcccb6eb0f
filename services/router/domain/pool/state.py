"""The engine's state: mutable, private to the engine, and rebuilt from its entities after a restore.

The entries of the changelog are made of it in `changelog.entities`.
"""

from dataclasses import dataclass, field

from services.policy.model.routing import AgentProfile
from services.router.domain.commands import ReplyTo
from services.router.domain.effects import OfferRationale
from services.router.domain.model import AgentState, ExclusionReason, InteractionAttributes, OfferEnd, Stage
from services.router.domain.pool.capacity import EMPTY, Load
from services.router.domain.pool.index import AgentGroup, IdleRank, Line, LoadBucket, Rank

NEVER_OFFERED = OfferRationale()
"""The rationale of an interaction that was never offered."""


@dataclass(slots=True)
class Offer:
    """An offer that is open."""

    offer_id: str
    agent_id: str
    offered_at: int
    expires_at: int
    reason: str


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why an agent is not asked about an interaction, since when, and until when.

    `ends` is a time, or minus the number of the agent's sign-in ("until the agent signs in again"), or 0: see `assignment.exclusions`.
    """

    reason: ExclusionReason
    since: int
    ends: int = 0


@dataclass(slots=True)
class Interaction:
    """An open interaction.

    `enqueued_at` is when the interaction entered its present queue (selectors expire from then); `attributes.arrived_at_ms` is its age, and
    never changes. `agent_id` is the agent who holds it; while it waits or is offered, it is the
    transferring agent of a warm transfer.
    """

    attributes: InteractionAttributes
    stage: Stage
    enqueued_at: int
    waiting_since: int
    waited: int = 0
    epoch: int = 0
    offers: dict[str, Offer] = field(default_factory=dict)
    """Open offers, by agent."""
    agent_id: str = ""
    assigned_at: int = 0
    wrap_until: int = 0
    replied: bool = False
    parked: bool = False
    exclusions: dict[str, tuple[Exclusion, ...]] = field(default_factory=dict)
    """Agents who are not asked about it, and why: for each agent at most one exclusion of each reason."""
    reserved_for: str = ""
    reserved_until: int = 0
    handed_on: bool = False
    """With `reserved_for`: transferred to that agent by name, so the agent's skills and queues are not checked."""
    team_until: int = 0
    """Until when only the preferred team is asked; 0 when it is not asked alone, or not yet."""
    not_before: int = 0
    callback: bool = False
    key: int = 0
    """What its queue orders by among equal priorities, milliseconds."""
    shift_ms: float = 0.0
    """The shift of the ADAPTIVE order when it entered its queue."""
    overflowed: tuple[str, ...] = ()
    """Rules that have fired, as queue/rule."""
    announced: tuple[int, int] = (-1, -1)
    """Estimated waits announced when it was queued: P50, P90, milliseconds."""
    ended: dict[str, tuple[str, int]] = field(default_factory=dict)
    """The newest offers that ended: agent, and how it ended (OfferEnd; 0 means accepted)."""
    reason: str = ""
    decided_at: int = 0
    rationale: OfferRationale = NEVER_OFFERED
    unasked: bool = False
    """Whether the rules on entering its queue are still to be asked, when its match window ends."""
    answered_in: str = ""
    """The queue whose customers it was counted with as answered: once, until an agent transfers it."""
    replies: dict[str, bool] = field(default_factory=dict)
    """The holder's replies since the customer's last message, and whether each was sent."""
    silent_since: int = 0
    """When the newest of these replies was sent; 0 when the customer is not awaited."""
    warned_at: int = 0
    """When the customer was warned of the end since then; 0 when they were not."""
    # Derived, not dumped.
    line: Line | None = None
    rank: Rank = (0, 0, "")
    """The place in the line."""
    wake_at: int = 0
    light: bool = False
    """Whether its holder's ledger has it with the weight for the time while its customer is awaited."""
    silence_at: int = 0
    """When the silence of its customer leads to a warning or to its end; 0 means never."""

    @property
    def id(self) -> str:
        """The interaction's id."""
        return self.attributes.interaction_id

    @property
    def offer(self) -> Offer | None:
        """The oldest open offer."""
        return next(iter(self.offers.values()), None)

    @property
    def customer_awaited(self) -> bool:
        """Whether a reply of the holder was sent, and the customer has not written since."""
        return bool(self.replies) and any(self.replies.values())

    def waited_ms(self, now: int) -> int:
        """Return the total waiting time, milliseconds; an interaction that an agent holds does not wait."""
        waiting = self.stage in (Stage.WAITING, Stage.OFFERED) and not self.agent_id
        return self.waited + (max(0, now - self.waiting_since) if waiting else 0)


@dataclass(slots=True)
class Agent:
    """An agent known to the pool. `sign_in` counts the agent's sign-ins; "longest idle" is measured from `ranked_since`."""

    profile: AgentProfile
    state: AgentState = AgentState.OFFLINE
    state_since: int = 0
    session_id: str = ""
    sign_in: int = 0
    ranked_since: int = 0
    grace_until: int = 0
    """When what the agent holds is routed again, unless they return; 0 means never."""
    epoch: int = 0
    lost: tuple[str, int] = ("", 0)
    """The session that was lost, and the agent's state at that time, which is restored when that session is resumed late."""
    state_reason: str = ""
    turn: int = 0
    """Number of the pool's offer that the agent had last, for round robin."""
    debt: float = 0.0
    debt_at: int = 0
    """Balance of the occupancy limit, milliseconds, at a time: see `occupancy`."""
    configured: bool = False
    """Whether the configuration names the agent. Otherwise only `UpsertAgent` did."""
    # Derived, not dumped.
    skills: dict[str, float] = field(default_factory=dict)
    load: Load = EMPTY
    offers: dict[str, None] = field(default_factory=dict)
    """Interactions offered to the agent."""
    held: dict[str, None] = field(default_factory=dict)
    """Interactions that the agent holds or wraps up, including those of warm transfers and parked ones."""
    parked: dict[str, None] = field(default_factory=dict)
    group: AgentGroup = field(init=False, repr=False, compare=False)
    """Assigned when the agent is added or restored: before that a pool has no use for it."""
    at_work: bool = False
    """Whether the agent is counted in their group as at work: signed in and AVAILABLE, however busy."""
    bucket: LoadBucket | None = None
    idle_rank: IdleRank = (0, "")
    ranked_turn: int = 0
    """The agent's `turn` when they took their place."""
    rest_at: int = 0

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.profile.agent_id


@dataclass(slots=True)
class Session:
    """An agent's session at a gateway. `attached` is false when its connection was lost and only the lease keeps it."""

    session_id: str
    agent_id: str
    gateway: ReplyTo
    credits: int
    lease_until: int
    attached: bool = True


ACCEPTED = OfferEnd.UNSPECIFIED
"""How `Interaction.ended` marks an offer that was accepted."""
