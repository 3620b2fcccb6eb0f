"""The rules of routing hold for any events in any order.

A second engine gets the same commands, and is sometimes discarded and restored from its entities: its effects must be exactly the same.
"""

import os
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.policy.model.routing import (
    CapacityProfile,
    ChannelCapacity,
    Choice,
    Order,
    OverflowRule,
    PickUpTarget,
    PoolConfig,
    Ring,
    Trigger,
)
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.changelog.snapshot import Restorer, collect
from services.router.domain.engine import Engine
from services.router.domain.model import AgentState, InteractionAttributes, Stage
from services.router.domain.pool.state import Agent
from services.router.translate import codec
from tests.unit.router.indexes import true
from tests.unit.router.invariants import check
from tests.unit.router.world import GATEWAY, START, a_queue, an_agent, requires

AGENTS = ("a", "b", "c", "d")
LEASE, GRACE = 20_000, 15_000

OVERFLOW = (
    OverflowRule("long", Trigger.LENGTH, 3, queue="w", set_priority=4),
    OverflowRule("late", Trigger.WAIT, 12_000, queue="s", requirements=(requires("french"),)),
    OverflowRule("end", Trigger.WAIT, 60_000, cancel=True),
)
RINGS = (Ring(4_000, lower=(("persian", 2.0),)), Ring(9_000, drop=("persian",), queues=("q",)))
QUEUES = (
    a_queue("q", sticky_ms=8_000, ageing_per_minute=2.0, overflow=OVERFLOW, sticky_team_ms=5_000),
    a_queue("w", wrap_up_ms=4_000, choice=Choice.LOAD_RATIO, requirements=(requires("persian", 3),), rings=RINGS),
    a_queue("s", choice=Choice.SKILL_SCORE, priority=2, max_offers=2, transfer_hold_ms=7_000, match_window_ms=3_000),
    a_queue(
        "d",
        choice=Choice.ROUND_ROBIN,
        delay_ms=5_000,
        keep_free=1,
        order=Order.ADAPTIVE,
        pick_up_targets=(PickUpTarget(9_000),),
    ),
)
PROFILES = (
    CapacityProfile(
        "three",
        3,
        (ChannelCapacity("chat", 1, 2), ChannelCapacity("voice", 3, 1, True, interrupts=("mail", "chat"))),
    ),
    CapacityProfile("two", 2, occupancy_limit=0.6, occupancy_window_ms=20_000),
)
TEAM = (
    an_agent("a", {"persian": 5, "french": 2}, capacity_profile="three", team="north"),
    an_agent("b", {"persian": 2}, capacity_profile="two"),
    an_agent("c", {"french": 5}, capacity_profile="three", queues=("d", "q", "s"), team="north"),
    an_agent("d", {"persian": 5, "french": 2}, capacity_profile="three"),
)


class Routing(RuleBasedStateMachine):
    """The state machine; see the module."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.engine, self.shadow = Engine(), Engine()
        self.entities: dict[tuple[str, str], bytes] = {}
        self.count = 0
        self.open: set[str] = set()
        self.numbers: dict[str, int] = {}

    # Commands to both engines

    def tell(self, command: cmd.Command) -> list[fx.Effect]:
        """Send one command as a lane does: timers that are due come first."""
        self.advance()
        effects = self.engine.handle(command, self.now)
        assert self.shadow.handle(command, self.now) == effects
        self.took(effects)
        return effects

    def advance(self) -> None:
        """Handle the timers that are due."""
        # Wake-ups may differ (a renewed lease is looked at early, unless restored since), effects may not.
        wakeups = [due for engine in (self.engine, self.shadow) if (due := engine.next_wakeup()) is not None]
        if wakeups and min(wakeups) <= self.now:
            effects = self.engine.advance(self.now)
            assert self.shadow.advance(self.now) == effects
            self.took(effects)
            again = self.engine.next_wakeup()
            assert again is None or again > self.now

    def took(self, effects: list[fx.Effect]) -> None:
        """Record which interactions are open, and end the batch."""
        for effect in effects:
            if isinstance(effect, fx.Event):
                name = effect.attributes.interaction_id
                assert effect.epoch == self.numbers.get(name, 0) + 1
                self.numbers[name] = effect.epoch
                assert effect.reason
            if isinstance(effect, fx.Abandoned | fx.Cancelled | fx.WrapUpEnded) or (
                isinstance(effect, fx.Completed) and not effect.wrap_up_until_ms
            ):
                self.open.remove(effect.attributes.interaction_id)
        changes = collect(self.engine, self.now)
        assert collect(self.shadow, self.now) == changes
        for entity, value in changes:
            if value is None:
                self.entities.pop(entity, None)
            else:
                self.entities.pop(entity, None)
                self.entities[entity] = codec.encode(value)

    def id(self) -> str:
        """Return a new id."""
        self.count += 1
        return f"n{self.count}"

    def pick(self, data: Any, *stages: Stage) -> str:
        """Return an open interaction in one of these stages, or an unknown one."""
        names = sorted(each.id for each in self.engine.core.interactions.values() if not stages or each.stage in stages)
        return str(data.draw(st.sampled_from(names))) if names else "unknown"

    def session_of(self, agent: str) -> str:
        """Return the id of the agent's session, or an unknown one."""
        known = self.engine.core.agents.get(agent)
        return (known.session_id if known is not None else "") or "none"

    # Possible events

    @initialize(early=st.booleans())
    def begin(self, early: bool) -> None:
        """Start; in some runs interactions come before the configuration does."""
        if early:
            self.enqueue("q", "chat", 0, 0, False, False, None, 0, "")
        config = PoolConfig(1, LEASE, GRACE, QUEUES, TEAM, PROFILES)
        self.tell(cmd.ActivateConfiguration(config))

    @rule(
        queue=st.sampled_from(["q", "q", "w", "s", "d", "gone"]),
        channel=st.sampled_from(["chat", "chat", "voice", "mail"]),
        priority=st.integers(0, 3),
        person=st.integers(0, 3),
        french=st.booleans(),
        expires=st.booleans(),
        age=st.sampled_from([None, 0, 5_000, 60_000, -5_000]),
        start=st.sampled_from([0, 0, 0, 6_000]),
        preferred=st.sampled_from(["", "", "", "a"]),
    )
    def enqueue(
        self,
        queue: str,
        channel: str,
        priority: int,
        person: int,
        french: bool,
        expires: bool,
        age: int | None,
        start: int,
        preferred: str,
    ) -> None:
        """Queue a new interaction."""
        requirements = (requires("french", 3, expires_after_ms=6_000 if expires else 0),) if french else ()
        arrived = 0 if age is None else self.now - age
        name = self.id()
        self.open.add(name)
        attributes = InteractionAttributes(
            name, f"c-{name}", f"p{person}", "", channel, "", "", queue, priority, requirements, (), arrived
        )
        attributes = replace(attributes, start_at_ms=self.now + start if start else 0, preferred_agent=preferred)
        self.tell(cmd.Enqueue(attributes, command_id=self.id()))

    @rule(
        agent=st.sampled_from(AGENTS),
        resume=st.booleans(),
        credits=st.integers(0, 2),
        state=st.sampled_from([AgentState.UNSPECIFIED] * 3 + list(AgentState)),
    )
    def sign_in(self, agent: str, resume: bool, credits: int, state: AgentState) -> None:
        """Sign in: a new session, or one resumed in time or late."""
        known = self.engine.core.agents.get(agent) or Agent(TEAM[AGENTS.index(agent)])
        before = (known.session_id or known.lost[0]) if resume else ""
        self.tell(cmd.SignIn(agent, self.id(), before, credits, state, reply_to=GATEWAY))

    @rule(agent=st.sampled_from(AGENTS), signed_out=st.booleans())
    def close_session(self, agent: str, signed_out: bool) -> None:
        """Close a session: signed out, or lost."""
        self.tell(cmd.CloseSession(agent, self.session_of(agent), signed_out))

    @rule(agents=st.sets(st.sampled_from(AGENTS)))
    def renew(self, agents: set[str]) -> None:
        """Renew some leases."""
        ids = tuple(self.session_of(agent) for agent in sorted(agents))
        self.tell(cmd.RenewLeases(ids, reply_to=GATEWAY))

    @rule(agent=st.sampled_from(AGENTS), state=st.sampled_from(list(AgentState)))
    def set_state(self, agent: str, state: AgentState) -> None:
        """Set an agent's state, by agent or supervisor."""
        self.tell(cmd.SetAgentState(agent, state))

    @rule(agent=st.sampled_from(AGENTS), credits=st.integers(0, 2))
    def grant(self, agent: str, credits: int) -> None:
        """Grant more or fewer credits."""
        self.tell(cmd.GrantCredits(agent, self.session_of(agent), credits))

    @rule(data=st.data(), right=st.integers(0, 9), decline=st.booleans(), retry=st.sampled_from([0, 3_000]))
    def answer(self, data: Any, right: int, decline: bool, retry: int) -> None:
        """Answer an offer, mostly by the agent who got it."""
        name = self.pick(data, Stage.OFFERED)
        interaction = self.engine.core.interactions.get(name)
        offer = interaction.offer if interaction is not None else None
        agent = offer.agent_id if offer is not None and right else AGENTS[right % 4]
        offer_id = offer.offer_id if offer is not None else "unknown.1"
        command = cmd.DeclineOffer(agent, offer_id, "", retry) if decline else cmd.AcceptOffer(agent, offer_id)
        self.tell(command)

    @rule(
        data=st.data(), what=st.sampled_from(["reply", "complete", "complete", "transfer", "to_agent", "warm", "end"])
    )
    def interaction(self, data: Any, what: str) -> None:
        """Act as a holder."""
        name = self.pick(data, Stage.WRAP_UP if what == "end" else Stage.ASSIGNED)
        known = self.engine.core.interactions.get(name)
        agent = known.agent_id if known is not None else "a"
        match what:
            case "reply":
                self.tell(cmd.RecordReply(agent, name, self.id(), command_id=self.id()))
            case "complete":
                self.tell(cmd.CompleteInteraction(agent, name, "solved", command_id=self.id()))
            case "transfer":
                queue = data.draw(st.sampled_from(["", "q", "w", "gone"]))
                self.tell(cmd.TransferInteraction(agent, name, queue))
            case "to_agent":
                self.tell(cmd.TransferInteraction(agent, name, "", data.draw(st.sampled_from(AGENTS))))
            case "warm":
                to = data.draw(st.sampled_from(["", *AGENTS]))
                self.tell(cmd.TransferInteraction(agent, name, "", to, warm=True, labels=(("why", "x"),)))
            case _:
                self.tell(cmd.EndWrapUp(agent, name))

    @rule(data=st.data(), agent=st.sampled_from(AGENTS), force=st.booleans(), picked=st.booleans())
    def assign(self, data: Any, agent: str, force: bool, picked: bool) -> None:
        """Assign by a supervisor, or pick by an agent."""
        self.tell(cmd.AssignInteraction(self.pick(data), agent, force=force and not picked, picked=picked))

    @rule(data=st.data(), at=st.sampled_from([0, 5_000]))
    def call_back(self, data: Any, at: int) -> None:
        """Request a callback: a customer hangs up and keeps their place."""
        self.tell(cmd.RequestCallback(self.pick(data), self.now + at if at else 0))

    @rule(data=st.data())
    def recall(self, data: Any) -> None:
        """Take back a warm transfer, by the transferring agent."""
        name = self.pick(data, Stage.WAITING, Stage.OFFERED)
        known = self.engine.core.interactions.get(name)
        self.tell(cmd.RecallTransfer(known.agent_id if known is not None else "a", name))

    @rule(data=st.data(), what=st.sampled_from(["left", "cancel", "message", "reroute", "raise", "label"]))
    def outside(self, data: Any, what: str) -> None:
        """Act as a customer, a supervisor or another system."""
        name = self.pick(data)
        match what:
            case "left":
                self.tell(cmd.CustomerLeft(name))
            case "cancel":
                self.tell(cmd.CancelInteraction(name))
            case "message":
                self.tell(cmd.CustomerMessaged(name, "m"))
            case "reroute":
                self.tell(cmd.Reroute(name, data.draw(st.sampled_from(["", "q", "w", "s", "d"])), ()))
            case "raise":
                self.tell(cmd.Reprioritise(name, 3))
            case _:
                self.tell(cmd.UpdateInteraction(name, (("tier", "gold"),)))

    @rule(agent=st.sampled_from(AGENTS), french=st.integers(0, 5))
    def learn(self, agent: str, french: int) -> None:
        """Change an agent's profile."""
        known = self.engine.core.agents.get(agent)
        before = known.profile if known is not None else TEAM[AGENTS.index(agent)]
        skills = {**dict(before.skills), "french": french}
        self.tell(
            cmd.UpsertAgent(an_agent(agent, skills, capacity_profile=before.capacity_profile, queues=before.queues))
        )

    @rule(gone=st.none() | st.sampled_from(AGENTS))
    def reconfigure(self, gone: str | None) -> None:
        """Put another version into force: a queue is removed or added; an agent is gone, and the others stay as they are."""
        config = self.engine.core.config
        assert config is not None
        queues = QUEUES if len(config.queues) < len(QUEUES) else QUEUES[:2]
        team = tuple(each for each in TEAM if each.agent_id != gone)
        self.tell(cmd.ActivateConfiguration(PoolConfig(config.version + 1, LEASE, GRACE, queues, team, PROFILES)))

    @rule(ms=st.sampled_from([1, 500, 3_000, 6_000, 10_000, 21_000]))
    def pass_time(self, ms: int) -> None:
        """Let time pass: timers fire at their own times, or late."""
        until = self.now + ms
        while (due := self.engine.next_wakeup()) is not None and due <= until:
            self.now = max(due, self.now)
            self.advance()
        self.now = until

    @rule(ms=st.sampled_from([5_000, 40_000]))
    def pause(self, ms: int) -> None:
        """Let time pass without an owner: everything that became due is done at once."""
        self.now += ms
        self.advance()

    @precondition(lambda self: self.count > 0)
    @rule()
    def restore(self) -> None:
        """Discard the other engine and restore it from its entities."""
        restorer = Restorer()
        for (kind, name), value in self.entities.items():
            restorer.add(name, codec.decode(kind, value))
        self.shadow = restorer.engine(self.engine.core.now)
        assert self.shadow.advance(self.engine.core.now) == []
        assert collect(self.shadow, self.now) == []

    @invariant()
    def invariants_hold(self) -> None:
        """Check the rules after every step."""
        check(self.engine.core)
        check(self.shadow.core)

    @invariant()
    def indexes_tell_the_truth(self) -> None:
        """Check that indexes contain what a slow search finds."""
        true(self.engine.core)
        true(self.shadow.core)

    @invariant()
    def nothing_is_lost(self) -> None:
        """Check that every interaction that came and was not closed still exists."""
        assert set(self.engine.core.interactions) == self.open

    @invariant()
    def leases_end(self) -> None:
        """Check that no session outlives its lease."""
        now = self.engine.core.now
        assert all(session.lease_until > now for session in self.engine.core.sessions.values())


Routing.TestCase.settings = settings(
    max_examples=1_000 if os.environ.get("CHAPAR_HYPOTHESIS") == "deep" else 30,
    stateful_step_count=30,
    derandomize=not os.environ.get("CHAPAR_HYPOTHESIS"),
    suppress_health_check=list(HealthCheck),
)
TestRouting = Routing.TestCase
