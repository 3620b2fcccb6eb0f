"""Agents who are not asked about an interaction because of what they did, in the naive engine. See `oracle`."""

from typing import TYPE_CHECKING

from tests.unit.router import oracle_rules as rules
from tests.unit.router.oracle_state import Job, Person

if TYPE_CHECKING:
    from tests.unit.router.oracle import Oracle


def declines(o: "Oracle", job: Job, person: Person) -> bool:
    """Whether the agent declined it, and that has not come to its end."""
    sign_in, _ = job.declined_in.get(person.id, (0, 0))
    return o.now < job.declined_until.get(person.id, 0) or sign_in == person.sign_ins > 0


def had(o: "Oracle", job: Job, person: Person) -> bool:
    """Whether it was taken from the agent, or they transferred it, and no agent has held it since."""
    return person.id in job.taken_from or person.id in job.transferring_agents


def excluded(o: "Oracle", job: Job, person: Person) -> set[str]:
    """Return why the agent is not asked because of what they did; nothing when they are asked.

    What they did without naming a time does not count when they are the last hope: after a decline, only from some time on.
    """
    found: set[str] = set()
    hopeless = not any(hope(o, job, other) for other in o.people.values())
    if declines(o, job, person):
        _, at = job.declined_in.get(person.id, (0, o.now))
        found |= {"DECLINED"} if not hopeless or o.now < at + o.queue(job).ask_again_ms else set()
    if had(o, job, person) and not hopeless:
        found.add("TRANSFERRING_AGENT")
    return found


def hope(o: "Oracle", job: Job, person: Person) -> bool:
    """Whether the agent is at their desk, might take it now or when they have finished something, and did nothing against it."""
    outside = job.team_until and f"team={job.team}" not in rules.abilities(person.profile)
    able = not outside and not o.able(job, person)
    return able and worth_waiting(o, job, person)


def worth_waiting(o: "Oracle", job: Job, person: Person) -> bool:
    """Whether the agent is present, is not excluded, and could take the channel with an empty load."""
    never = rules.misfit(o.profile(person), [], job.attributes.channel)
    against = declines(o, job, person) or had(o, job, person) or person.id == job.holder
    return o.there(person) and not never and not against
