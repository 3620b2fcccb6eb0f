"""Moves of the naive engine that several commands and timers share. See `oracle`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from services.router.domain.model import AgentState, OverflowRule, QueueConfig, Selector, Trigger
from tests.unit.router import oracle_rules as rules
from tests.unit.router.oracle_state import Job, Person, Phase, Standing

if TYPE_CHECKING:
    from tests.unit.router.oracle import Oracle

UNKNOWN = "UNKNOWN_INTERACTION"
COMPLETED = "INTERACTION_COMPLETED"


def enter(o: "Oracle", job: Job, queue: str, requirements: tuple[Selector, ...]) -> None:
    """Enter a queue: its clocks start anew, nobody in particular is waited for, and overflow rules will be asked."""
    forget_keeping(job)
    job.facts = replace(job.facts, queue=queue, requirements=requirements)
    job.entered, job.asking = o.now, True
    note_entering(o, job, counts=not job.holder)


def note_entering(o: "Oracle", job: Job, counts: bool = True) -> None:
    """It counts as demand (what is still held does not), and takes the stretch of its promise that holds now."""
    queue = o.queue(job)
    history = o.history(queue.name)
    if counts:
        history.entered.append(o.now)
    job.stretch = history.stretch(queue.service_level_goal, o.now)


def note_outcome(o: "Oracle", job: Job, in_time: bool) -> None:
    """Answered or lost."""
    o.history(job.facts.queue).outcomes.append((o.now, in_time))


def forget_keeping(job: Job) -> None:
    """It is kept for nobody."""
    job.kept_for, job.kept_until, job.by_name = "", 0, False
    job.team, job.team_until = "", 0


def own(o: "Oracle", job: Job) -> tuple[Selector, ...]:
    """Its own requirements, as relaxed as they are."""
    return rules.carried_over(job.facts, o.queue(job), job.clock(o.now))


def revoke(o: "Oracle", job: Job, offers: list[Standing], how: str = "REVOKED") -> None:
    """Offers end."""
    for offer in list(offers):
        job.offers.remove(offer)
        o.ended[offer.offer_id] = (offer.agent_id, how)
        o.say("offer ended", job.id, offer.agent_id, how)


def revoke_all_of(o: "Oracle", person: Person) -> None:
    """All offers of an agent end."""
    for job in o.jobs.values():
        revoke(o, job, [offer for offer in job.offers if offer.agent_id == person.id])


def release(o: "Oracle", job: Job) -> None:
    """Its holder, if any, has it no longer: he is idle from now on, and it waits, its queue's clock going on."""
    if job.holder:
        o.people[job.holder].idle_since = o.now
        job.holder, job.parked = "", False
        job.waiting_since = o.now
        if job.phase is Phase.HELD:
            job.entered = o.now - job.stopped
    job.phase = Phase.WAITING


def close(o: "Oracle", job: Job, *what: Any) -> None:
    """It is over."""
    revoke(o, job, job.offers)
    release(o, job)
    del o.jobs[job.id]
    o.say(*what)


def assign(o: "Oracle", job: Job, person: Person, over_capacity: bool = False) -> None:
    """He holds it; other offers of it are revoked, who handed it on warmly is free."""
    revoke(o, job, job.offers)
    waited = job.waited_ms(o.now)
    if not job.holder:
        note_outcome(o, job, waited <= o.queue(job).service_level_ms)
    if job.holder:
        o.people[job.holder].idle_since = o.now
        o.say("transferred", job.id, job.holder, job.facts.queue, person.id)
    job.stopped = job.clock(o.now)
    job.waited, job.phase, job.holder, job.assigned_at = waited, Phase.HELD, person.id, o.now
    person.idle_since = o.now
    forget_keeping(job)
    job.givers.clear()
    job.declined_until.pop(person.id, None)
    job.declined_in.pop(person.id, None)
    job.callback, job.asking, job.not_before = False, False, 0
    o.say("assigned", job.id, person.id, waited, over_capacity)


def set_state(o: "Oracle", person: Person, state: AgentState) -> None:
    """Who is not available has no offers; who becomes so is idle from then on."""
    if state is person.state:
        return
    o.say("agent", person.id, person.state.name, state.name)
    person.state = state
    if state is AgentState.AVAILABLE:
        person.idle_since = o.now
    else:
        revoke_all_of(o, person)


def begin(o: "Oracle", job: Job) -> None:
    """It is queued for the first time: perhaps somebody is asked first."""
    job.phase, job.entered, job.waiting_since, job.asking = Phase.WAITING, o.now, job.facts.arrived_at_ms, True
    o.say("queued", job.id, job.facts.queue)
    note_entering(o, job)
    queue, facts = o.queue(job), job.facts
    last = o.last_agent.get(facts.person_id, "")
    if queue.sticky_ms and (first := facts.preferred_agent or last) in o.people:
        job.kept_for, job.kept_until = first, o.now + queue.sticky_ms
    if queue.sticky_team_ms:
        job.team_ms = queue.sticky_team_ms
        job.team = facts.preferred_team or (o.people[last].profile.team if last in o.people else "")


def start(o: "Oracle", job: Job) -> None:
    """Its scheduled time has come, or that of a callback, which goes on from where it stood."""
    if job.callback:
        job.entered, job.waiting_since, job.phase = o.now - job.stopped, o.now, Phase.WAITING
    else:
        begin(o, job)


def relabel(job: Job, labels: tuple[tuple[str, str], ...]) -> None:
    """Those of the same name are overwritten."""
    job.facts = replace(job.facts, labels=tuple(sorted({**dict(job.facts.labels), **dict(labels)}.items())))


def expire(o: "Oracle", offer_id: str) -> None:
    """Nobody answered: he is not responding, the work keeps its place."""
    for job in o.jobs.values():
        for offer in job.offers:
            if offer.offer_id == offer_id:
                revoke(o, job, [offer], "EXPIRED")
                set_state(o, o.people[offer.agent_id], AgentState.NOT_RESPONDING)
                return


def end_wrap_up_of(o: "Oracle", job: Job) -> None:
    """It ends."""
    close(o, job, "wrap-up ended", job.id, job.holder)


def asks(o: "Oracle", job: Job, rule: OverflowRule) -> bool:
    """Whether a rule holds now."""
    if rule.trigger is Trigger.LENGTH:
        return sum(j.facts.queue == job.facts.queue and not j.offers for j in o.waiting()) > rule.threshold
    if rule.trigger is Trigger.SERVICE_LEVEL:
        level = o.history(job.facts.queue).level()
        return level is not None and level < rule.threshold
    return False


def overflow(o: "Oracle", job: Job, queue: QueueConfig, rule: OverflowRule) -> bool:
    """A rule's actions; true when the job has left the queue."""
    if rule.cancel:
        close(o, job, "cancelled", job.id)
        return True
    moves = rule.queue not in ("", queue.name)
    before = own(o, job) if moves else job.facts.requirements
    requirements = rule.requirements if rule.replace_requirements else before + rule.requirements
    if moves:
        enter(o, job, rule.queue, requirements)
    priority = job.facts.priority if rule.set_priority is None else rule.set_priority
    job.facts = replace(job.facts, requirements=requirements, priority=priority + rule.add_priority)
    o.say("overflowed", job.id, queue.name, rule.name, job.facts.queue, job.facts.priority)
    return moves


def open_job(o: "Oracle", interaction_id: str) -> Job | str:
    """An interaction that is not completed."""
    job = o.jobs.get(interaction_id)
    return UNKNOWN if job is None else COMPLETED if job.phase is Phase.WRAP_UP else job
