"""Sign-in, sign-out and lost sessions of agents in the naive engine. See `oracle`."""

from dataclasses import replace
from typing import TYPE_CHECKING

from services.router.domain import commands as cmd
from services.router.domain.model import AgentState
from tests.unit.router import oracle_goals as goals
from tests.unit.router import oracle_moves as moves
from tests.unit.router.oracle_state import Desk, Job, Person, Phase

if TYPE_CHECKING:
    from tests.unit.router.oracle import Oracle


def sign_in(o: "Oracle", command: cmd.SignIn) -> str:
    """Open a session: new, or resumed in time or late."""
    person = o.people.get(command.agent_id)
    if person is None:
        return "UNKNOWN_AGENT"
    before = o.desks.pop(person.session_id, None)
    resumed = before is not None and before.session_id == command.resumes
    if before is not None:
        moves.revoke_all_of(o, person)
    late = bool(command.resumes) and command.resumes == person.lost[0] and not resumed
    lease_until = o.now + o.config.lease_ms
    o.desks[command.session_id] = Desk(command.session_id, person.id, max(0, command.credits), lease_until)
    person.session_id, person.grace_until = command.session_id, 0
    wanted: AgentState = (
        command.state if command.state in (AgentState.AVAILABLE, AgentState.AWAY) else AgentState.UNSPECIFIED
    )
    if late:
        wanted = wanted or person.lost[1]
    elif not resumed:
        person.sign_ins += 1
        wanted = wanted or AgentState.AVAILABLE
        for job in o.jobs.values():
            job.transferring_agents.pop(person.id, None)
    person.lost = ("", AgentState.UNSPECIFIED)
    if wanted:
        moves.set_state(o, person, wanted)
    return ""


def close_session(o: "Oracle", command: cmd.CloseSession) -> str:
    """Close a session: signed out, or only the connection was lost."""
    desk = o.desks.get(command.session_id)
    if desk is None or desk.agent_id != command.agent_id:
        return "UNKNOWN_SESSION"
    person = o.people[desk.agent_id]
    if command.signed_out:
        sign_out(o, person)
    elif desk.attached:
        desk.attached = False
        moves.revoke_all_of(o, person)
    return ""


def sign_out(o: "Oracle", person: Person) -> None:
    """Sign an agent out: what they hold is routed again at once."""
    moves.set_state(o, person, AgentState.OFFLINE)
    del o.desks[person.session_id]
    person.session_id, person.grace_until = "", 0
    give_back(o, person)


def give_back(o: "Oracle", person: Person) -> None:
    """Queue again what an agent holds; their wrap-ups end; a warm transfer goes on as a cold one."""
    for job in list(o.jobs.values()):
        if job.holder != person.id:
            continue
        if job.phase is Phase.WRAP_UP:
            moves.end_wrap_up_of(o, job)
        elif job.phase is Phase.HELD:
            moves.forget_keeping(job)
            o.say("queued again", job.id)
            moves.release(o, job)
        else:
            moves.release(o, job)


def remove(o: "Oracle", person: Person) -> None:
    """Remove an agent: signed out, and forgotten by every interaction."""
    if person.session_id in o.desks:
        sign_out(o, person)
    else:
        give_back(o, person)
    del o.people[person.id]
    for job in o.jobs.values():
        job.declined_until.pop(person.id, None)
        job.declined_in.pop(person.id, None)
        job.transferring_agents.pop(person.id, None)
        job.taken_from.pop(person.id, None)
        job.silent.pop(person.id, None)


def lose(o: "Oracle", desk: Desk) -> None:
    """End a lease: offers are revoked at once, what the agent holds waits for them for the grace period."""
    person = o.people[desk.agent_id]
    person.lost = (desk.session_id, person.state)
    del o.desks[desk.session_id]
    person.session_id = ""
    moves.revoke_all_of(o, person)
    moves.set_state(o, person, AgentState.OFFLINE)
    if any(job.holder == person.id for job in o.jobs.values()):
        person.grace_until = o.now + o.config.grace_ms


def give_up_waiting_for(o: "Oracle", person: Person) -> None:
    """End the grace period."""
    person.grace_until = 0
    give_back(o, person)


def renew(o: "Oracle", command: cmd.RenewLeases) -> str:
    """Renew sessions that are alive."""
    for session_id in command.session_ids:
        desk = o.desks.get(session_id)
        if desk is not None and desk.attached:
            desk.lease_until = o.now + o.config.lease_ms
    return ""


def grant(o: "Oracle", command: cmd.GrantCredits) -> str:
    """Set how many offers the desk can show."""
    desk = o.desks.get(command.session_id)
    if desk is None or desk.agent_id != command.agent_id:
        return "UNKNOWN_SESSION"
    desk.credits = max(0, command.credits)
    return ""


def set_agent_state(o: "Oracle", command: cmd.SetAgentState) -> str:
    """Set an agent's state, by the agent or a supervisor."""
    person = o.people.get(command.agent_id)
    if person is None:
        return "UNKNOWN_AGENT"
    signed_in = person.session_id in o.desks
    if command.state is AgentState.OFFLINE:
        if signed_in:
            sign_out(o, person)
        return "" if person.state is AgentState.OFFLINE else "UNKNOWN_SESSION"
    if command.state not in (AgentState.AVAILABLE, AgentState.AWAY):
        return "INVALID_STATE"
    if not signed_in:
        return "AGENT_NOT_SIGNED_IN"
    moves.set_state(o, person, command.state)
    return ""


def upsert(o: "Oracle", command: cmd.UpsertAgent) -> str:
    """Add or change an agent."""
    profile = command.profile
    if not profile.agent_id:
        return "UNKNOWN_AGENT"
    o.people.setdefault(profile.agent_id, Person(profile)).profile = profile
    return ""


def activate(o: "Oracle", command: cmd.ActivateConfiguration) -> str:
    """Put a configuration into force, with the agents that it names. Those whom an earlier one named are gone; others stay."""
    if command.config.version < o.config.version:
        return "STALE_CONFIGURATION"
    named = {profile.agent_id for profile in command.config.agents}
    for person in sorted(o.people.values(), key=lambda each: each.id):
        if person.configured and person.id not in named:
            remove(o, person)
    o.config = command.config
    goals.forget(o)
    for profile in command.config.agents:
        person = o.people.setdefault(profile.agent_id, Person(profile))
        person.profile, person.configured = profile, True
    for job in o.jobs.values():
        if job.attributes.queue not in o.config.by_name:
            rehouse(o, job)
    return ""


def rehouse(o: "Oracle", job: Job) -> None:
    """Give it the pool's first queue. Its age and its clock go on; no agent keeps an offer that its former queue made."""
    moves.revoke(o, job, job.offers)
    job.attributes = replace(job.attributes, queue=o.config.queues[0].name)
    if job.phase is Phase.WAITING and not job.holder:
        moves.note_entering(o, job)
        job.asking = True
    if job.team and not job.team_until:
        job.team_ms = o.config.queues[0].sticky_team_ms
