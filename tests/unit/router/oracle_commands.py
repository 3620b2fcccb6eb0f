"""The effect of each command in the naive engine, and the reasons for its refusal. See `oracle`."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from services.router.domain import commands as cmd
from tests.unit.router import oracle_agents as agents
from tests.unit.router import oracle_moves as moves
from tests.unit.router import oracle_rules as rules
from tests.unit.router.oracle_state import Job, OpenOffer, Phase

if TYPE_CHECKING:
    from tests.unit.router.oracle import Oracle


def carry_out(o: "Oracle", command: cmd.Command) -> str:
    """Carry out a command; return a code when it is refused."""
    handler: Callable[[Oracle, Any], str] = HANDLERS[type(command)]
    return handler(o, command)


def enqueue(o: "Oracle", command: cmd.Enqueue) -> str:
    """Put it into its queue now, or at its time."""
    attributes = command.attributes
    if attributes.interaction_id in o.jobs:
        return "ALREADY_OPEN"
    arrived = min(attributes.arrived_at_ms, o.now) or o.now
    queue = attributes.queue if attributes.queue in o.config.by_name else o.config.queues[0].name
    job = Job(replace(attributes, arrived_at_ms=arrived, queue=queue), Phase.WAITING, o.now, o.now)
    o.jobs[job.id] = job
    if attributes.start_at_ms > o.now:
        job.phase, job.not_before = Phase.SCHEDULED, attributes.start_at_ms
        job.attributes = replace(job.attributes, arrived_at_ms=job.not_before)
        o.say("scheduled", job.id, attributes.start_at_ms)
    else:
        moves.begin(o, job)
    return ""


def update(o: "Oracle", command: cmd.UpdateInteraction) -> str:
    """Set labels."""
    job = o.jobs.get(command.interaction_id)
    if job is None:
        return moves.UNKNOWN
    moves.relabel(job, command.labels)
    return ""


def held_job(o: "Oracle", interaction_id: str, agent_id: str) -> Job | str:
    """Return an interaction that this agent holds."""
    job = moves.open_job(o, interaction_id)
    if isinstance(job, str):
        return job
    return job if job.holder == agent_id else "NOT_YOURS" if job.holder else "NOT_ASSIGNED"


def customer_messaged(o: "Oracle", command: cmd.CustomerMessaged) -> str:
    """Record the message, and notify the holder."""
    job = moves.open_job(o, command.interaction_id)
    if isinstance(job, str):
        return job
    o.say("customer", job.id, command.message_id)
    if not command.automatic:
        job.turn = []
    moves.listen(o, job, sent=False)
    return ""


def customer_left(o: "Oracle", command: cmd.CustomerLeft) -> str:
    """Abandon what waits, unless a callback was asked for: then the customer may go; a holder is notified."""
    job = moves.open_job(o, command.interaction_id)
    if isinstance(job, str):
        return job
    if job.callback and not job.holder:
        return "CALLBACK_REQUESTED"
    if job.holder:
        o.say("customer", job.id, "")
    else:
        if job.phase is Phase.WAITING:
            moves.note_outcome(o, job, in_time=False)
        moves.close(o, job, "abandoned", job.id, job.waited_ms(o.now))
    return ""


def cancel(o: "Oracle", command: cmd.CancelInteraction) -> str:
    """Cancel it in any stage."""
    job = moves.open_job(o, command.interaction_id)
    if isinstance(job, str):
        return job
    moves.close(o, job, "cancelled", job.id)
    return ""


def reply(o: "Oracle", command: cmd.RecordReply) -> str:
    """Record a reply by the holder, also of a warm transfer that they began."""
    job = held_job(o, command.interaction_id, command.agent_id)
    if isinstance(job, str):
        return job
    o.say("replied", job.id, command.agent_id, not job.replied)
    job.replied = True
    job.turn.append((command.reply_id, "written" if command.awaits_outcome else "sent"))
    moves.listen(o, job, sent=not command.awaits_outcome)
    return ""


def reply_outcome(o: "Oracle", command: cmd.RecordReplyOutcome) -> str:
    """Record what became of a reply, as long as the interaction is open or in wrap-up."""
    if command.interaction_id not in o.jobs:
        return "UNKNOWN_INTERACTION"
    o.say("outcome", command.interaction_id, command.agent_id, command.state)
    turn = o.jobs[command.interaction_id].turn
    if command.reply_id in dict(turn):
        turn.append((command.reply_id, "sent" if command.state == 1 else "lost"))
        moves.listen(o, o.jobs[command.interaction_id], sent=command.state == 1)
    return ""


def complete(o: "Oracle", command: cmd.CompleteInteraction) -> str:
    """Complete it, by the holder; with wrap-up if its queue has one and it is not parked."""
    job = held_job(o, command.interaction_id, command.agent_id)
    if isinstance(job, str):
        return job
    queue = o.queue(job)
    asked = queue.disposition_channels or (job.attributes.channel,)
    if queue.disposition_required and command.disposition == "" and job.attributes.channel in asked:
        return "DISPOSITION_REQUIRED"
    wrap_up = 0 if job.parked else queue.wrap_up_ms
    if job.attributes.person_id:
        o.last_agent[job.attributes.person_id] = job.holder
    if not wrap_up:
        moves.close(o, job, "completed", job.id, command.agent_id, 0)
        return ""
    moves.revoke(o, job, job.offers)
    job.phase, job.wrap_until = Phase.WRAP_UP, o.now + wrap_up
    o.say("completed", job.id, command.agent_id, job.wrap_until)
    return ""


def end_wrap_up(o: "Oracle", command: cmd.EndWrapUp) -> str:
    """End wrap-up before its time."""
    job = o.jobs.get(command.interaction_id)
    if job is None:
        return moves.UNKNOWN
    if job.phase is not Phase.WRAP_UP:
        return "NOT_WRAPPING_UP"
    if job.holder != command.agent_id:
        return "NOT_YOURS"
    moves.end_wrap_up_of(o, job)
    return ""


def transfer(o: "Oracle", command: cmd.TransferInteraction) -> str:
    """Transfer it to a queue, to requirements, to an agent; cold or warm."""
    transferring_agent = command.agent_id
    job = (
        held_job(o, command.interaction_id, transferring_agent)
        if transferring_agent
        else moves.open_job(o, command.interaction_id)
    )
    if isinstance(job, str):
        return job
    if command.queue and command.queue not in o.config.by_name:
        return "UNKNOWN_QUEUE"
    if command.warm and job.parked:
        return "PARKED"
    if command.to_agent_id and (code := refuse_target(o, job, command.to_agent_id)):
        return code
    moves.revoke(o, job, job.offers)
    requirements = moves.own(o, job) if command.requirements is None else command.requirements
    transferring_agent, queue = job.holder, command.queue or job.attributes.queue
    if command.warm and transferring_agent:
        job.phase = Phase.WAITING
    else:
        moves.release(o, job)
        if transferring_agent:
            job.counted_in.clear()
    if transferring_agent:
        job.transferring_agents[transferring_agent] = o.now
    moves.enter(o, job, queue, requirements)
    job.asking = not job.holder
    moves.relabel(job, command.labels)
    if command.to_agent_id:
        job.kept_for, job.by_name = command.to_agent_id, True
        job.declined_until.pop(command.to_agent_id, None)
        job.declined_in.pop(command.to_agent_id, None)
        job.transferring_agents.pop(command.to_agent_id, None)
        job.taken_from.pop(command.to_agent_id, None)
        job.kept_until = o.now + o.queue(job).transfer_hold_ms
    if not job.holder:
        o.say("transferred", job.id, transferring_agent, queue, command.to_agent_id)
    return ""


def refuse_target(o: "Oracle", job: Job, agent_id: str) -> str:
    """Return why it cannot be transferred to an agent."""
    if agent_id == job.holder:
        return "SAME_AGENT"
    person = o.people.get(agent_id)
    if person is None:
        return "UNKNOWN_AGENT"
    if not o.there(person):
        return "AGENT_NOT_AVAILABLE"
    never = rules.misfit(o.profile(person), [], job.attributes.channel)
    return "CHANNEL_NOT_SERVED" if never else ""


def recall(o: "Oracle", command: cmd.RecallTransfer) -> str:
    """Take back a warm transfer, by the transferring agent."""
    job = held_job(o, command.interaction_id, command.agent_id)
    if isinstance(job, str):
        return job
    if job.phase is not Phase.WAITING:
        return "NOT_TRANSFERRED"
    moves.revoke(o, job, job.offers)
    job.phase, job.stopped, job.asking = Phase.HELD, o.now - job.entered, False
    moves.listen(o, job, sent=True)
    job.transferring_agents.pop(command.agent_id, None)
    moves.forget_keeping(job)
    return ""


def pick_or_assign(o: "Oracle", command: cmd.AssignInteraction) -> str:
    """Assign it without an offer: by a supervisor, or picked by the agent. An earlier offer to them does not prevent it."""
    job = moves.open_job(o, command.interaction_id)
    if isinstance(job, str):
        return job
    person = o.people.get(command.agent_id)
    if person is None:
        return "UNKNOWN_AGENT"
    if job.phase is Phase.HELD or job.holder == person.id:
        return "NOT_WAITING"
    if person.session_id not in o.desks:
        return "AGENT_NOT_SIGNED_IN"
    offers = job.offers
    job.offers = [offer for offer in offers if offer.agent_id != person.id]
    offered = len(offers) > len(job.offers)
    code = "" if command.force else o.obstacle(job, person, without_offer=True, fits=offered)
    if command.picked and not code and not job.kept_for:
        others = [p for p in o.people.values() if p is not person and not o.obstacle(job, p)]
        code = "" if 1 + len(others) > o.queue(job).keep_free else "KEPT_FREE"
    parked, over = o.to_park(job, person), False
    if parked is None and not offered:
        over = bool(rules.misfit(o.profile(person), o.ledger(person), job.attributes.channel))
    job.offers = offers
    if code:
        return code
    for other in parked or []:
        other.parked = True
        o.say("parked", other.id, person.id, job.id)
    moves.assign(o, job, person, over_capacity=over)
    return ""


def callback(o: "Oracle", command: cmd.RequestCallback) -> str:
    """Let the customer leave and keep their place."""
    job = moves.open_job(o, command.interaction_id)
    if isinstance(job, str):
        return job
    if job.holder:
        return "NOT_WAITING"
    job.callback = True
    if command.at_ms > o.now:
        moves.revoke(o, job, job.offers)
        job.waited, job.stopped = job.waited_ms(o.now), job.clock(o.now)
        job.phase, job.not_before = Phase.SCHEDULED, command.at_ms
        o.say("scheduled", job.id, command.at_ms)
    return ""


def reroute(o: "Oracle", command: cmd.Reroute) -> str:
    """Move it, by a supervisor, in any stage."""
    job = moves.open_job(o, command.interaction_id)
    if isinstance(job, str):
        return job
    if command.queue and command.queue not in o.config.by_name:
        return "UNKNOWN_QUEUE"
    if command.waiting_only and job.holder:
        return "NOT_WAITING"
    moves.revoke(o, job, job.offers)
    requirements = moves.own(o, job) if command.requirements is None else command.requirements
    requirements += tuple(selector for selector in command.added if selector not in requirements)
    queue = command.queue or job.attributes.queue
    if job.holder:
        o.say("transferred", job.id, job.holder, queue, "")
        job.taken_from[job.holder] = o.now
    if job.phase is not Phase.SCHEDULED:
        moves.release(o, job)
    moves.enter(o, job, queue, requirements)
    return ""


def reprioritise(o: "Oracle", command: cmd.Reprioritise) -> str:
    """Change the priority, and perhaps the deadline."""
    job = moves.open_job(o, command.interaction_id)
    if isinstance(job, str):
        return job
    due = command.due_at_ms or job.attributes.due_at_ms
    job.attributes = replace(job.attributes, priority=job.attributes.priority + command.add, due_at_ms=due)
    return ""


def open_offer(o: "Oracle", offer_id: str, agent_id: str) -> tuple[Job, OpenOffer] | str:
    """Return an open offer of this agent."""
    for job in o.jobs.values():
        for offer in job.offers:
            if offer.offer_id == offer_id:
                return (job, offer) if offer.agent_id == agent_id else "NOT_YOURS"
    owner, how = o.ended.get(offer_id, ("", ""))
    if offer_id.split("#")[0] not in o.jobs or not how:
        return "UNKNOWN_OFFER"
    return f"OFFER_{how}" if owner == agent_id else "NOT_YOURS"


def accept(o: "Oracle", command: cmd.AcceptOffer) -> str:
    """Give it to the agent; the other offers of it are revoked."""
    found = open_offer(o, command.offer_id, command.agent_id)
    if isinstance(found, str):
        return found
    job, offer = found
    job.offers.remove(offer)
    o.ended[offer.offer_id] = (offer.agent_id, "ALREADY_ACCEPTED")
    moves.assign(o, job, o.people[offer.agent_id])
    return ""


def decline(o: "Oracle", command: cmd.DeclineOffer) -> str:
    """Decline: the agent is not asked again until the time they name, or until they sign in again."""
    found = open_offer(o, command.offer_id, command.agent_id)
    if isinstance(found, str):
        return found
    job, offer = found
    job.declined_until.pop(offer.agent_id, None)
    job.declined_in.pop(offer.agent_id, None)
    if command.retry_after_ms > 0:
        job.declined_until[offer.agent_id] = o.now + command.retry_after_ms
    else:
        job.declined_in[offer.agent_id] = o.people[offer.agent_id].sign_ins, o.now
    moves.revoke(o, job, [offer], "DECLINED")
    return ""


HANDLERS: dict[type[cmd.Command], Callable[["Oracle", Any], str]] = {
    cmd.Enqueue: enqueue,
    cmd.UpdateInteraction: update,
    cmd.CustomerMessaged: customer_messaged,
    cmd.CustomerLeft: customer_left,
    cmd.CancelInteraction: cancel,
    cmd.RecordReply: reply,
    cmd.RecordReplyOutcome: reply_outcome,
    cmd.CompleteInteraction: complete,
    cmd.EndWrapUp: end_wrap_up,
    cmd.TransferInteraction: transfer,
    cmd.RecallTransfer: recall,
    cmd.AssignInteraction: pick_or_assign,
    cmd.RequestCallback: callback,
    cmd.Reroute: reroute,
    cmd.Reprioritise: reprioritise,
    cmd.AcceptOffer: accept,
    cmd.DeclineOffer: decline,
    cmd.SignIn: agents.sign_in,
    cmd.CloseSession: agents.close_session,
    cmd.RenewLeases: agents.renew,
    cmd.GrantCredits: agents.grant,
    cmd.SetAgentState: agents.set_agent_state,
    cmd.UpsertAgent: agents.upsert,
    cmd.ActivateConfiguration: agents.activate,
}
