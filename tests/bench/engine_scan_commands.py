"""The effect of each command in the naive router of `engine_scan`."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from services.policy.model.eligibility import carried_over
from services.router.domain import commands as cmd
from services.router.domain.model import AgentState
from tests.bench.engine_scan_state import WRAP_UP, Job

if TYPE_CHECKING:
    from tests.bench.engine_scan import Scan


_UNTIL_HELD: Final = 10**15
"""The end of an exclusion that lasts until another agent holds the job."""


def carry_out(scan: "Scan", command: cmd.Command) -> None:
    """Carry out one command, or do nothing if it no longer applies."""
    _COMMANDS[type(command)](scan, command)


def _activate(scan: "Scan", command: cmd.ActivateConfiguration) -> None:
    scan.configure(command.config)


def _enqueue(scan: "Scan", command: cmd.Enqueue) -> None:
    job = scan.open(command.attributes)
    sticky = scan.config.by_name[command.attributes.queue].sticky_ms
    last = scan.last.get(command.attributes.person_id, "")
    if sticky and last:
        job.kept_for, job.kept_until = last, scan.now + sticky
    scan.place(job)


def _attributes(scan: "Scan", name: str, **fields: Any) -> None:
    """Change the attributes; a waiting interaction may go to another agent now."""
    job = scan.jobs.get(name)
    if job is None:
        return
    job.attributes = replace(job.attributes, **fields)
    if name in scan.waiting:
        scan.place(job)


def _update(scan: "Scan", command: cmd.UpdateInteraction) -> None:
    job = scan.jobs.get(command.interaction_id)
    if job is not None:
        labels = dict(job.attributes.labels) | dict(command.labels)
        _attributes(scan, command.interaction_id, labels=tuple(sorted(labels.items())))


def _reprioritise(scan: "Scan", command: cmd.Reprioritise) -> None:
    job = scan.jobs.get(command.interaction_id)
    if job is not None and job.stage != WRAP_UP:
        _attributes(scan, command.interaction_id, priority=job.attributes.priority + command.add)


def _nothing(_scan: "Scan", _command: cmd.Command) -> None:
    """Do nothing: a message or a reply needs no decision."""


def _leave(scan: "Scan", command: cmd.CustomerLeft) -> None:
    job = scan.jobs.get(command.interaction_id)
    if job is not None and not job.holder():
        scan.close(job)


def _cancel(scan: "Scan", command: cmd.CancelInteraction) -> None:
    job = scan.jobs.get(command.interaction_id)
    if job is not None and job.stage != WRAP_UP:
        scan.close(job)


def _accept(scan: "Scan", command: cmd.AcceptOffer) -> None:
    job = _offered(scan, command.offer_id, command.agent_id)
    if job is not None:
        scan.hold(job)


def _offered(scan: "Scan", offer_id: str, agent_id: str) -> Job | None:
    job = scan.jobs.get(offer_id.rpartition(".")[0])
    return job if job is not None and job.asked() == agent_id else None


def _decline(scan: "Scan", command: cmd.DeclineOffer) -> None:
    job = _offered(scan, command.offer_id, command.agent_id)
    if job is not None:
        person = scan.end_offer(job)
        retry = command.retry_after_ms
        job.declined[person.id] = scan.now + retry if retry > 0 else -person.sign_ins
        scan.place(job)


def _mine(scan: "Scan", name: str, agent_id: str) -> Job | None:
    job = scan.jobs.get(name)
    return job if job is not None and job.holder() == agent_id and job.stage != WRAP_UP else None


def _complete(scan: "Scan", command: cmd.CompleteInteraction) -> None:
    job = _mine(scan, command.interaction_id, command.agent_id)
    if job is not None:
        scan.complete(job)


def _end_wrap_up(scan: "Scan", command: cmd.EndWrapUp) -> None:
    job = scan.jobs.get(command.interaction_id)
    if job is not None and job.stage == WRAP_UP and job.agent == command.agent_id:
        scan.close(job)


def _transfer(scan: "Scan", command: cmd.TransferInteraction) -> None:
    job = _mine(scan, command.interaction_id, command.agent_id)
    if job is None:
        return
    to = command.to_agent_id
    if to and not scan.people[to].at_desk():
        return
    transferring_agent = scan.detach(job)
    assert transferring_agent is not None
    _move(scan, job, command.queue or job.attributes.queue)
    job.kept_for, job.handed_on = to, bool(to)
    job.kept_until = scan.now + scan.config.by_name[job.attributes.queue].transfer_hold_ms if to else 0
    job.declined[transferring_agent.id] = -transferring_agent.sign_ins
    job.declined.pop(to, None)
    scan.place(job)


def _move(scan: "Scan", job: Job, queue: str) -> None:
    """Move the job to another queue. Its requirements stay relaxed as they are; the clock of the new queue starts."""
    own = carried_over(job.attributes.requirements, (), scan.now - job.enqueued_at)
    job.attributes = replace(job.attributes, queue=queue, requirements=own)
    job.enqueued_at = scan.now


def _reroute(scan: "Scan", command: cmd.Reroute) -> None:
    job = scan.jobs.get(command.interaction_id)
    if job is not None and job.stage != WRAP_UP:
        holder = scan.detach(job)
        if holder is not None:
            job.declined[holder.id] = _UNTIL_HELD
        _move(scan, job, command.queue)
        job.kept_for, job.kept_until, job.handed_on = "", 0, False
        scan.place(job)


def _sign_in(scan: "Scan", command: cmd.SignIn) -> None:
    person = scan.people[command.agent_id]
    before = person.session
    resumed = bool(before) and before == command.resumes
    if before:
        del scan.sessions[before]
        person.attached = False
        scan.take_back(person)
    person.session, person.attached, person.credits = command.session_id, True, command.credits
    person.grace = 0
    scan.arm(command.session_id, person.id)
    if not resumed:
        person.sign_ins += 1
        scan.set_state(person, AgentState.AVAILABLE)
    scan.freed[person.id] = None


def _close(scan: "Scan", command: cmd.CloseSession) -> None:
    person = scan.people[command.agent_id]
    if person.session != command.session_id:
        return
    if not command.signed_out:
        person.attached = False
        scan.take_back(person)
        return
    scan.set_state(person, AgentState.OFFLINE)
    del scan.sessions[person.session]
    person.session, person.attached, person.grace = "", False, 0
    scan.requeue(person)


def _renew(scan: "Scan", command: cmd.RenewLeases) -> None:
    until = scan.now + scan.config.lease_ms
    for session in command.session_ids:
        known = scan.sessions.get(session)
        if known is not None and scan.people[known[0]].attached:
            scan.sessions[session] = (known[0], until, known[2])


def _credits(scan: "Scan", command: cmd.GrantCredits) -> None:
    person = scan.people[command.agent_id]
    if person.session == command.session_id:
        person.credits = command.credits
        scan.freed[person.id] = None


def _state(scan: "Scan", command: cmd.SetAgentState) -> None:
    person = scan.people[command.agent_id]
    if person.session:
        scan.set_state(person, command.state)


def _upsert(scan: "Scan", command: cmd.UpsertAgent) -> None:
    person = scan.people[command.profile.agent_id]
    person.learn(command.profile)
    scan.freed[person.id] = None
    scan.look_again(person)


_COMMANDS: Final[dict[type[cmd.Command], Callable[["Scan", Any], None]]] = {
    cmd.ActivateConfiguration: _activate,
    cmd.Enqueue: _enqueue,
    cmd.UpdateInteraction: _update,
    cmd.Reprioritise: _reprioritise,
    cmd.CustomerMessaged: _nothing,
    cmd.RecordReply: _nothing,
    cmd.RecordReplyOutcome: _nothing,
    cmd.CustomerLeft: _leave,
    cmd.CancelInteraction: _cancel,
    cmd.AcceptOffer: _accept,
    cmd.DeclineOffer: _decline,
    cmd.CompleteInteraction: _complete,
    cmd.EndWrapUp: _end_wrap_up,
    cmd.TransferInteraction: _transfer,
    cmd.Reroute: _reroute,
    cmd.SignIn: _sign_in,
    cmd.CloseSession: _close,
    cmd.RenewLeases: _renew,
    cmd.GrantCredits: _credits,
    cmd.SetAgentState: _state,
    cmd.UpsertAgent: _upsert,
}
