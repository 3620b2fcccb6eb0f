"""When something happens in the naive engine without a command."""

from typing import TYPE_CHECKING

from services.policy.model.routing import Trigger
from tests.unit.router import oracle_goals as goals
from tests.unit.router import oracle_matching as matching
from tests.unit.router import oracle_moves as moves
from tests.unit.router import oracle_rules as rules
from tests.unit.router.oracle_state import Phase

if TYPE_CHECKING:
    from tests.unit.router.oracle import Oracle


def deadlines(o: "Oracle") -> list[tuple[int, int, str]]:
    """Return everything that ends by itself: when, what (in the order of equal times), whose."""
    found = [(desk.lease_until, 1, desk.session_id) for desk in o.desks.values()]
    found += [(person.grace_until, 2, person.id) for person in o.people.values() if person.grace_until]
    found += [(offer.expires_at, 3, offer.offer_id) for job in o.jobs.values() for offer in job.offers]
    found += [(job.wrap_until, 4, job.id) for job in o.jobs.values() if job.phase is Phase.WRAP_UP]
    found += [(job.not_before, 5, job.id) for job in o.jobs.values() if job.phase is Phase.SCHEDULED]
    found += [(at, 8, job.id) for job in o.jobs.values() if (at := moves.silence(o, job))]
    return found + goals.due(o)


def next_wakeup(o: "Oracle") -> int | None:
    """Return when something may change without a command."""
    times = [due for due, _, _ in deadlines(o)]
    for job in o.jobs.values():
        if job.phase is not Phase.WAITING:
            continue
        queue = o.queue(job)
        times += [job.not_before, job.attributes.arrived_at_ms + queue.delay_ms, job.kept_until, job.team_until]
        times += [matching.window_end(o, job), *job.declined_until.values()]
        since = [
            *job.taken_from.values(),
            *job.transferring_agents.values(),
            *(at for _, at in job.declined_in.values()),
        ]
        times += [at + queue.ask_again_ms for at in since]
        ages = rules.turning_points(queue.requirements + job.attributes.requirements, queue.rings)
        ages += [int(rule.threshold) for rule in queue.overflow if rule.trigger is Trigger.WAIT]
        times += [job.entered + age for age in ages]
    times += [o.now + rest for person in o.people.values() if (rest := o.rest(person))]
    return min((time for time in times if time > o.now), default=None)
