"""What the engine remembers: mutable, private to the engine, and rebuilt from its entities after a restore.

`dump` gives an entity as plain tuples; `load` takes them back. Version numbers belong to the codec.
"""

from dataclasses import dataclass, field
from typing import Any, Self

from services.router.domain.capacity import EMPTY, Load
from services.router.domain.commands import ReplyTo
from services.router.domain.effects import Decision
from services.router.domain.model import AgentProfile, AgentState, Facts, OfferEnd, Operator, Selector, Stage


@dataclass(slots=True)
class Offer:
    """An offer that stands."""

    offer_id: str
    agent_id: str
    offered_at: int
    expires_at: int
    reason: str


@dataclass(slots=True)
class Work:
    """An open interaction.

    `declined` holds, per agent, until when he is not asked again: a time, or minus his sign-in's number ("until he signs in anew").
    `enqueued_at` is when it entered its present queue (selectors expire from there); `facts.arrived_at_ms` is its age, kept for ever.
    """

    facts: Facts
    stage: Stage
    enqueued_at: int
    waiting_since: int
    waited: int = 0
    epoch: int = 0
    offer: Offer | None = None
    agent_id: str = ""
    assigned_at: int = 0
    wrap_until: int = 0
    replied: bool = False
    declined: dict[str, int] = field(default_factory=dict)
    reserved_for: str = ""
    reserved_until: int = 0
    """0 with `reserved_for`: a transfer to that agent, without a time and without asking for skills."""
    ended: tuple[str, str, int] = ("", "", 0)
    """Newest offer that ended: id, agent, how (OfferEnd; 0 means accepted)."""
    reason: str = ""
    decided_at: int = 0
    decision: Decision = field(default_factory=Decision)
    # Derived, not dumped.
    line: Any = None
    rank: tuple[float, int, str] = (0.0, 0, "")
    wake_at: int = 0

    @property
    def id(self) -> str:
        """The interaction's id."""
        return self.facts.interaction_id

    def waited_ms(self, now: int) -> int:
        """Waiting time in all."""
        waiting = self.stage in (Stage.WAITING, Stage.OFFERED)
        return self.waited + (max(0, now - self.waiting_since) if waiting else 0)

    def dump(self) -> tuple[Any, ...]:
        """As plain tuples."""
        offer, decision = self.offer, self.decision
        return (
            dump_facts(self.facts),
            int(self.stage),
            self.enqueued_at,
            self.waiting_since,
            self.waited,
            self.epoch,
            None
            if offer is None
            else (offer.offer_id, offer.agent_id, offer.offered_at, offer.expires_at, offer.reason),
            self.agent_id,
            self.assigned_at,
            self.wrap_until,
            self.replied,
            tuple(self.declined.items()),
            self.reserved_for,
            self.reserved_until,
            self.ended,
            self.reason,
            self.decided_at,
            (decision.at_ms, decision.eligible, decision.considered, decision.candidates),
        )

    @classmethod
    def load(cls, raw: Any) -> Self:
        """What `dump` gave."""
        at_ms, eligible, considered, candidates = raw[17]
        ranked = tuple(
            (agent, tuple((name, float(value)) for name, value in measures)) for agent, measures in candidates
        )
        return cls(
            facts=load_facts(raw[0]),
            stage=Stage(raw[1]),
            enqueued_at=raw[2],
            waiting_since=raw[3],
            waited=raw[4],
            epoch=raw[5],
            offer=None if raw[6] is None else Offer(*raw[6]),
            agent_id=raw[7],
            assigned_at=raw[8],
            wrap_until=raw[9],
            replied=raw[10],
            declined=dict(raw[11]),
            reserved_for=raw[12],
            reserved_until=raw[13],
            ended=(raw[14][0], raw[14][1], raw[14][2]),
            reason=raw[15],
            decided_at=raw[16],
            decision=Decision(at_ms, eligible, considered, ranked),
        )


@dataclass(slots=True)
class Agent:
    """An agent known to the pool. `sign_in` counts his sign-ins, `ranked_since` is what "longest idle" goes by."""

    profile: AgentProfile
    state: AgentState = AgentState.OFFLINE
    state_since: int = 0
    session_id: str = ""
    sign_in: int = 0
    ranked_since: int = 0
    grace_until: int = 0
    """When what he holds is routed again, unless he comes back; 0: no such date."""
    epoch: int = 0
    lost: tuple[str, int] = ("", 0)
    """Session that was lost, and the state that he was in: it comes back when that session is resumed late."""
    # Derived, not dumped.
    skills: dict[str, float] = field(default_factory=dict)
    load: Load = EMPTY
    offers: dict[str, None] = field(default_factory=dict)
    """Interactions offered to him."""
    held: dict[str, None] = field(default_factory=dict)
    """Interactions that he holds or wraps up."""
    kind: Any = None
    cell: Any = None
    place: tuple[int, str] = (0, "")

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.profile.agent_id

    def dump(self) -> tuple[Any, ...]:
        """As plain tuples."""
        p = self.profile
        return (
            (p.agent_id, p.display_name, p.skills, p.capacity_profile, p.queues),
            int(self.state),
            self.state_since,
            self.session_id,
            self.sign_in,
            self.ranked_since,
            self.grace_until,
            self.epoch,
            self.lost,
        )

    @classmethod
    def load_from(cls, raw: Any) -> Self:
        """What `dump` gave."""
        lost = (raw[8][0], raw[8][1]) if len(raw) > 8 else ("", 0)  # entries of before it was remembered have none
        return cls(load_profile(raw[0]), AgentState(raw[1]), raw[2], raw[3], raw[4], raw[5], raw[6], raw[7], lost)


@dataclass(slots=True)
class Session:
    """An agent's session at a gateway. `attached` is false when its connection was lost and only the lease still holds it."""

    session_id: str
    agent_id: str
    gateway: ReplyTo
    credits: int
    lease_until: int
    attached: bool = True
    armed: int = 0

    def dump(self) -> tuple[Any, ...]:
        """As plain tuples."""
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
        """What `dump` gave."""
        return cls(raw[0], raw[1], ReplyTo(raw[2], raw[3]), raw[4], raw[5], raw[6])


def load_profile(raw: Any) -> AgentProfile:
    """An agent's profile."""
    return AgentProfile(raw[0], raw[1], tuple((name, float(value)) for name, value in raw[2]), raw[3], tuple(raw[4]))


def dump_selectors(selectors: tuple[Selector, ...]) -> tuple[Any, ...]:
    """Selectors as tuples."""
    return tuple(
        (s.attribute, int(s.operator), s.number, s.text, s.texts, s.expires_after_ms, s.weight) for s in selectors
    )


def load_selectors(raw: Any) -> tuple[Selector, ...]:
    """What `dump_selectors` gave."""
    return tuple(Selector(s[0], Operator(s[1]), float(s[2]), s[3], tuple(s[4]), s[5], float(s[6])) for s in raw)


def dump_facts(f: Facts) -> tuple[Any, ...]:
    """Facts as tuples."""
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
    )


def load_facts(raw: Any) -> Facts:
    """What `dump_facts` gave."""
    return Facts(
        raw[0],
        raw[1],
        raw[2],
        raw[3],
        raw[4],
        raw[5],
        raw[6],
        raw[7],
        raw[8],
        load_selectors(raw[9]),
        tuple((name, value) for name, value in raw[10]),
        raw[11],
        raw[12],
        raw[13],
    )


ACCEPTED = OfferEnd.UNSPECIFIED
"""How `Work.ended` names an offer that was accepted."""
