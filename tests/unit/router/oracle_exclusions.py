"""Agents who are not asked about an interaction because of what they did, in the naive engine. See `oracle`."""

from typing import TYPE_CHECKING

from services.router.domain.model import AgentState
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
    What they had is left to others who are signed in for that time, and then only to those at their desks.
    """
    found: set[str] = set()
    patience = o.queue(job).ask_again_ms
    at_desk = any(hope(o, job, other) for other in o.people.values())
    signed_in = any(hope(o, job, other, at_desk=False) for other in o.people.values())
    if declines(o, job, person):
        _, at = job.declined_in.get(person.id, (0, o.now))
        found |= {"DECLINED"} if at_desk or o.now < at + patience else set()
    for had_it in (job.taken_from, job.transferring_agents):
        if person.id in had_it and (signed_in if o.now < had_it[person.id] + patience else at_desk):
            found.add("TRANSFERRING_AGENT")
    return found


def hope(o: "Oracle", job: Job, person: Person, at_desk: bool = True) -> bool:
    """Whether the agent might take it now or when they have finished something, and did nothing against it."""
    outside = job.team_until and f"team={job.team}" not in rules.abilities(person.profile)
    able = not outside and not o.able(job, person)
    return able and (worth_waiting(o, job, person) if at_desk else may_come(o, job, person))


def may_come(o: "Oracle", job: Job, person: Person) -> bool:
    """Whether the agent is signed in, is not excluded without a time, and could take the channel with an empty load."""
    never = rules.misfit(o.profile(person), [], job.attributes.channel)
    refused = declines(o, job, person) and o.now >= job.declined_until.get(person.id, 0)
    against = refused or had(o, job, person) or person.id == job.holder
    silent = job.silent.get(person.id) == person.state_changes and person.state is AgentState.NOT_RESPONDING
    return person.session_id in o.desks and not never and not against and not silent


def worth_waiting(o: "Oracle", job: Job, person: Person) -> bool:
    """Whether the agent is present, is not excluded, and could take the channel with an empty load."""
    return may_come(o, job, person) and o.there(person) and not declines(o, job, person)
