"""The engine's state: mutable, private to the engine, and rebuilt from its entities after a restore.

`dump` returns an entity as plain tuples; `load` reads them. The codec owns the version numbers.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Self

from services.policy.model.interning import name, whole
from services.policy.model.routing import TRANSFER_HOLD_MS, AgentProfile
from services.router.domain.commands import ReplyTo
from services.router.domain.effects import OfferRationale
from services.router.domain.model import AgentState, InteractionAttributes, OfferEnd, Stage
from services.router.domain.pool.capacity import EMPTY, Load
from services.router.domain.pool.index import AgentGroup, IdleRank, Line, LoadBucket, Rank
from services.router.domain.pool.selector_state import dump_selectors, load_selectors

_STAGES: Final = {stage.value: stage for stage in Stage}
_AGENT_STATES: Final = {state.value: state for state in AgentState}

NO_AGENT: Final = ("", 0)
"""No transferring agent."""

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


@dataclass(slots=True)
class Interaction:
    """An open interaction.

    `declined` holds, for each agent, until when they are not asked again: a time, or minus the number of their sign-in ("until the agent
    signs in again"). `enqueued_at` is when the interaction entered its present queue (selectors expire from then);
    `attributes.arrived_at_ms` is its age, and never changes. `agent_id` is the agent who holds it; while it waits or is offered, it is the
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
    declined: dict[str, int] = field(default_factory=dict)
    transferring_agent: tuple[str, int] = NO_AGENT
    """The transferring agent and the number of their sign-in: they are not asked until another agent has held the interaction."""
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
    stretch: float = 1.0
    """The multiplier of the ADAPTIVE order when it entered its queue."""
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
    # Derived, not dumped.
    line: Line | None = None
    rank: Rank = (0, 0, "")
    """The place in the line."""
    wake_at: int = 0

    @property
    def id(self) -> str:
        """The interaction's id."""
        return self.attributes.interaction_id

    @property
    def offer(self) -> Offer | None:
        """The oldest open offer."""
        return next(iter(self.offers.values()), None)

    def waited_ms(self, now: int) -> int:
        """Return the total waiting time, milliseconds; an interaction that an agent holds does not wait."""
        waiting = self.stage in (Stage.WAITING, Stage.OFFERED) and not self.agent_id
        return self.waited + (max(0, now - self.waiting_since) if waiting else 0)

    def dump(self) -> tuple[Any, ...]:
        """Return the interaction as plain tuples."""
        rationale = self.rationale
        return (
            dump_attributes(self.attributes),
            int(self.stage),
            self.enqueued_at,
            self.waiting_since,
            self.waited,
            self.epoch,
            [(o.offer_id, o.agent_id, o.offered_at, o.expires_at, o.reason) for o in self.offers.values()],
            self.agent_id,
            self.assigned_at,
            self.wrap_until,
            self.replied,
            self.parked,
            tuple(self.declined.items()),
            self.transferring_agent,
            self.reserved_for,
            self.reserved_until,
            self.handed_on,
            self.team_until,
            self.not_before,
            self.callback,
            self.key,
            self.stretch,
            self.overflowed,
            self.announced,
            [(offer_id, agent_id, how) for offer_id, (agent_id, how) in self.ended.items()],
            self.reason,
            self.decided_at,
            (rationale.at_ms, rationale.eligible, rationale.considered, rationale.candidates)
            + ((rationale.matched, rationale.total) if rationale.matched else ()),
            self.unasked,
        )

    @classmethod
    def load(cls, raw: Any) -> Self:
        """Build an interaction from what `dump` returned, in this version or in version 1."""
        if len(raw) == _FIRST_LENGTH:
            raw = _from_first(raw)
        at_ms, eligible, considered, candidates = raw[27][:4]
        matched, total = raw[27][4:] or (0, 0.0)
        ranked = [
            (agent, tuple([(name(measure), float(value)) for measure, value in measures]))
            for agent, measures in candidates
        ]
        transferring_agent, announced = raw[13], raw[23]
        return cls(
            load_attributes(raw[0]),
            _STAGES[raw[1]],
            raw[2],
            raw[3],
            raw[4],
            raw[5],
            {offer[1]: Offer(*offer) for offer in raw[6]} if raw[6] else {},
            raw[7],
            raw[8],
            raw[9],
            raw[10],
            raw[11],
            dict(raw[12]),
            (transferring_agent[0], transferring_agent[1]) if transferring_agent[0] else NO_AGENT,
            raw[14],
            raw[15],
            raw[16],
            raw[17],
            raw[18],
            raw[19],
            raw[20],
            float(raw[21]),
            tuple(raw[22]),
            (announced[0], announced[1]),
            {offer_id: (agent_id, how) for offer_id, agent_id, how in raw[24]} if raw[24] else {},
            raw[25],
            raw[26],
            OfferRationale(at_ms, eligible, considered, tuple(ranked), matched, float(total)),
            len(raw) > 28 and raw[28],
        )


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
    bucket: LoadBucket | None = None
    idle_rank: IdleRank = (0, "")
    ranked_turn: int = 0
    """The agent's `turn` when they took their place."""
    rest_at: int = 0

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.profile.agent_id

    def dump(self) -> tuple[Any, ...]:
        """Return the agent as plain tuples."""
        p = self.profile
        return (
            (p.agent_id, p.display_name, p.skills, p.capacity_profile, p.queues, p.team),
            int(self.state),
            self.state_since,
            self.session_id,
            self.sign_in,
            self.ranked_since,
            self.grace_until,
            self.epoch,
            self.lost,
            self.state_reason,
            self.turn,
            self.debt,
            self.debt_at,
        )

    @classmethod
    def load_from(cls, raw: Any) -> Self:
        """Build an agent from what `dump` returned, in this version or in version 1."""
        raw = (*raw, *(("", 0), "", 0, 0.0, 0)[len(raw) - 8 :])
        lost = (raw[8][0], raw[8][1])
        values = [load_profile(raw[0]), _AGENT_STATES[raw[1]], *raw[2:8], lost, *raw[9:11], float(raw[11]), raw[12]]
        return cls(*values)


@dataclass(slots=True)
class Session:
    """An agent's session at a gateway. `attached` is false when its connection was lost and only the lease keeps it."""

    session_id: str
    agent_id: str
    gateway: ReplyTo
    credits: int
    lease_until: int
    attached: bool = True

    def dump(self) -> tuple[Any, ...]:
        """Return the session as plain tuples."""
        return (
            self.session_id,
            self.agent_id,
            self.gateway.gateway_id,
            self.gateway.partition,
            self.credits,
            self.lease_until,
            self.attached,
        )

    @classmethod
    def load(cls, raw: Any) -> Self:
        """Build a session from what `dump` returned."""
        return cls(raw[0], raw[1], ReplyTo(raw[2], raw[3]), raw[4], raw[5], raw[6])


def load_profile(raw: Any) -> AgentProfile:
    """Build an agent's profile from tuples."""
    skills = whole(tuple(whole((name(skill), float(value))) for skill, value in raw[2]))
    team = name(raw[5]) if len(raw) > 5 else ""
    return AgentProfile(raw[0], raw[1], skills, name(raw[3]), whole(tuple(name(queue) for queue in raw[4])), team)


def dump_attributes(f: InteractionAttributes) -> tuple[Any, ...]:
    """Return an interaction's attributes as tuples."""
    return (
        f.interaction_id,
        f.conversation_id,
        f.person_id,
        f.identity_id,
        f.channel,
        f.account,
        f.language,
        f.queue,
        f.priority,
        dump_selectors(f.requirements) if f.requirements else (),
        f.labels,
        f.arrived_at_ms,
        f.rule,
        f.public,
        f.due_at_ms,
        f.start_at_ms,
        f.preferred_agent,
        f.preferred_team,
    )


def load_attributes(raw: Any) -> InteractionAttributes:
    """Build an interaction's attributes from what `dump_attributes` returned."""
    labels = whole(tuple([(name(key), value) for key, value in raw[10]])) if raw[10] else ()
    return InteractionAttributes(
        raw[0],
        raw[1],
        raw[2],
        raw[3],
        name(raw[4]),
        name(raw[5]),
        name(raw[6]),
        name(raw[7]),
        raw[8],
        load_selectors(raw[9]),
        labels,
        raw[11],
        name(raw[12]),
        *raw[13:18],
    )


_FIRST_LENGTH: Final = 18


def _from_first(raw: Any) -> tuple[Any, ...]:
    """Convert an interaction of version 1: it has at most one offer, and lacks the later fields."""
    arrived_at_ms, handed_on = raw[0][11], bool(raw[12]) and not raw[13]
    offer_id, agent_id, how = raw[14]
    return (
        *raw[:6],
        () if raw[6] is None else (raw[6],),
        *raw[7:11],
        False,
        raw[11],
        ("", 0),
        raw[12],
        raw[2] + TRANSFER_HOLD_MS if handed_on else raw[13],
        handed_on,
        0,
        0,
        False,
        arrived_at_ms,
        1.0,
        (),
        (-1, -1),
        ((offer_id, agent_id, how),) if offer_id else (),
        *raw[15:18],
    )


ACCEPTED = OfferEnd.UNSPECIFIED
"""How `Interaction.ended` marks an offer that was accepted."""
