"""Steps of the naive engine that several commands and timers share. See `oracle`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from services.policy.model.routing import OverflowRule, QueueConfig, Selector, Trigger
from services.router.domain.model import AgentState
from tests.unit.router import oracle_goals as goals
from tests.unit.router import oracle_rules as rules
from tests.unit.router.oracle_state import Job, OpenOffer, Person, Phase

if TYPE_CHECKING:
    from tests.unit.router.oracle import Oracle

UNKNOWN = "UNKNOWN_INTERACTION"
COMPLETED = "INTERACTION_COMPLETED"


def enter(o: "Oracle", job: Job, queue: str, requirements: tuple[Selector, ...]) -> None:
    """Enter a queue: its clocks start again, no particular agent is waited for, and overflow rules will be asked."""
    forget_keeping(job)
    job.attributes = replace(job.attributes, queue=queue, requirements=requirements)
    job.entered, job.asking = o.now, True
    note_entering(o, job, counts=not job.holder)


def note_entering(o: "Oracle", job: Job, counts: bool = True) -> None:
    """Count it as demand (an interaction that is still held does not count), and record the present shift of the queue."""
    queue = o.queue(job)
    history = o.history(queue.name)
    if counts:
        history.entered.append(o.now)
    job.shift_ms = history.shift_ms


def note_outcome(o: "Oracle", job: Job, in_time: bool) -> None:
    """Record that it was answered or lost, once for its stay in a queue."""
    if job.attributes.queue not in job.counted_in:
        goals.note(o, job.attributes.queue)
        o.history(job.attributes.queue).outcomes.append((o.now, in_time))
    job.counted_in = {job.attributes.queue}


def forget_keeping(job: Job) -> None:
    """Keep it for no agent."""
    job.kept_for, job.kept_until, job.by_name = "", 0, False
    job.team, job.team_until = "", 0


def own(o: "Oracle", job: Job) -> tuple[Selector, ...]:
    """Return its own requirements, as relaxed as they are now."""
    return rules.carried_over(job.attributes, o.queue(job), job.clock(o.now))


def revoke(o: "Oracle", job: Job, offers: list[OpenOffer], how: str = "REVOKED") -> None:
    """End offers."""
    for offer in list(offers):
        job.offers.remove(offer)
        o.ended[offer.offer_id] = (offer.agent_id, how)
        o.say("offer ended", job.id, offer.agent_id, how)


def revoke_all_of(o: "Oracle", person: Person) -> None:
    """End all offers of an agent."""
    for job in o.jobs.values():
        revoke(o, job, [offer for offer in job.offers if offer.agent_id == person.id])


def release(o: "Oracle", job: Job) -> None:
    """Take it from its holder, if any: they are idle from now on, and it waits, while its queue's clock goes on."""
    if job.holder:
        o.people[job.holder].idle_since = o.now
        job.holder, job.parked, job.turn = "", False, []
        job.waiting_since = o.now
        if job.phase is Phase.HELD:
            job.entered = o.now - job.stopped
    job.phase = Phase.WAITING


def close(o: "Oracle", job: Job, *what: Any) -> None:
    """Close it."""
    revoke(o, job, job.offers)
    release(o, job)
    del o.jobs[job.id]
    o.say(*what)


def assign(o: "Oracle", job: Job, person: Person, over_capacity: bool = False) -> None:
    """Assign it to the agent; other offers of it are revoked, and a transferring agent loses it."""
    revoke(o, job, job.offers)
    waited = job.waited_ms(o.now)
    if not job.holder:
        note_outcome(o, job, waited <= o.queue(job).service_level_ms)
    if job.holder:
        o.people[job.holder].idle_since = o.now
        job.turn = []
        o.say("transferred", job.id, job.holder, job.attributes.queue, person.id)
    job.stopped = job.clock(o.now)
    job.waited, job.phase, job.holder, job.assigned_at = waited, Phase.HELD, person.id, o.now
    person.idle_since = o.now
    forget_keeping(job)
    job.transferring_agents.clear()
    job.taken_from.clear()
    job.declined_until.pop(person.id, None)
    job.declined_in.pop(person.id, None)
    job.silent.pop(person.id, None)
    job.callback, job.asking, job.not_before = False, False, 0
    o.say("assigned", job.id, person.id, waited, over_capacity)


def set_state(o: "Oracle", person: Person, state: AgentState) -> None:
    """Set an agent's state. An agent who is not available has no offers; one who becomes available is idle from then on."""
    if state is person.state:
        return
    o.say("agent", person.id, person.state.name, state.name)
    person.state = state
    person.state_changes += 1
    if state is AgentState.AVAILABLE:
        person.idle_since = o.now
    else:
        revoke_all_of(o, person)


def begin(o: "Oracle", job: Job) -> None:
    """Queue it for the first time: an agent may be asked first."""
    job.phase, job.entered, job.waiting_since, job.asking = Phase.WAITING, o.now, job.attributes.arrived_at_ms, True
    o.say("queued", job.id, job.attributes.queue)
    note_entering(o, job)
    queue, attributes = o.queue(job), job.attributes
    last = o.last_agent.get(attributes.person_id, "")
    if queue.sticky_ms and (first := attributes.preferred_agent or last) in o.people:
        job.kept_for, job.kept_until = first, o.now + queue.sticky_ms
    if queue.sticky_team_ms:
        job.team_ms = queue.sticky_team_ms
        job.team = attributes.preferred_team or (o.people[last].profile.team if last in o.people else "")


def start(o: "Oracle", job: Job) -> None:
    """Start it at its scheduled time, or at that of a callback, which continues with its old place."""
    if job.callback:
        job.entered, job.waiting_since, job.phase = o.now - job.stopped, o.now, Phase.WAITING
    else:
        begin(o, job)


def relabel(job: Job, labels: tuple[tuple[str, str], ...]) -> None:
    """Set labels; those of the same name are overwritten."""
    job.attributes = replace(
        job.attributes, labels=tuple(sorted({**dict(job.attributes.labels), **dict(labels)}.items()))
    )


def expire(o: "Oracle", offer_id: str) -> None:
    """Expire an offer without an answer: the agent is not responding, the interaction keeps its place."""
    for job in o.jobs.values():
        for offer in job.offers:
            if offer.offer_id == offer_id:
                revoke(o, job, [offer], "EXPIRED")
                person = o.people[offer.agent_id]
                set_state(o, person, AgentState.NOT_RESPONDING)
                job.silent[person.id] = person.state_changes
                return


def end_wrap_up_of(o: "Oracle", job: Job) -> None:
    """End wrap-up."""
    close(o, job, "wrap-up ended", job.id, job.holder)


def asks(o: "Oracle", job: Job, rule: OverflowRule) -> bool:
    """Whether a rule applies now."""
    if rule.trigger is Trigger.LENGTH:
        return sum(j.attributes.queue == job.attributes.queue and not j.offers for j in o.waiting()) > rule.threshold
    if rule.trigger is Trigger.SERVICE_LEVEL:
        level = o.history(job.attributes.queue).level()
        return level is not None and level < rule.threshold
    return False


def overflow(o: "Oracle", job: Job, queue: QueueConfig, rule: OverflowRule) -> bool:
    """Apply a rule's actions; return True when the interaction has left the queue."""
    if rule.cancel:
        close(o, job, "cancelled", job.id)
        return True
    moves = rule.queue not in ("", queue.name)
    if moves:
        revoke(o, job, job.offers)
    before = own(o, job) if moves else job.attributes.requirements
    requirements = rule.requirements if rule.replace_requirements else before + rule.requirements
    if moves:
        enter(o, job, rule.queue, requirements)
    priority = job.attributes.priority if rule.set_priority is None else rule.set_priority
    job.attributes = replace(job.attributes, requirements=requirements, priority=priority + rule.add_priority)
    o.say("overflowed", job.id, queue.name, rule.name, job.attributes.queue, job.attributes.priority)
    return moves


def open_job(o: "Oracle", interaction_id: str) -> Job | str:
    """Return an interaction that is not completed."""
    job = o.jobs.get(interaction_id)
    return UNKNOWN if job is None else COMPLETED if job.phase is Phase.WRAP_UP else job


def at_work(o: "Oracle", queue: QueueConfig) -> int:
    """Return how many agents are signed in and available, connected or not, who serve the queue and have its skills."""
    return sum(works_for(person, queue) for person in o.people.values())


def works_for(person: Person, queue: QueueConfig) -> bool:
    """Whether an agent is at work for a queue."""
    return (
        bool(person.session_id)
        and person.state is AgentState.AVAILABLE
        and (not person.profile.queues or queue.name in person.profile.queues)
        and all(rules.meets(selector, rules.abilities(person.profile)) for selector in queue.requirements)
    )


def listen(o: "Oracle", job: Job, sent: bool) -> None:
    """Begin to wait for the customer, or stop. After `sent` the time of their silence begins."""
    replied = "sent" in dict(job.turn).values()
    job.quiet_since = 0 if not replied else o.now if sent else job.quiet_since
    job.warned = job.warned if replied and not sent else 0


def silence(o: "Oracle", job: Job) -> int:
    """Return when the customer's silence is noticed; 0 when it is not."""
    queue = o.queue(job)
    if not (job.customer_owes and queue.close_silent_ms):
        return 0
    if queue.warn_silent_ms == 0:
        return job.quiet_since + queue.close_silent_ms
    if not job.warned:
        return job.quiet_since + queue.warn_silent_ms
    return job.warned + queue.close_silent_ms - queue.warn_silent_ms


def notice_silence(o: "Oracle", job: Job) -> None:
    """Warn the customer, or complete the interaction."""
    if o.queue(job).warn_silent_ms and not job.warned:
        job.warned = o.now
        o.say("silent", job.id)
        return
    if job.attributes.person_id:
        o.last_agent[job.attributes.person_id] = job.holder
    close(o, job, "completed", job.id, job.holder, 0)
