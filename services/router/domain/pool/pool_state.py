"""The state of one pool, and the primitives on agents that all decisions are made of.

Every primitive keeps the ledger, waiting lines, load buckets and timers consistent, notes what must be written to the changelog, and emits
its events. Code that changes something which could let a waiting interaction be served marks it (`stirred`: waiting lines that changed;
`freed`: agents that gained capacity). `dispatch.run` then restores the rule that no interaction waits while it could be served. The
primitives on interactions are in `waiting` and `ledger`.
"""

from dataclasses import replace

from services.policy.model.routing import AgentProfile, Choice, Order, PoolConfig, QueueConfig, Trigger
from services.router.domain import effects as fx
from services.router.domain.model import AgentState, Stage
from services.router.domain.pool import occupancy
from services.router.domain.pool.capacity import plus
from services.router.domain.pool.dedup import Dedup
from services.router.domain.pool.goals import Held, balance
from services.router.domain.pool.history import History
from services.router.domain.pool.index import AgentGroup, Line
from services.router.domain.pool.limits import DEFAULT, Limits
from services.router.domain.pool.lines import WaitingLines
from services.router.domain.pool.roster import Roster
from services.router.domain.pool.staffing import Staffing
from services.router.domain.pool.state import Agent, Interaction, Session
from services.router.domain.pool.timers import Timer, Timers

Entity = tuple[str, str]
"""Kind of entity and its id: the key in the changelog."""

_MINUTE_MS = 60_000
"""After it, the shifts of adaptive queues move."""
_PLACED = (Stage.WAITING, Stage.OFFERED, Stage.SCHEDULED)


class PoolState:
    """The state of one pool."""

    def __init__(self, limits: Limits = DEFAULT, *, quiet: bool = False) -> None:
        self.limits = limits
        self.quiet = quiet
        """Nothing is made that only readers outside the engine use: see `Engine`, and decision 0065."""
        self.now = 0
        self.config: PoolConfig | None = None
        self.interactions: dict[str, Interaction] = {}
        self.agents: dict[str, Agent] = {}
        self.sessions: dict[str, Session] = {}
        self.leases: dict[int, list[tuple[str, ...]]] = {}
        """Sessions by the end of the lease that they had, with one timer for each time. Renewed sessions are listed at their new time too."""
        self.teams: dict[str, dict[str, None]] = {}
        """Agents by team."""
        self.last_agent: dict[str, str] = {}
        self.moved: dict[str, str] = {}
        """The pools of interactions that were moved away, the oldest move first."""
        self.histories: dict[str, History] = {}
        self.dedup = Dedup(limits.results_kept)
        self.timers = Timers(self._live)
        self.roster = Roster()
        self.lines = WaitingLines(limits.requirement_sets_kept)
        self.turns = 0
        """Number of offers made so far under a configuration with round robin."""
        self.watches_demand = False
        """Whether any queue chooses by demand, in which case arrivals are counted."""
        self.asks_staff = False
        """Whether any overflow rule asks how many agents are at work."""
        self.announces = False
        """Whether any rule depends on the wait that was announced."""
        self.effects: list[fx.Effect] = []
        self.dirty: dict[Entity, None] = {}
        self.stirred: dict[Line, None] = {}
        self.freed: dict[str, None] = {}
        self.entered: list[tuple[Interaction, fx.Queued]] = []
        """Queued events whose position and estimate are filled in after dispatching."""
        self.asking: dict[str, None] = {}
        """Interactions that have entered a queue, and whose rules on entering are still to be asked."""
        self.excluding: dict[str, None] = {}
        """Interactions in a line from which agents are excluded."""
        self.overdue: dict[str, None] = {}
        """Interactions for which a rule on waiting is due."""
        self.staffing = Staffing()
        self.tally: dict[str, list[int]] = {}
        """For each queue, since this owner took over: answered within the threshold, answered, abandoned."""

    def adopt(self, config: PoolConfig) -> None:
        """Put a configuration in force; `activation.rebuild` then derives everything else from it."""
        self.config = config
        self.watches_demand = any(queue.choice is Choice.ADAPTIVE for queue in config.queues)
        self.asks_staff = any(
            rule.trigger in (Trigger.NO_AGENTS, Trigger.AGENTS) for queue in config.queues for rule in queue.overflow
        )
        self.announces = any(rule.trigger is Trigger.ESTIMATE for queue in config.queues for rule in queue.overflow)

    # Timers

    def _live(self, due: int, kind: Timer, entity: str) -> bool:
        if kind is Timer.OFFER:
            interaction = self.interactions.get(entity.rpartition(".")[0])
            if interaction is not None:
                for offer in interaction.offers.values():
                    if offer.offer_id == entity and offer.expires_at == due:
                        return True
            return False
        if kind is Timer.PLACE:
            interaction = self.interactions.get(entity)
            return interaction is not None and interaction.wake_at == due and interaction.stage in _PLACED
        if kind is Timer.WRAP_UP:
            interaction = self.interactions.get(entity)
            return interaction is not None and interaction.wrap_until == due and interaction.stage is Stage.WRAP_UP
        if kind is Timer.SILENCE:
            interaction = self.interactions.get(entity)
            return interaction is not None and interaction.silence_at == due
        if kind is Timer.LEASE:
            return due in self.leases
        if kind is Timer.ADAPT:
            history = self.histories.get(entity)
            return history is not None and history.minute_since + _MINUTE_MS == due and self._adaptive(entity)
        agent = self.agents.get(entity)
        return agent is not None and due == (agent.grace_until if kind is Timer.GRACE else agent.rest_at)

    # Notices and events

    def event_number(self, interaction: Interaction, reason: str) -> int:
        """Count one more event of this interaction, and note its reason as the newest."""
        interaction.epoch += 1
        interaction.reason = reason
        interaction.decided_at = self.now
        if not self.quiet:
            self.dirty["i", interaction.attributes.interaction_id] = None
        return interaction.epoch

    def notify(self, agent: Agent, notice: fx.Notice) -> None:
        """Send a notice to an agent's desk, if the agent has a session."""
        session = self.sessions.get(agent.session_id)
        if session is not None and not self.quiet:
            self.effects.append(fx.ToDesk(session.gateway, session.session_id, session.agent_id, notice))

    # Queues

    def queue_of(self, interaction: Interaction) -> QueueConfig | None:
        """Return the queue of an interaction; None before any configuration."""
        return self.config.by_name.get(interaction.attributes.queue) if self.config is not None else None

    def history(self, queue: str) -> History:
        """Return a queue's history, and mark it as changed."""
        found = self.histories.get(queue)
        if found is None:
            found = self.histories[queue] = History()
        if not self.quiet:
            self.dirty["q", queue] = None
        return found

    def staff(self, queue: str) -> int:
        """Return the number of agents who are at work for a queue; see `staffing`."""
        known = self.config.by_name.get(queue) if self.config is not None else None
        return self.staffing.of(known, self.roster) if known is not None else 0

    def begin_minute(self, queue: QueueConfig) -> None:
        """Begin the minute of an adaptive queue, before its first outcome is recorded: the shifts move at its end."""
        if queue.order is Order.ADAPTIVE and not self.history(queue.name).minute_since:
            self.histories[queue.name].minute_since = self.now
            self.timers.arm(self.now + _MINUTE_MS, Timer.ADAPT, queue.name)

    def watch_minutes(self) -> None:
        """Set the timers of minutes that have begun; queues that are not adaptive any more lose theirs."""
        for name in sorted(name for name, history in self.histories.items() if history.minute_since):
            if self._adaptive(name):
                self.timers.arm(self.histories[name].minute_since + _MINUTE_MS, Timer.ADAPT, name)
            else:
                self.history(name).forget_minute()

    def _adaptive(self, queue: str) -> bool:
        known = self.config.by_name.get(queue) if self.config is not None else None
        return known is not None and known.order is Order.ADAPTIVE

    def adapt(self) -> None:
        """Move the shifts of the adaptive queues at the end of a minute."""
        queues = self.config.queues if self.config is not None else ()
        adaptive = sorted((each for each in queues if each.order is Order.ADAPTIVE), key=lambda queue: queue.name)
        served: dict[AgentGroup, list[int]] = {}
        for place, queue in enumerate(adaptive):
            for group in self.roster.serving(queue.name, ()):
                if group.at_work and group.serves(queue.name, queue.requirements):
                    served.setdefault(group, []).append(place)
        held = [Held(self.history(q.name), q.service_level_goal, q.service_level_ms) for q in adaptive]
        balance(held, [(group.at_work, places) for group, places in served.items()])

    def key_of(self, interaction: Interaction, queue: QueueConfig) -> int:
        """Return what the queue orders by among equal priorities. It changes with the tier and the deadline, not with time."""
        attributes = interaction.attributes
        if queue.order is Order.DEADLINE and attributes.due_at_ms:
            return attributes.due_at_ms
        if queue.order not in (Order.DEADLINE, Order.ADAPTIVE):
            return attributes.arrived_at_ms
        tier = next((value for name, value in attributes.labels if name == "tier"), "")
        target_ms = next(
            (
                p.target_ms
                for p in queue.pick_up_targets
                if (not p.channels or attributes.channel in p.channels) and (not p.tiers or tier in p.tiers)
            ),
            queue.service_level_ms if queue.order is Order.ADAPTIVE else 0,
        )
        shift_ms = round(interaction.shift_ms) if queue.order is Order.ADAPTIVE else 0
        return attributes.arrived_at_ms + target_ms + shift_ms

    def count(self, queue: str) -> list[int]:
        """Return the tally of a queue."""
        found = self.tally.get(queue)
        if found is None:
            found = self.tally[queue] = [0, 0, 0]
        return found

    def refit(self, interaction: Interaction, **fields: object) -> None:
        """Replace attributes of an interaction that is in no line."""
        interaction.attributes = replace(interaction.attributes, **fields)  # type: ignore[arg-type]  # names and types are those of InteractionAttributes
        self.dirty["i", interaction.attributes.interaction_id] = None

    # Agents

    def adopt_profile(self, profile: AgentProfile) -> Agent:
        """Add an agent, or give an agent another profile."""
        agent = self.agents.get(profile.agent_id)
        if agent is None:
            agent = self.agents[profile.agent_id] = Agent(profile)
            self.assign_group(agent)
        elif agent.profile == profile:
            return agent
        else:
            self.roster.leave(agent)
            self.leave_team(agent)
            agent.profile, before = profile, agent.group
            self._leave_desk(before, agent.id)
            self.assign_group(agent)
            self.weigh_held(agent)
            self._leave_group(agent, before)
        self.dirty["a", agent.profile.agent_id] = None
        self.update_rank(agent, freed=True)
        return agent

    def assign_group(self, agent: Agent) -> None:
        """Find the agent's group, and the requirement sets that a new group meets."""
        assert self.config is not None
        group, new = self.roster.group_for(agent, self.config.profile(agent.profile.capacity_profile))
        agent.group, agent.skills = group, group.skills
        if agent.profile.team:
            self.teams.setdefault(agent.profile.team, {})[agent.profile.agent_id] = None
        if new:
            self.lines.admit(group)
        group.agents += 1
        self.staffing.join(agent, group)

    def forget_agent(self, agent: Agent) -> None:
        """Remove an agent who has no session, and holds and is offered nothing; and what interactions remember of them."""
        self.roster.leave(agent)
        self.leave_team(agent)
        self._leave_group(agent, agent.group)
        del self.agents[agent.id]
        self.dirty["a", agent.id] = None
        for interaction in self.interactions.values():
            if interaction.exclusions.pop(agent.id, None) is not None:
                self.dirty["i", interaction.id] = None

    def _leave_group(self, agent: Agent, group: AgentGroup) -> None:
        """Count one agent less in a group, and remove a group without agents."""
        self.staffing.leave(agent, group)
        group.agents -= 1
        if not group.agents:
            self.roster.forget(group)
            for requirement_set in group.requirement_sets:
                requirement_set.dismiss(group)

    def leave_team(self, agent: Agent) -> None:
        """Take the agent out of their team before their profile changes."""
        members = self.teams.get(agent.profile.team)
        if members is not None:
            members.pop(agent.profile.agent_id, None)
            if not members:
                del self.teams[agent.profile.team]

    def at_desk(self, agent: Agent) -> bool:
        """Whether the agent is available and connected."""
        if agent.state is not AgentState.AVAILABLE:
            return False
        session = self.sessions.get(agent.session_id)
        return session is not None and session.attached

    def _takes_offers(self, agent: Agent) -> bool:
        """Whether an agent who is at their desk may be offered something, apart from capacity."""
        if agent.parked:
            return False
        credits_ = self.sessions[agent.session_id].credits
        if credits_ and len(agent.offers) >= credits_:
            return False
        profile = agent.group.capacity.profile
        return not (profile.occupancy_limit and occupancy.rests(agent, profile, self.now))

    def update_rank(self, agent: Agent, *, freed: bool = False) -> None:
        """Rank the agent in the roster, or remove them when they may not be offered anything; `freed`: they may be able to take more than before."""
        self.staffing.update(agent)
        if agent.group.capacity.profile.occupancy_limit:
            self._watch_rest(agent)
        there = self._note_presence(agent)
        if there and self._takes_offers(agent):
            self.roster.enter(agent)
            if freed:
                self.freed[agent.profile.agent_id] = None
        else:
            self.roster.leave(agent)

    def _note_presence(self, agent: Agent) -> bool:
        """Keep the group's lists of agents who are signed in and at their desks; return whether this one is at their desk."""
        group, agent_id = agent.group, agent.profile.agent_id
        session = self.sessions.get(agent.session_id)
        there = session is not None and session.attached and agent.state is AgentState.AVAILABLE
        if there is (agent_id in group.present) and (session is not None) is (agent_id in group.signed_in):
            return there
        self._leave_desk(group, agent_id)
        if session is not None:
            group.signed_in.add(agent_id)
            if there:
                group.present.add(agent_id)
        return there

    def _leave_desk(self, group: AgentGroup, agent_id: str) -> None:
        """Take an agent of a group from its lists. Exclusions of other agents may fall back because of it."""
        group.signed_in.discard(agent_id)
        group.present.discard(agent_id)
        for interaction_id in self.excluding:
            interaction = self.interactions[interaction_id]
            line = interaction.line
            if line is None or line.asleep or line.requirement_set not in group.requirement_sets:
                continue
            if len(group.present) <= len(interaction.exclusions) + 1:  # among more, one is not excluded
                self.stirred[line] = None

    def _watch_rest(self, agent: Agent) -> None:
        before = agent.rest_at
        agent.rest_at = occupancy.next_change(agent, agent.group.capacity.profile, self.now)
        if agent.rest_at and agent.rest_at != before:
            self.timers.arm(agent.rest_at, Timer.REST, agent.profile.agent_id)

    def charge(self, agent: Agent, channel: str, by: int, *, light: bool = False) -> None:
        """Add an interaction of a channel to the ledger, or take it out. `light`: with the weight for the time while its customer is awaited.
        The caller ranks the agent again."""
        profile = agent.group.capacity.profile
        if profile.occupancy_limit:
            occupancy.settle(agent, profile, bool(agent.load), self.now)
            self.dirty["a", agent.profile.agent_id] = None
        agent.load = plus(agent.load, channel, by, by if light else 0)

    def is_light(self, agent: Agent, interaction: Interaction) -> bool:
        """Whether an interaction takes its agent's capacity with the weight for the time while its customer is awaited."""
        return (
            interaction.stage is Stage.ASSIGNED
            and interaction.customer_awaited
            and agent.group.capacity.lightens(interaction.attributes.channel)
        )

    def weigh(self, agent: Agent, interaction: Interaction) -> bool:
        """Put what an interaction takes now into its agent's ledger; return whether that changed. The caller ranks the agent again."""
        light = not interaction.parked and self.is_light(agent, interaction)
        if light is interaction.light:
            return False
        interaction.light = light
        agent.load = plus(agent.load, interaction.attributes.channel, 0, 1 if light else -1)
        return True

    def weigh_held(self, agent: Agent) -> None:
        """Weigh everything that an agent holds by the capacity profile that they have now."""
        for interaction_id in agent.held:
            self.weigh(agent, self.interactions[interaction_id])

    def used_total(self, agent: Agent) -> tuple[int, int]:
        """Return the weight in use, and the capacity."""
        return agent.group.capacity.used(agent.load), agent.group.capacity.total

    def arm_leases(self, session_ids: tuple[str, ...], until: int) -> None:
        """Watch leases that all end at the same time."""
        groups = self.leases.get(until)
        if groups is None:
            groups = self.leases[until] = []
            self.timers.arm(until, Timer.LEASE, str(until))
        groups.append(session_ids)
        self.dirty["l", str(until)] = None
