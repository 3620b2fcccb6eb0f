"""Commands about interactions: each returns a reason code, empty when it was carried out."""

from dataclasses import replace
from typing import Final

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import Facts, OfferEnd, Stage
from services.router.domain.pool import Core, assignment_notice
from services.router.domain.state import Agent, Work
from services.router.domain.timers import Timer

UNKNOWN_INTERACTION: Final = "UNKNOWN_INTERACTION"
INTERACTION_COMPLETED: Final = "INTERACTION_COMPLETED"
NOT_YOURS: Final = "NOT_YOURS"
NOT_ASSIGNED: Final = "NOT_ASSIGNED"
UNKNOWN_QUEUE: Final = "UNKNOWN_QUEUE"
UNKNOWN_AGENT: Final = "UNKNOWN_AGENT"
ALREADY_OPEN: Final = "ALREADY_OPEN"
_PERSONS_KEPT: Final = 100_000
_MOST_URGENT: Final = 1_000_000  # escalations add up; the contract's number is 32 bits wide


def enqueue(core: Core, command: cmd.Enqueue) -> str:
    """A new interaction. Nothing is ever refused for its queue: an unknown one becomes the pool's first."""
    facts = command.facts
    if facts.interaction_id in core.works:
        return ALREADY_OPEN
    # An edge whose clock is ahead must not gain or lose place by it for ever.
    if not 0 < facts.arrived_at_ms <= core.now:
        facts = _with(facts, arrived_at_ms=core.now)
    work = Work(facts, Stage.WAITING, enqueued_at=core.now, waiting_since=facts.arrived_at_ms)
    core.works[facts.interaction_id] = work
    reason = _settle_queue(core, work) or ("ENQUEUED" if core.config is not None else "NO_CONFIGURATION")
    _reserve_last_agent(core, work)
    core.enter(work, reason, again=False)
    return ""


def _with(facts: Facts, **fields: object) -> Facts:
    return replace(facts, **fields)  # type: ignore[arg-type]  # names and types are those of Facts


def _settle_queue(core: Core, work: Work) -> str:
    config = core.config
    if config is None or not config.queues or work.facts.queue in config.by_name:
        return ""
    work.facts = _with(work.facts, queue=config.queues[0].name)
    return UNKNOWN_QUEUE


def _reserve_last_agent(core: Core, work: Work) -> None:
    queue = core.queue_of(work)
    if queue is None or not queue.sticky_ms:
        return
    last = core.last_agent.get(work.facts.person_id, "")
    if last:
        work.reserved_for, work.reserved_until = last, core.now + queue.sticky_ms


def resettle(core: Core) -> None:
    """After another configuration: what waits in a queue that is gone goes to the pool's first."""
    for interaction_id in sorted(core.works):
        work = core.works[interaction_id]
        if core.config is None or not core.config.queues or work.facts.queue in core.config.by_name:
            continue
        if work.stage is Stage.WAITING:
            core.leave_line(work)
            _settle_queue(core, work)
            core.enter(work, UNKNOWN_QUEUE, again=True)
        else:
            _settle_queue(core, work)
            core.dirty["i", work.id] = None


def update(core: Core, command: cmd.UpdateInteraction) -> str:
    """Set labels."""
    work = core.works.get(command.interaction_id)
    if work is None:
        return UNKNOWN_INTERACTION
    labels = dict(work.facts.labels) | dict(command.labels)
    core.change(work, labels=tuple(sorted(labels.items())))
    _changed(core, work, "UPDATED")
    return ""


def _changed(core: Core, work: Work, reason: str) -> None:
    epoch = core.event_number(work, reason)
    core.effects.append(fx.Changed(work.facts, epoch, reason))


def customer_messaged(core: Core, command: cmd.CustomerMessaged) -> str:
    """The customer wrote again: told to whoever holds it."""
    work = core.works.get(command.interaction_id)
    if work is None:
        return UNKNOWN_INTERACTION
    if work.stage is Stage.WRAP_UP:
        return INTERACTION_COMPLETED
    _customer_acted(core, work, command.message_id, "CUSTOMER_MESSAGE")
    return ""


def _customer_acted(core: Core, work: Work, message_id: str, reason: str) -> None:
    epoch = core.event_number(work, reason)
    core.effects.append(fx.CustomerActed(work.facts, epoch, reason, message_id))
    holder = core.agents.get(work.agent_id)
    if holder is not None:
        core.tell(holder, fx.CustomerNotice(work.id, message_id, not message_id))


def customer_left(core: Core, command: cmd.CustomerLeft) -> str:
    """Waiting work is abandoned; the holder of assigned work is told."""
    work = core.works.get(command.interaction_id)
    if work is None:
        return UNKNOWN_INTERACTION
    if work.stage is Stage.WRAP_UP:
        return INTERACTION_COMPLETED
    if work.stage is Stage.ASSIGNED:
        _customer_acted(core, work, "", "CUSTOMER_LEFT")
        return ""
    if work.stage is Stage.OFFERED:
        core.end_offer(work, OfferEnd.REVOKED, "CUSTOMER_LEFT")
    waited = work.waited_ms(core.now)
    epoch = core.event_number(work, "CUSTOMER_LEFT")
    core.effects.append(fx.Abandoned(work.facts, epoch, "CUSTOMER_LEFT", waited))
    core.count(work.facts.queue)[2] += 1
    core.drop(work)
    return ""


def cancel(core: Core, command: cmd.CancelInteraction) -> str:
    """By order of another system, at any stage."""
    work = core.works.get(command.interaction_id)
    if work is None:
        return UNKNOWN_INTERACTION
    if work.stage is Stage.WRAP_UP:
        return INTERACTION_COMPLETED
    reason = command.reason or "CANCELLED"
    _detach(core, work, reason)
    epoch = core.event_number(work, reason)
    core.effects.append(fx.Cancelled(work.facts, epoch, reason))
    core.drop(work)
    return ""


def _detach(core: Core, work: Work, reason: str) -> str:
    """Take work away from line, offer or holder; returns the holder."""
    if work.stage is Stage.WAITING:
        core.leave_line(work)
    elif work.stage is Stage.OFFERED:
        core.end_offer(work, OfferEnd.REVOKED, reason)
    elif work.agent_id:
        return core.release(work, reason).id
    return ""


def held_by(core: Core, interaction_id: str, agent_id: str) -> Work | str:
    """The interaction, if the agent holds it; otherwise why not."""
    work = core.works.get(interaction_id)
    if work is None:
        return UNKNOWN_INTERACTION
    if work.stage is Stage.WRAP_UP:
        return INTERACTION_COMPLETED if work.agent_id == agent_id else NOT_YOURS
    if work.stage is not Stage.ASSIGNED:
        return NOT_ASSIGNED
    return work if work.agent_id == agent_id else NOT_YOURS


def record_reply(core: Core, command: cmd.RecordReply) -> str:
    """The holder replied; the text goes another way."""
    work = held_by(core, command.interaction_id, command.agent_id)
    if isinstance(work, str):
        return work
    first, work.replied = not work.replied, True
    epoch = core.event_number(work, "AGENT_REPLY")
    core.effects.append(fx.Replied(work.facts, epoch, "AGENT_REPLY", command.agent_id, command.reply_id, first))
    return ""


def complete(core: Core, command: cmd.CompleteInteraction) -> str:
    """The holder is done. Wrap-up, if the queue has one, keeps his capacity until it ends."""
    work = held_by(core, command.interaction_id, command.agent_id)
    if isinstance(work, str):
        return work
    queue = core.queue_of(work)
    until = core.now + queue.wrap_up_ms if queue is not None and queue.wrap_up_ms else 0
    epoch = core.event_number(work, "COMPLETED")
    core.effects.append(
        fx.Completed(work.facts, epoch, "COMPLETED", command.agent_id, command.disposition, work.assigned_at, until)
    )
    _remember_agent(core, work)
    if until:
        work.stage, work.wrap_until = Stage.WRAP_UP, until
        core.timers.arm(until, Timer.WRAP_UP, work.id)
        core.tell(core.agents[command.agent_id], assignment_notice(work))
    else:
        core.release(work, "COMPLETED")
        core.drop(work)
    return ""


def _remember_agent(core: Core, work: Work) -> None:
    person = work.facts.person_id
    if not person or core.config is None or not any(queue.sticky_ms for queue in core.config.queues):
        return
    last = core.last_agent
    if last.pop(person, None) is None and len(last) >= _PERSONS_KEPT:
        oldest = next(iter(last))  # insertion order is that of the last writes, also after a restore
        del last[oldest]
        core.dirty["p", oldest] = None
    last[person] = work.agent_id
    core.dirty["p", person] = None


def end_wrap_up(core: Core, command: cmd.EndWrapUp) -> str:
    """The agent finished wrapping up before the time."""
    work = core.works.get(command.interaction_id)
    if work is None:
        return UNKNOWN_INTERACTION
    if work.stage is not Stage.WRAP_UP:
        return "NOT_WRAPPING_UP"
    if work.agent_id != command.agent_id:
        return NOT_YOURS
    finish_wrap_up(core, work, "AGENT")
    return ""


def finish_wrap_up(core: Core, work: Work, reason: str) -> None:
    """Wrap-up ends, and with it the interaction."""
    agent_id = work.agent_id
    epoch = core.event_number(work, reason)
    core.effects.append(fx.WrapUpEnded(work.facts, epoch, reason, agent_id))
    core.release(work, "WRAP_UP_ENDED")
    core.drop(work)


def transfer(core: Core, command: cmd.TransferInteraction) -> str:
    """Hand on to a queue, an agent, or both. The giver is not asked again."""
    work = core.works.get(command.interaction_id)
    if work is None:
        return UNKNOWN_INTERACTION
    if work.stage is Stage.WRAP_UP:
        return INTERACTION_COMPLETED
    if command.agent_id:
        mine = held_by(core, command.interaction_id, command.agent_id)
        if isinstance(mine, str):
            return mine
    if core.config is None or (command.queue and command.queue not in core.config.by_name):
        return UNKNOWN_QUEUE
    if command.to_agent_id:
        refusal = _refuse_target(core, work, core.agents.get(command.to_agent_id))
        if refusal:
            return refusal
    giver = _detach(core, work, "TRANSFERRED")
    if command.queue:
        work.facts = _with(work.facts, queue=command.queue)
    epoch = core.event_number(work, "TRANSFERRED")
    core.effects.append(fx.Transferred(work.facts, epoch, "TRANSFERRED", giver, work.facts.queue, command.to_agent_id))
    work.reserved_for, work.reserved_until = command.to_agent_id, 0
    if giver:
        work.declined[giver] = -core.agents[giver].sign_in
    work.declined.pop(command.to_agent_id, None)
    core.wait_again(work)
    core.enter(work, "TRANSFERRED", again=True)
    return ""


def _refuse_target(core: Core, work: Work, target: Agent | None) -> str:
    if target is None:
        return UNKNOWN_AGENT
    if target.id == work.agent_id:
        return "SAME_AGENT"
    if not core.offerable(target) and not target.offers:
        return "AGENT_NOT_AVAILABLE"
    if target.kind.capacity.refusal((), work.facts.channel):
        return "CHANNEL_NOT_SERVED"
    return ""


def reroute(core: Core, command: cmd.Reroute) -> str:
    """A supervisor moves work, waiting or assigned."""
    work = core.works.get(command.interaction_id)
    if work is None:
        return UNKNOWN_INTERACTION
    if work.stage is Stage.WRAP_UP:
        return INTERACTION_COMPLETED
    if command.queue and (core.config is None or command.queue not in core.config.by_name):
        return UNKNOWN_QUEUE
    giver = _detach(core, work, "REROUTED")
    queue = command.queue or work.facts.queue
    needs = work.facts.requirements if command.requirements is None else command.requirements
    work.facts = _with(work.facts, queue=queue, requirements=needs)
    if giver:
        epoch = core.event_number(work, "REROUTED")
        core.effects.append(fx.Transferred(work.facts, epoch, "REROUTED", giver, queue, ""))
    else:
        _changed(core, work, "REROUTED")
        core.dirty["i", work.id] = None
    work.reserved_for, work.reserved_until = "", 0
    if giver:
        core.wait_again(work)
    work.enqueued_at = core.now
    core.enter(work, "REROUTED", again=True)
    return ""


def reprioritise(core: Core, command: cmd.Reprioritise) -> str:
    """Raise or lower the priority."""
    work = core.works.get(command.interaction_id)
    if work is None:
        return UNKNOWN_INTERACTION
    if work.stage is Stage.WRAP_UP:
        return INTERACTION_COMPLETED
    priority = max(-_MOST_URGENT, min(_MOST_URGENT, work.facts.priority + command.add))
    core.change(work, priority=priority)
    _changed(core, work, command.reason or "REPRIORITISED")
    return ""


def requeue_held(core: Core, agent: Agent, reason: str) -> None:
    """What a lost agent holds is routed again, as old as it is; his wrap-ups end."""
    for interaction_id in sorted(agent.held):
        work = core.works[interaction_id]
        if work.stage is Stage.WRAP_UP:
            finish_wrap_up(core, work, reason)
            continue
        core.release(work, reason)
        work.waiting_since = core.now
        core.enter(work, reason, again=True)
