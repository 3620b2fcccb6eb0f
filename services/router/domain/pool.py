"""The engine's state and the few primitives that all decisions are made of.

Every primitive keeps ledger, lines, cells and timers in step, notes what must be written to the changelog, and emits its events. Who changes
something that could let waiting work be served says so (`stirred` lines, `freed` agents); `dispatch.run` then restores the rule that nothing waits
while it could be served.
"""

from collections.abc import Iterable
from dataclasses import replace

from services.router.domain import effects as fx
from services.router.domain.capacity import EMPTY, plus
from services.router.domain.dedup import Dedup
from services.router.domain.eligibility import active, next_expiry
from services.router.domain.estimates import Drain
from services.router.domain.lines import Line, Lines
from services.router.domain.model import AgentProfile, AgentState, OfferEnd, PoolConfig, QueueConfig, Selector, Stage
from services.router.domain.roster import Roster
from services.router.domain.state import Agent, Offer, Session, Work
from services.router.domain.timers import Timer, Timers

Entity = tuple[str, str]
"""Kind of entity and its id: what the changelog is keyed by."""


class Core:
    """State of one pool."""

    def __init__(self) -> None:
        self.now = 0
        self.config: PoolConfig | None = None
        self.works: dict[str, Work] = {}
        self.agents: dict[str, Agent] = {}
        self.sessions: dict[str, Session] = {}
        self.last_agent: dict[str, str] = {}
        self.drains: dict[str, Drain] = {}
        self.dedup = Dedup()
        self.timers = Timers(self._live)
        self.roster = Roster()
        self.lines = Lines()
        self.effects: list[fx.Effect] = []
        self.dirty: dict[Entity, None] = {}
        self.stirred: dict[Line, None] = {}
        self.freed: dict[str, None] = {}
        self.entered: list[tuple[int, Work, str, bool, int]] = []
        """Queued events to be filled in after dispatching: place among the effects, work, reason, again, epoch."""
        self.tally: dict[str, list[int]] = {}
        """Per queue since this owner took over: answered in threshold, answered, abandoned."""

    # Timers

    def _live(self, due: int, kind: Timer, entity: str) -> bool:
        match kind:
            case Timer.LEASE:
                session = self.sessions.get(entity)
                return session is not None and session.armed == due
            case Timer.GRACE:
                agent = self.agents.get(entity)
                return agent is not None and agent.grace_until == due
        work = self.works.get(entity)
        if work is None:
            return False
        match kind:
            case Timer.OFFER:
                return work.offer is not None and work.offer.expires_at == due
            case Timer.WRAP_UP:
                return work.stage is Stage.WRAP_UP and work.wrap_until == due
            case _:
                return work.stage is Stage.WAITING and work.wake_at == due

    # Telling

    def event_number(self, work: Work, reason: str) -> int:
        """Count one more event of this interaction, and note the newest reason."""
        work.epoch += 1
        work.reason = reason
        work.decided_at = self.now
        self.dirty["i", work.facts.interaction_id] = None
        return work.epoch

    def tell(self, agent: Agent, notice: fx.Notice) -> None:
        """Tell an agent's desk, if he has one."""
        session = self.sessions.get(agent.session_id)
        if session is not None:
            self.effects.append(fx.ToDesk(session.gateway, session.session_id, session.agent_id, notice))

    # Configuration

    def queue_of(self, work: Work) -> QueueConfig | None:
        """The queue of an interaction; None before any configuration."""
        return self.config.by_name.get(work.facts.queue) if self.config is not None else None

    def adopt_profile(self, profile: AgentProfile) -> Agent:
        """Add an agent, or give him another profile."""
        agent = self.agents.get(profile.agent_id)
        if agent is None:
            agent = self.agents[profile.agent_id] = Agent(profile)
        elif agent.profile == profile and agent.kind is not None:
            return agent
        self.roster.leave(agent)
        agent.profile = profile
        self.assign_kind(agent)
        self.dirty["a", agent.id] = None
        self.stand(agent, freed=True)
        self.look_again(agent)
        return agent

    def assign_kind(self, agent: Agent) -> None:
        """Find the agent's kind, and the lines that a new kind can serve."""
        assert self.config is not None
        agent.skills = dict(agent.profile.skills)
        kind, new = self.roster.kind_for(agent, self.config.profile(agent.profile.capacity_profile))
        agent.kind = kind
        if new:
            for line in self.lines.all():
                if not line.reserved_for and kind.serves(line.key[0], line.selectors):
                    line.kinds.append(kind)
                    kind.lines[line.key] = line

    # Agents

    def offerable(self, agent: Agent) -> bool:
        """Whether the agent may be offered something, capacity apart."""
        if agent.state is not AgentState.AVAILABLE:
            return False
        session = self.sessions.get(agent.session_id)
        return session is not None and session.attached and (not session.credits or len(agent.offers) < session.credits)

    def stand(self, agent: Agent, *, freed: bool = False) -> None:
        """Put the agent where he belongs in the roster; `freed` when he may be able to take more than before."""
        if agent.kind is None:
            return
        if self.offerable(agent):
            self.roster.stand(agent)
            if freed:
                self.freed[agent.profile.agent_id] = None
        else:
            self.roster.leave(agent)

    def set_state(self, agent: Agent, state: AgentState, reason: str) -> None:
        """Change an agent's state, and tell. Leaving AVAILABLE revokes his offers and frees what was kept for him."""
        before = agent.state
        if before is state:
            return
        agent.state = state
        agent.state_since = self.now
        agent.epoch += 1
        self.dirty["a", agent.id] = None
        if state is AgentState.AVAILABLE:
            agent.ranked_since = self.now
            self.stand(agent, freed=True)
        else:
            self.stand(agent)
            self.revoke_offers(agent, reason)
            self.look_again(agent)
        used, total = self.used_total(agent)
        self.effects.append(fx.AgentStateChanged(agent.id, agent.epoch, reason, before, state, used, total))
        self.tell(agent, fx.StateNotice(before, state, used, total))

    def used_total(self, agent: Agent) -> tuple[int, int]:
        """Weight in use, and capacity."""
        if agent.kind is None:
            return (0, 0)
        return agent.kind.capacity.used(agent.load), agent.kind.capacity.total

    def look_again(self, agent: Agent) -> None:
        """What is kept for this agent goes to anyone, if there is no reason any more to keep it for him."""
        kept = self.lines.reserved.get(agent.id)
        if not kept:
            return
        for work in [line.at(i) for line in list(kept.values()) for i in range(len(line.ranks))]:
            self.lines.remove(work)
            self.place(work)

    def revoke_offers(self, agent: Agent, reason: str) -> None:
        """Take back everything that is offered to the agent; it waits again at its place."""
        for interaction_id in sorted(agent.offers):
            work = self.works[interaction_id]
            self.end_offer(work, OfferEnd.REVOKED, reason)
            self.place(work)

    # Waiting

    def place(self, work: Work) -> None:
        """Let work wait in the line where it belongs now; its timer is set to when that will be another line."""
        work.stage = Stage.WAITING
        queue = self.queue_of(work)
        if queue is None:
            work.line = None
            return
        now, facts = self.now, work.facts
        age = now - work.enqueued_at
        wake: list[int] = []
        if work.reserved_for and not self._still_reserved(work):
            work.reserved_for, work.reserved_until = "", 0
            self.dirty["i", facts.interaction_id] = None
        forced = bool(work.reserved_for) and not work.reserved_until
        if forced:
            needed: tuple[Selector, ...] = ()
        else:
            wanted = queue.requirements + facts.requirements
            needed = active(wanted, age)
            expiry = next_expiry(wanted, age)
            if expiry is not None:
                wake.append(work.enqueued_at + expiry)
            if work.reserved_until:
                wake.append(work.reserved_until)
        wake.extend(until for until in work.declined.values() if until > now)
        key = (queue.name, needed, facts.channel, work.reserved_for, forced)
        line = self.lines.get(key)
        if line is None:
            line = self.lines.open(key, queue)
            if not line.reserved_for:
                for kind in self.roster.kinds.values():
                    if kind.serves(queue.name, needed):
                        line.kinds.append(kind)
                        kind.lines[key] = line
        line.add(work)
        self.stirred[line] = None
        work.wake_at = min(wake, default=0)
        if work.wake_at:
            self.timers.arm(work.wake_at, Timer.PLACE, facts.interaction_id)

    def _still_reserved(self, work: Work) -> bool:
        agent = self.agents.get(work.reserved_for)
        if agent is None or agent.state is not AgentState.AVAILABLE or self.declines(work, agent):
            return False
        if not work.reserved_until:
            return True
        if work.reserved_until <= self.now:
            return False
        queue = self.queue_of(work)
        assert queue is not None
        needed = active(queue.requirements + work.facts.requirements, self.now - work.enqueued_at)
        return agent.kind is not None and bool(agent.kind.serves(queue.name, needed))

    def declines(self, work: Work, agent: Agent) -> bool:
        """Whether the agent has said no to this, and that still counts."""
        until = work.declined.get(agent.profile.agent_id)
        if until is None:
            return False
        return until > self.now if until > 0 else -until == agent.sign_in

    def leave_line(self, work: Work) -> None:
        """Take waiting work out of its line."""
        if work.line is not None:
            self.lines.remove(work)

    def enter(self, work: Work, reason: str, *, again: bool) -> None:
        """Queue work and announce it; position and estimate are filled in when it is known whether somebody was free."""
        self.place(work)
        epoch = self.event_number(work, reason)
        self.entered.append((len(self.effects), work, reason, again, epoch))
        # The real event takes this place in `dispatch.announce`, before the effects leave the engine.
        self.effects.append(fx.Queued(work.facts, epoch, reason, 0, -1, again))

    # Offers and assignments

    def offer(self, work: Work, agent: Agent, reason: str, decision: fx.Decision, offer_ms: int) -> None:
        """Offer waiting work to an agent."""
        self.leave_line(work)
        epoch = self.event_number(work, reason)
        offer = Offer(f"{work.id}.{epoch}", agent.id, self.now, self.now + offer_ms, reason)
        work.stage, work.offer, work.decision = Stage.OFFERED, offer, decision
        agent.offers[work.id] = None
        agent.load = plus(agent.load, work.facts.channel, 1)
        self.stand(agent)
        self.timers.arm(offer.expires_at, Timer.OFFER, work.id)
        self.effects.append(
            fx.Offered(
                work.facts,
                epoch,
                reason,
                agent.id,
                offer.offer_id,
                offer.expires_at,
                decision.eligible,
                decision.considered,
            )
        )
        self.tell(agent, offer_notice(work, offer))

    def end_offer(self, work: Work, end: OfferEnd, reason: str) -> Agent:
        """An offer ends without an assignment. The caller says where the work goes."""
        offer = work.offer
        assert offer is not None
        agent = self.agents[offer.agent_id]
        del agent.offers[work.id]
        work.offer = None
        work.ended = (offer.offer_id, agent.id, int(end))
        agent.load = plus(agent.load, work.facts.channel, -1)
        self.stand(agent, freed=True)
        epoch = self.event_number(work, reason)
        self.effects.append(fx.OfferEnded(work.facts, epoch, reason, agent.id, offer.offer_id, end))
        if end is not OfferEnd.DECLINED:
            self.tell(agent, fx.RevokedNotice(offer.offer_id, reason))
        return agent

    def release(self, work: Work, reason: str) -> Agent:
        """The holder no longer holds it. The caller says where the work goes."""
        agent = self.agents[work.agent_id]
        del agent.held[work.id]
        agent.load = plus(agent.load, work.facts.channel, -1)
        agent.ranked_since = self.now
        work.agent_id, work.assigned_at, work.wrap_until = "", 0, 0
        self.dirty["a", agent.id] = None
        self.stand(agent, freed=True)
        self.tell(agent, fx.EndedNotice(work.id, reason))
        return agent

    def drop(self, work: Work) -> None:
        """Forget an interaction that is closed and held by nobody."""
        self.leave_line(work)
        del self.works[work.id]
        self.dirty["i", work.id] = None

    def wait_again(self, work: Work) -> None:
        """It enters a queue anew: selectors expire from now on. What it has waited so far is kept."""
        work.waited = work.waited_ms(self.now)
        work.waiting_since = self.now
        work.enqueued_at = self.now

    def change(self, work: Work, **fields: object) -> None:
        """Replace facts; waiting work is put where it now belongs."""
        waiting = work.stage is Stage.WAITING
        if waiting:
            self.leave_line(work)
        work.facts = replace(work.facts, **fields)  # type: ignore[arg-type]  # names and types are those of Facts
        self.dirty["i", work.id] = None
        if waiting:
            self.place(work)

    def count(self, queue: str) -> list[int]:
        """The tally of a queue."""
        found = self.tally.get(queue)
        if found is None:
            found = self.tally[queue] = [0, 0, 0]
        return found

    def rebuild(self, works: Iterable[Work]) -> None:
        """Everything derived, from works, agents and sessions: after a restore or another configuration."""
        self.lines.clear()
        self.roster.clear()
        self.stirred.clear()
        kept = sorted(works, key=lambda work: work.id)
        for agent in self.agents.values():
            agent.cell, agent.kind = None, None
            agent.load = EMPTY
            agent.offers, agent.held = {}, {}
        for work in kept:
            work.line = None
            holder = work.offer.agent_id if work.offer is not None else work.agent_id
            if holder:
                agent = self.agents[holder]
                (agent.offers if work.offer is not None else agent.held)[work.id] = None
                agent.load = plus(agent.load, work.facts.channel, 1)
        if self.config is not None:
            for agent_id in sorted(self.agents):
                self.assign_kind(self.agents[agent_id])
                self.stand(self.agents[agent_id], freed=True)
        for work in kept:
            if work.stage is Stage.WAITING:
                self.place(work)


def offer_notice(work: Work, offer: Offer) -> fx.OfferNotice:
    """An offer as its desk sees it."""
    return fx.OfferNotice(work.facts, offer.offer_id, offer.expires_at, offer.offered_at, offer.reason)


def assignment_notice(work: Work) -> fx.AssignmentNotice:
    """An assignment as its desk sees it."""
    return fx.AssignmentNotice(work.facts, work.assigned_at, work.stage is Stage.WRAP_UP, work.wrap_until)


def snapshot_notice(core: Core, agent: Agent) -> fx.SnapshotNotice:
    """All that an agent has before him."""
    used, total = core.used_total(agent)
    offered = [core.works[i] for i in sorted(agent.offers)]
    return fx.SnapshotNotice(
        agent.state,
        agent.session_id,
        used,
        total,
        tuple(offer_notice(work, work.offer) for work in offered if work.offer is not None),
        tuple(assignment_notice(core.works[i]) for i in sorted(agent.held)),
    )
