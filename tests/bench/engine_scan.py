"""The naive router for comparison in the engine's bench: plain dictionaries, no index. For each decision it checks
every agent, and for each agent who becomes free it checks every waiting interaction.

It decides as `docs/routing-policies.md` says, as far as the bench's workload needs it (no rings, several offers,
interruption, occupancy limits, overflow or schedules). It does less otherwise: it writes no events, no notices, no
explanations, and remembers no commands. Timers are a heap here too: the comparison is about finding the agent for each
interaction.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Final

from services.policy.model.eligibility import meets_all, score
from services.policy.model.routing import Choice, PoolConfig
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState, InteractionAttributes
from tests.bench.engine_pool import room
from tests.bench.engine_scan_commands import carry_out
from tests.bench.engine_scan_state import (
    GRACE,
    HELD,
    LEASE,
    OFFER,
    OFFERED,
    PLACE,
    STAGE,
    WAITING,
    WRAP_UP,
    WRAP_UP_OVER,
    Job,
    Person,
)

Pair = tuple[str, str]
"""Interaction and agent."""
_MILLION: Final = 1_000_000
_MINUTE_MS: Final = 60_000


class Scan:
    """See the module. `handle` and `advance` return the offers made; `follow` takes over the offers that another
    engine has made instead."""

    def __init__(self) -> None:
        self.now = 0
        self.config = PoolConfig()
        self.jobs: dict[str, Job] = {}
        self.waiting: dict[str, Job] = {}
        """The jobs that wait."""
        self.people: dict[str, Person] = {}
        self.sessions: dict[str, tuple[str, int, int]] = {}
        """Agent, end of the lease, and due time of its timer."""
        self.last: dict[str, str] = {}
        self.sticky = False
        self._timers: list[tuple[int, int, str]] = []
        self._stirred: dict[str, None] = {}
        self.freed: dict[str, None] = {}

    def configure(self, config: PoolConfig) -> None:
        """Set the pool's configuration; once, at the beginning."""
        self.config = config
        self.sticky = any(queue.sticky_ms for queue in config.queues)
        self.people = {profile.agent_id: Person(profile) for profile in config.agents}

    def handle(self, command: cmd.Command, now: int) -> list[Pair]:
        """Decide one command."""
        self.now = now
        carry_out(self, command)
        return self._dispatch()

    def advance(self, now: int) -> list[Pair]:
        """Apply everything that is due together; then offer interactions."""
        self._let_happen(now)
        return self._dispatch()

    def follow(self, command: cmd.Command | None, now: int, effects: Iterable[fx.Effect]) -> None:
        """Follow the other engine without deciding anything; no command means timers."""
        if command is None:
            self._let_happen(now)
        else:
            self.now = now
            carry_out(self, command)
        self._stirred.clear()
        self.freed.clear()
        for effect in effects:
            if isinstance(effect, fx.Offered):
                self._offer(self.jobs[effect.attributes.interaction_id], self.people[effect.agent_id])

    def next_wakeup(self) -> int | None:
        """Return when the next valid timer is due."""
        while self._timers:
            due, kind, name = self._timers[0]
            if self._holds(due, kind, name):
                return due
            heappop(self._timers)
        return None

    # Decisions

    def _dispatch(self) -> list[Pair]:
        """Offer every waiting interaction that can be taken now, the most urgent first, each to the best agent."""
        people, waiting = self.people, self.waiting
        freed = [person for name in self.freed if (person := people[name]).listens()]
        everybody = list(people.values())
        looked: list[tuple[tuple[int, int, str], Job, list[Person]]] = []
        for name, job in (
            waiting.items() if freed else [(name, waiting[name]) for name in self._stirred if name in waiting]
        ):
            if name in self._stirred:
                looked.append((self._urgency(job), job, everybody))
            elif any(self._could(job, person) for person in freed):
                looked.append((self._urgency(job), job, freed))
        self._stirred.clear()
        self.freed.clear()
        looked.sort(key=lambda entry: entry[0])
        made: list[Pair] = []
        for _, job, among in looked:
            able = [person for person in among if self._could(job, person)]
            if able:
                best = min(able, key=self._order(job))
                self._offer(job, best)
                made.append((job.id, best.id))
        return made

    def _could(self, job: Job, person: Person) -> bool:
        attributes = job.attributes
        if not person.listens() or (job.kept_for and job.kept_for != person.id):
            return False
        if not job.handed_on and (attributes.queue not in person.queues or not meets_all(job.needs, person.skills)):
            return False
        return room(person.capacity, person.counts, attributes.channel) and not self._declines(job, person)

    def _declines(self, job: Job, person: Person) -> bool:
        until = job.declined.get(person.id)
        return until is not None and (until > self.now if until > 0 else -until == person.sign_ins)

    def _urgency(self, job: Job) -> tuple[int, int, str]:
        queue, attributes = self.config.by_name[job.attributes.queue], job.attributes
        gained = round(queue.ageing_per_minute * _MILLION) * (self.now - attributes.arrived_at_ms)
        priority = (queue.priority + attributes.priority) * _MILLION * _MINUTE_MS + gained
        return -priority, attributes.arrived_at_ms, attributes.interaction_id

    def _order(self, job: Job) -> Callable[[Person], tuple[float, bool, int, str]]:
        choice = self.config.by_name[job.attributes.queue].choice
        if choice is Choice.LOAD_RATIO:
            return lambda p: (p.used(), False, p.since, p.id)
        if choice is Choice.SKILL_SCORE:
            return lambda p: (-score(job.needs, p.skills), bool(p.offers or p.held), p.since, p.id)
        return lambda p: (0.0, bool(p.offers or p.held), p.since, p.id)

    def _offer(self, job: Job, person: Person) -> None:
        job.stage, job.agent = OFFERED, person.id
        del self.waiting[job.id]
        person.offers[job.id] = None
        person.count(job.attributes.channel, 1)
        self.set_timer(job, self.now + self.config.by_name[job.attributes.queue].offer_ms, OFFER)

    # Moves

    def place(self, job: Job) -> None:
        """Let it wait; a timer fires when other agents could take it."""
        job.stage, job.agent = WAITING, ""
        self.waiting[job.id] = job
        queue, now = self.config.by_name[job.attributes.queue], self.now
        wanted, age = queue.requirements + job.attributes.requirements, now - job.enqueued_at
        job.needs = tuple(s for s in wanted if not s.expires_after_ms or s.expires_after_ms > age)
        if job.kept_for and not self._still_kept(job):
            job.kept_for, job.kept_until, job.handed_on = "", 0, False
        self._stirred[job.id] = None
        wake = [until for until in job.declined.values() if until > now]
        if not job.handed_on:
            wake.extend(job.enqueued_at + s.expires_after_ms for s in job.needs if s.expires_after_ms)
        if job.kept_for:
            wake.append(job.kept_until)
        self.set_timer(job, min(wake, default=0), PLACE)

    def _still_kept(self, job: Job) -> bool:
        person = self.people[job.kept_for]
        if job.kept_until <= self.now or not person.at_desk() or self._declines(job, person):
            return False
        return job.handed_on or (job.attributes.queue in person.queues and meets_all(job.needs, person.skills))

    def open(self, attributes: InteractionAttributes) -> Job:
        """Open a new interaction; the caller decides where it goes."""
        job = self.jobs[attributes.interaction_id] = Job(attributes, self.now)
        return job

    def end_offer(self, job: Job) -> Person:
        """End an offer without an assignment; the caller decides where the interaction goes."""
        person = self.people[job.agent]
        del person.offers[job.id]
        person.count(job.attributes.channel, -1)
        self.freed[person.id] = None
        return person

    def hold(self, job: Job) -> None:
        """Assign the job to the agent to whom it is offered."""
        person = self.people[job.agent]
        del person.offers[job.id]
        person.held[job.id] = None
        person.since = job.assigned_at = self.now
        job.stage, job.due = HELD, 0
        job.kept_for, job.kept_until, job.handed_on = "", 0, False
        job.declined.clear()
        self.freed[person.id] = None

    def complete(self, job: Job) -> None:
        """Complete the job; only the wrap-up may remain."""
        if self.sticky:
            self.last[job.attributes.person_id] = job.agent
        wrap_up = self.config.by_name[job.attributes.queue].wrap_up_ms
        if wrap_up:
            job.stage = WRAP_UP
            self.set_timer(job, self.now + wrap_up, WRAP_UP_OVER)
        else:
            self.close(job)

    def close(self, job: Job) -> None:
        """Close the job in any stage."""
        self.detach(job)
        del self.jobs[job.id]

    def release(self, job: Job) -> Person:
        """Release the job from its holder. While the agent had it, its queue's clock was paused."""
        person = self.people[job.agent]
        if job.stage == HELD:
            job.enqueued_at += self.now - job.assigned_at
        del person.held[job.id]
        person.count(job.attributes.channel, -1)
        person.since = self.now
        self.freed[person.id] = None
        return person

    def detach(self, job: Job) -> Person | None:
        """Remove it from the queue, or from the agent to whom it is offered or who holds it; return the holder."""
        self.waiting.pop(job.id, None)
        if job.stage == OFFERED:
            self.end_offer(job)
        return self.release(job) if job.stage in (HELD, WRAP_UP) else None

    def set_state(self, person: Person, state: AgentState) -> None:
        """Set the state. An agent who leaves AVAILABLE loses the offers and the interactions kept for them."""
        if person.state is state:
            return
        person.state = state
        if state is AgentState.AVAILABLE:
            person.since = self.now
            self.freed[person.id] = None
        else:
            self.take_back(person)

    def take_back(self, person: Person) -> None:
        """Withdraw the offers to the agent and the interactions kept for them."""
        for name in sorted(person.offers):
            self.end_offer(self.jobs[name])
            self.place(self.jobs[name])
        self.look_again(person)

    def look_again(self, person: Person) -> None:
        """Check again whether interactions should still be kept for the agent."""
        for job in [job for job in self.waiting.values() if job.kept_for == person.id]:
            self.place(job)

    def requeue(self, person: Person) -> None:
        """Put the agent's interactions back into the queue; their wrap-ups end."""
        for name in sorted(person.held):
            job = self.jobs[name]
            done = job.stage == WRAP_UP
            self.release(job)
            if done:
                del self.jobs[name]
            else:
                self.place(job)

    # Timers

    def set_timer(self, job: Job, due: int, kind: int) -> None:
        """Set the one timer that an interaction has, by its stage; due at 0: none."""
        job.due = due
        if due:
            heappush(self._timers, (due, kind, job.id))

    def _holds(self, due: int, kind: int, name: str) -> bool:
        if kind == LEASE:
            return name in self.sessions and self.sessions[name][2] == due
        if kind == GRACE:
            return self.people[name].grace == due
        job = self.jobs.get(name)
        return job is not None and job.due == due and job.stage == STAGE[kind]

    def _let_happen(self, now: int) -> None:
        self.now = now
        while (due := self.next_wakeup()) is not None and due <= now:
            _, kind, name = heappop(self._timers)
            if kind == LEASE:
                self._lease_due(name)
            elif kind == GRACE:
                self.people[name].grace = 0
                self.requeue(self.people[name])
            elif kind == WRAP_UP_OVER:
                self.release(self.jobs.pop(name))
            elif kind == PLACE:
                self.place(self.jobs[name])
            else:
                person = self.end_offer(self.jobs[name])
                self.place(self.jobs[name])
                self.set_state(person, AgentState.NOT_RESPONDING)

    def arm(self, session: str, agent: str) -> None:
        """Begin a session."""
        until = self.now + self.config.lease_ms
        self.sessions[session] = (agent, until, until)
        heappush(self._timers, (until, LEASE, session))

    def _lease_due(self, session: str) -> None:
        agent, until, due = self.sessions[session]
        if until > due:
            self.sessions[session] = (agent, until, until)
            heappush(self._timers, (until, LEASE, session))
            return
        person = self.people[agent]
        del self.sessions[session]
        person.session, person.attached = "", False
        self.set_state(person, AgentState.OFFLINE)
        if person.held:
            person.grace = self.now + self.config.grace_ms
            heappush(self._timers, (person.grace, GRACE, agent))
