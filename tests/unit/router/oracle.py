"""A naive engine: plain lists, and loops over everything at every step. Read it beside `docs/routing-policies.md`.

`handle(command, now)` and `advance(now)` return what was decided, as tuples: the event, the interaction, the agent. Their order within a step has
no meaning. `oracle_commands` implements the commands, `oracle_rules` the requirements on agents.
"""

from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any

from services.policy.model.routing import CapacityProfile, Choice, Order, OverflowRule, PoolConfig, QueueConfig, Trigger
from services.router.domain import commands as cmd
from services.router.domain.model import AgentState
from tests.unit.router import oracle_agents as agents
from tests.unit.router import oracle_commands
from tests.unit.router import oracle_exclusions as exclusions
from tests.unit.router import oracle_goals as goals
from tests.unit.router import oracle_matching as matching
from tests.unit.router import oracle_moves as moves
from tests.unit.router import oracle_rules as rules
from tests.unit.router import oracle_times as times
from tests.unit.router.oracle_state import Desk, History, Job, OpenOffer, Person, Phase

Decided = tuple[Any, ...]


class Oracle:
    """The naive engine; see the module."""

    def __init__(self) -> None:
        self.now = 0
        self.config = PoolConfig()
        self.jobs: dict[str, Job] = {}
        self.people: dict[str, Person] = {}
        self.desks: dict[str, Desk] = {}
        self.last_agent: dict[str, str] = {}
        self.offers_made = 0
        self.histories: dict[str, History] = {}
        self.ended: dict[str, tuple[str, str]] = {}
        """Offers that ended: agent, and how each ended."""
        self.decided: list[Decided] = []

    def handle(self, command: cmd.Command, now: int) -> list[Decided]:
        """Decide a command."""
        self.now = now
        code = oracle_commands.carry_out(self, command)
        self.say("result", not code, code)
        return self.settle()

    def advance(self, now: int) -> list[Decided]:
        """Do together everything that is due; then offer interactions once."""
        self.now = now
        while (due := min(times.deadlines(self), default=None)) is not None and due[0] <= now:
            self.happen(*due[1:])
        return self.settle()

    def say(self, *what: Any) -> None:
        """Record a decision."""
        self.decided.append(what)

    # Time

    def happen(self, what: int, whose: str) -> None:
        """Handle one of the deadlines."""
        match what:
            case 1:
                agents.lose(self, self.desks[whose])
            case 2:
                agents.give_up_waiting_for(self, self.people[whose])
            case 3:
                moves.expire(self, whose)
            case 4:
                moves.end_wrap_up_of(self, self.jobs[whose])
            case 5:
                moves.start(self, self.jobs[whose])
            case 7:
                goals.move(self)
            case _:
                moves.notice_silence(self, self.jobs[whose])

    def next_wakeup(self) -> int | None:
        """Return when something may change without a command."""
        return times.next_wakeup(self)

    def settle(self) -> list[Decided]:
        """Finish a step: reservations that are over, rules of overflow, offers. Return what was decided."""
        while True:
            for job in self.waiting():
                self.end_useless_reservation(job)
            while any(self.overflow_by_waiting(job) for job in self.waiting()):
                pass
            self.serve()
            asking = [job for job in self.waiting() if job.asking and matching.window_end(self, job) <= self.now]
            if not asking:
                break
            first = min(asking, key=self.order)
            first.asking = False
            self.overflow_on_entering(first)
        for person in self.people.values():
            busy = bool(self.ledger(person))
            if not person.busy or person.busy[-1][1] is not busy:
                person.busy.append((self.now, busy))
        decided, self.decided = self.decided, []
        return decided

    # Eligibility

    def queue(self, job: Job) -> QueueConfig:
        """Return the interaction's queue."""
        return self.config.by_name[job.attributes.queue]

    def history(self, queue: str) -> History:
        """Return the history of a queue."""
        return self.histories.setdefault(queue, History())

    def profile(self, person: Person) -> CapacityProfile:
        """Return the agent's capacity profile."""
        return self.config.profile(person.profile.capacity_profile)

    def waiting(self) -> list[Job]:
        """Return the interactions that wait for an agent, offered or not."""
        return [job for job in self.jobs.values() if job.phase is Phase.WAITING]

    def ledger(self, person: Person) -> list[rules.Entry]:
        """Return everything that takes the agent's capacity: offered, held, in wrap-up; not parked."""
        held = [job.entry for job in self.jobs.values() if job.holder == person.id and not job.parked]
        jobs = self.jobs.values()
        return held + [(j.attributes.channel, False) for j in jobs for o in j.offers if o.agent_id == person.id]

    def there(self, person: Person) -> bool:
        """Whether the agent is signed in, connected and available."""
        desk = self.desks.get(person.session_id)
        return desk is not None and desk.attached and person.state is AgentState.AVAILABLE

    def able(self, job: Job, person: Person, rings: int = 99) -> str:
        """Check queue and skills; return a code when they do not match. `rings`: only the first rings count."""
        queue = replace(self.queue(job), rings=self.queue(job).rings[:rings])
        clock = job.clock(self.now)
        added = [name for ring in queue.rings if ring.after_ms <= clock for name in ring.queues]
        if person.profile.queues and not {queue.name, *added} & set(person.profile.queues):
            return "QUEUE_NOT_SERVED"
        has = rules.abilities(person.profile)
        for selector in rules.asked(queue, job.attributes, clock):
            if not rules.meets(selector, has):
                return "SKILL_MISSING"
        return ""

    def obstacle(self, job: Job, person: Person, without_offer: bool = False, fits: bool = False) -> str:
        """Return the first condition of the page's table that does not hold, except `keep_free`.

        An assignment without an offer needs no credit, and the agent may have declined before; with `fits` the interaction was offered to them.
        """
        handed = job.by_name and job.kept_for == person.id
        if self.now < job.not_before:
            return "SCHEDULED"
        if not job.by_name and self.now < job.attributes.arrived_at_ms + self.queue(job).delay_ms:
            return "DELAYED"
        if self.now < matching.window_end(self, job):
            return "MATCH_WINDOW"
        if not handed and (code := self.able(job, person)):
            return code
        if job.kept_for and job.kept_for != person.id:
            return "KEPT_FOR_ANOTHER_AGENT"
        if job.team_until and f"team={job.team}" not in rules.abilities(person.profile):
            return "KEPT_FOR_ANOTHER_AGENT"
        for code in sorted(exclusions.excluded(self, job, person)):
            if not (without_offer and code == "DECLINED"):
                return code
        if any(offer.agent_id == person.id for offer in job.offers):
            return "ALREADY_OFFERED"
        if person.id == job.holder:
            return "TRANSFERRING_AGENT"
        if (code := self.absence(person)) or (not without_offer and (code := self.no_credit(person))):
            return code
        if self.rests(person):
            return "RESTING"
        if any(other.parked and other.holder == person.id for other in self.jobs.values()):
            return "HAS_PARKED_INTERACTION"
        if not fits and self.to_park(job, person) is None:
            return rules.misfit(self.profile(person), self.ledger(person), job.attributes.channel)
        return ""

    def absence(self, person: Person) -> str:
        """Return why the agent can be offered nothing; empty when they can."""
        if person.session_id not in self.desks:
            return "OFFLINE"
        if person.state is not AgentState.AVAILABLE:
            return person.state.name
        return "" if self.desks[person.session_id].attached else "CONNECTION_LOST"

    def no_credit(self, person: Person) -> str:
        """Whether the agent's desk shows as many offers as it can."""
        shown = sum(offer.agent_id == person.id for job in self.jobs.values() for offer in job.offers)
        credits = self.desks[person.session_id].credits
        return "NO_CREDITS" if credits and shown >= credits else ""

    def to_park(self, job: Job, person: Person) -> list[Job] | None:
        """Return what must be parked to make room: nothing, lighter ones last, newest first, or None when that would not help."""
        profile, channel = self.profile(person), job.attributes.channel
        ledger = self.ledger(person)
        if not rules.misfit(profile, ledger, channel):
            return []
        interrupted = rules.rule_of(profile, channel).interrupts
        held = [j for j in self.jobs.values() if j.holder == person.id and j.phase is Phase.HELD and not j.parked]
        parking: list[Job] = []
        held.sort(key=lambda j: (not rules.lighter(profile, j.entry), j.assigned_at, j.id), reverse=True)
        for other in held:
            if other.attributes.channel in interrupted:
                parking.append(other)
                ledger.remove(other.entry)
                if not rules.misfit(profile, ledger, channel):
                    return parking
        return None

    def takers(self, job: Job) -> list[Person]:
        """Return all agents who may be offered it."""
        found = [person for person in self.people.values() if not self.obstacle(job, person)]
        return found if job.kept_for or len(found) > self.queue(job).keep_free else []

    # Order of service and choice of the agent

    def order(self, job: Job) -> tuple[Any, ...]:
        """Return the page's order among all interactions that an agent could take."""
        queue, attributes = self.queue(job), job.attributes
        key: float = attributes.arrived_at_ms
        if queue.order is Order.DEADLINE:
            key = attributes.due_at_ms or attributes.arrived_at_ms + rules.pick_up_target_ms(queue, attributes)
        elif queue.order is Order.ADAPTIVE:
            target_ms = rules.pick_up_target_ms(queue, attributes, queue.service_level_ms)
            key = attributes.arrived_at_ms + target_ms + round(job.shift_ms)
        return len(job.offers), -rules.priority(queue, attributes, self.now), key, attributes.interaction_id

    def serve(self) -> None:
        """Resume what fits, then offer interactions as long as one can be offered."""
        self.resume()
        while True:
            offerable = [
                (self.order(job), job)
                for job in self.waiting()
                if len(job.offers) < max(1, self.queue(job).max_offers) and self.takers(job)
            ]
            if not offerable:
                return
            offerable.sort(key=lambda pair: pair[0])
            first = offerable[0][1]
            batch = matching.batch(self, [job for _, job in offerable])
            for job, person in (
                matching.best(self, batch) if batch else [(first, self.choose(first, self.takers(first)))]
            ):
                self.offer(job, person)

    def choose(self, job: Job, takers: list[Person]) -> Person:
        """Choose among the agents who may take it."""
        parking = {person.id: len(self.to_park(job, person) or []) for person in takers}
        if min(parking.values()) > 0:
            return min(takers, key=lambda p: (parking[p.id], *self.idleness(p)))
        takers = [person for person in takers if not parking[person.id]]
        queue = self.queue(job)
        if queue.prefer_rings and not job.kept_for:
            rings = {person.id: self.ring(job, person) for person in takers}
            takers = [person for person in takers if rings[person.id] == min(rings.values())]
        match queue.choice:
            case Choice.LOAD_RATIO:
                return min(takers, key=lambda p: (self.ratio(p), *self.idleness(p)))
            case Choice.SKILL_SCORE:
                return min(takers, key=lambda p: (-matching.score(self, job, p), *self.idleness(p)))
            case Choice.ROUND_ROBIN:
                return min(takers, key=lambda p: (p.last_offered, p.id))
            case Choice.ADAPTIVE:
                return min(takers, key=lambda p: (self.demand(p, queue.name), *self.idleness(p)))
        return min(takers, key=self.idleness)

    def ring(self, job: Job, person: Person) -> int:
        """Return how many rings the agent needs to be able."""
        every = self.queue(job).rings
        return next(n for n in range(len(every) + 1) if not self.able(job, person, rings=n))

    def demand(self, person: Person, queue: str) -> float:
        """Return the demand on the other queues that the agent serves, rounded, so that values that are equal on paper are equal."""
        names = matching.queues_of(self, person)
        return round(sum(self.history(name).demand(self.now) for name in names if name != queue), 9)

    def idleness(self, person: Person) -> tuple[bool, int, str]:
        """Idle before busy, then longest since the agent's last assignment began or ended; then the smaller id."""
        return bool(self.ledger(person)), person.idle_since, person.id

    def ratio(self, person: Person) -> Fraction:
        """Return used over total capacity."""
        return Fraction(rules.used(self.profile(person), self.ledger(person)), self.profile(person).total)

    def offer(self, job: Job, person: Person) -> None:
        """Offer it, and park what must be parked."""
        for other in self.to_park(job, person) or []:
            other.parked = True
            self.say("parked", other.id, person.id, job.id)
        job.asking = False
        job.offered += 1
        self.offers_made += 1
        person.last_offered = self.offers_made
        expires_at = self.now + self.queue(job).offer_ms
        job.offers.append(OpenOffer(f"{job.id}#{job.offered}", person.id, expires_at))
        self.say("offered", job.id, person.id, expires_at, job.offers[-1].offer_id)

    def resume(self) -> None:
        """Resume what is parked as soon as it fits, oldest first."""
        for job in sorted(self.jobs.values(), key=lambda j: (j.assigned_at, j.id)):
            if job.parked:
                person = self.people[job.holder]
                if not rules.misfit(self.profile(person), self.ledger(person), *job.entry):
                    job.parked = False
                    self.say("resumed", job.id, person.id)

    # Events of time

    def end_useless_reservation(self, job: Job) -> None:
        """End reservations: kept for an agent, then for their team, while there is an agent to wait for and the time is not over."""
        if job.kept_for:
            person = self.people[job.kept_for]
            unable = not job.by_name and self.able(job, person)
            if self.now >= job.kept_until or unable or not exclusions.worth_waiting(self, job, person):
                job.kept_for, job.kept_until, job.by_name = "", 0, False
        if job.team and not job.kept_for:
            job.team_until = job.team_until or self.now + job.team_ms
            members = [p for p in self.people.values() if f"team={job.team}" in rules.abilities(p.profile)]
            hope = [p for p in members if exclusions.worth_waiting(self, job, p) and not self.able(job, p)]
            if self.now >= job.team_until or not hope:
                job.team, job.team_until = "", 0

    def overflow_by_waiting(self, job: Job) -> bool:
        """Apply `wait` at its time, and rules on staffing, while no agent has an offer; a rule that does not wait for offers, also then.

        Return True when it has left its queue: the rules of the next one are asked too.
        """
        for rule in self.queue(job).overflow if not job.holder else ():
            due = rule.trigger is Trigger.WAIT and job.clock(self.now) >= rule.threshold
            staffing = rule.trigger in (Trigger.NO_AGENTS, Trigger.AGENTS)
            due = moves.at_work(self, self.queue(job)) < (rule.threshold or 1) if staffing else due
            if due and not (job.offers and (staffing or rule.waits_for_offer)) and self.fire(job, rule):
                return True
        return False

    def overflow_on_entering(self, job: Job) -> None:
        """Apply the other rules when it has entered the queue and was not offered at once."""
        for rule in self.queue(job).overflow if not job.holder else ():
            if moves.asks(self, job, rule) and self.fire(job, rule):
                return

    def fire(self, job: Job, rule: OverflowRule) -> bool:
        """Do what the rule says, once for an interaction. Return True when it has left the queue."""
        queue = self.queue(job)
        if (queue.name, rule.name) in job.fired:
            return False
        job.fired.add((queue.name, rule.name))
        return moves.overflow(self, job, queue, rule)

    # Occupancy

    def balance(self, person: Person) -> Fraction:
        """Return how far above their share the agent has been busy: rises by 1 - limit while busy, falls by limit otherwise, never below 0."""
        limit = Fraction(self.profile(person).occupancy_limit)
        level = Fraction(0)
        ends = [since for since, _ in person.busy[1:]] + [self.now]
        for (since, busy), end in zip(person.busy, ends, strict=False):
            level = max(Fraction(0), level + (end - since) * ((1 - limit) if busy else -limit))
        return level

    def rests(self, person: Person) -> bool:
        """Whether the agent rests: above limit * t + (1 - limit) * window."""
        profile = self.profile(person)
        limit = Fraction(profile.occupancy_limit)
        return 0 < limit < 1 and self.balance(person) >= (1 - limit) * profile.occupancy_window_ms

    def rest(self, person: Person) -> int:
        """Return how long the agent still rests; 0 when they do not, or are busy."""
        if self.ledger(person) or not self.rests(person):
            return 0
        profile = self.profile(person)
        limit = Fraction(profile.occupancy_limit)
        return floor((self.balance(person) - (1 - limit) * profile.occupancy_window_ms) / limit) + 1
