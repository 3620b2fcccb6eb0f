"""Transfers, by agents and supervisors: to a queue, to requirements, to an agent. Each returns a reason code, empty when it was carried out."""

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain import waiting
from services.router.domain.causes import causes, only_of_the_desk
from services.router.domain.eligibility import carried_over
from services.router.domain.holding import hold, release, withdraw
from services.router.domain.interactions import (
    INTERACTION_COMPLETED,
    MOST_URGENT,
    UNKNOWN_AGENT,
    UNKNOWN_INTERACTION,
    UNKNOWN_QUEUE,
    changed,
    detach,
    finish_wrap_up,
    held_by,
    settle_queue,
)
from services.router.domain.model import QueueConfig, Selector, Stage
from services.router.domain.parking import park, plan
from services.router.domain.pool import Core
from services.router.domain.state import Agent, Work

NOT_WAITING = "NOT_WAITING"


def _open(core: Core, interaction_id: str) -> Work | str:
    work = core.works.get(interaction_id)
    if work is None:
        return UNKNOWN_INTERACTION
    return INTERACTION_COMPLETED if work.stage is Stage.WRAP_UP else work


def transfer(core: Core, command: cmd.TransferInteraction) -> str:
    """Transfer an interaction. The transferring agent is not asked again; in a warm transfer they hold it until another agent has accepted."""
    work = _open(core, command.interaction_id)
    if isinstance(work, str):
        return work
    if command.agent_id or command.warm:
        mine = held_by(core, command.interaction_id, command.agent_id)
        if isinstance(mine, str):
            return mine
    if command.warm and work.stage is not Stage.ASSIGNED:
        return "ALREADY_HANDED_ON"
    if command.warm and work.parked:
        return "PARKED"
    config = core.config
    if config is None or (command.queue and command.queue not in config.by_name):
        return UNKNOWN_QUEUE
    queue = config.by_name.get(command.queue or work.facts.queue)
    if queue is None:
        return UNKNOWN_QUEUE
    if command.to_agent_id:
        refusal = _refuse_target(core, work, core.agents.get(command.to_agent_id))
        if refusal:
            return refusal
    giver = work.agent_id
    if command.warm:
        work.enqueued_at += core.now - work.assigned_at
    else:
        detach(core, work, "TRANSFERRED")
    _rewrite(core, work, queue.name, command.requirements, command.labels)
    work.reserved_for = command.to_agent_id
    work.reserved_until = core.now + queue.transfer_hold_ms if command.to_agent_id else 0
    work.handed_on = bool(command.to_agent_id)
    work.team_until, work.not_before = 0, 0
    if giver:
        work.giver = (giver, core.agents[giver].sign_in)
    work.declined.pop(command.to_agent_id, None)
    if work.giver[0] == command.to_agent_id:
        work.giver = ("", 0)
    if command.warm:
        work.unasked = False
        changed(core, work, "WARM_TRANSFER")
        work.enqueued_at = core.now
        work.key = core.key_of(work, queue)
        waiting.place(core, work)
        return ""
    epoch = core.event_number(work, "TRANSFERRED")
    core.effects.append(fx.Transferred(work.facts, epoch, "TRANSFERRED", giver, queue.name, command.to_agent_id))
    waiting.wait_again(core, work)
    waiting.enter(core, work, "TRANSFERRED", again=True)
    return ""


def _rewrite(
    core: Core,
    work: Work,
    queue: str,
    requirements: tuple[Selector, ...] | None,
    labels: tuple[tuple[str, str], ...] = (),
) -> None:
    old = core.queue_of(work)
    own = carried_over(work.facts.requirements, old.rings if old is not None else (), core.now - work.enqueued_at)
    merged = tuple(sorted((dict(work.facts.labels) | dict(labels)).items()))
    core.refit(
        work, queue=queue, requirements=own if requirements is None else requirements, labels=merged, preferred_team=""
    )


def _refuse_target(core: Core, work: Work, target: Agent | None) -> str:
    if target is None:
        return UNKNOWN_AGENT
    if target.id == work.agent_id:
        return "SAME_AGENT"
    if not core.at_desk(target):
        return "AGENT_NOT_AVAILABLE"
    if target.kind.capacity.refusal((), work.facts.channel):
        return "CHANNEL_NOT_SERVED"
    return ""


def recall(core: Core, command: cmd.RecallTransfer) -> str:
    """Take back a warm transfer, by the transferring agent."""
    work = held_by(core, command.interaction_id, command.agent_id)
    if isinstance(work, str):
        return work
    if work.stage is Stage.ASSIGNED:
        return "NOT_HANDED_ON"
    withdraw(core, work, "TRANSFER_RECALLED")
    work.stage = Stage.ASSIGNED
    waiting.end_reservation(work)
    work.giver, work.unasked = ("", 0), False
    changed(core, work, "TRANSFER_RECALLED")
    return ""


def reroute(core: Core, command: cmd.Reroute) -> str:
    """Move an interaction, waiting or assigned, by a supervisor."""
    work = _open(core, command.interaction_id)
    if isinstance(work, str):
        return work
    if command.queue and (core.config is None or command.queue not in core.config.by_name):
        return UNKNOWN_QUEUE
    if command.waiting_only and work.agent_id:
        return NOT_WAITING
    giver = detach(core, work, "REROUTED")
    queue = command.queue or work.facts.queue
    _rewrite(core, work, queue, command.requirements)
    more = tuple(selector for selector in command.added if selector not in work.facts.requirements)
    if more:
        core.refit(work, requirements=work.facts.requirements + more)
    if giver:
        epoch = core.event_number(work, "REROUTED")
        core.effects.append(fx.Transferred(work.facts, epoch, "REROUTED", giver, queue, ""))
    else:
        changed(core, work, "REROUTED")
    waiting.end_reservation(work)
    work.team_until = 0
    if work.stage is Stage.SCHEDULED:
        waiting.watch_schedule(core, work)
        return ""
    if giver:
        waiting.wait_again(core, work)
    work.enqueued_at = core.now
    waiting.enter(core, work, "REROUTED", again=True)
    return ""


def reprioritise(core: Core, command: cmd.Reprioritise) -> str:
    """Raise or lower the priority, or set the time until which it is to be picked up."""
    work = _open(core, command.interaction_id)
    if isinstance(work, str):
        return work
    priority = max(-MOST_URGENT, min(MOST_URGENT, work.facts.priority + command.add))
    due_at = command.due_at_ms if command.due_at_ms > 0 else work.facts.due_at_ms
    waiting.change(core, work, priority=priority, due_at_ms=due_at)
    changed(core, work, command.reason or "REPRIORITISED")
    return ""


def assign(core: Core, command: cmd.AssignInteraction) -> str:
    """Assign a waiting interaction to an agent without an offer.

    Unless forced, the agent must be able to take it; that they declined it before does not count.
    """
    work = _open(core, command.interaction_id)
    if isinstance(work, str):
        return work
    agent = core.agents.get(command.agent_id)
    if agent is None:
        return UNKNOWN_AGENT
    if work.stage is Stage.ASSIGNED or agent.id == work.agent_id:
        return NOT_WAITING
    queue = core.queue_of(work)
    if queue is None:
        return UNKNOWN_QUEUE
    if agent.session_id == "":
        return "AGENT_NOT_SIGNED_IN"
    mine = agent.id in work.offers
    refusals = [
        c.code for c in causes(core, agent, work, queue) if not only_of_the_desk(c.code) and c.code not in _OF_CAPACITY
    ]
    full = "" if mine else agent.kind.capacity.refusal(agent.load, work.facts.channel)
    aside = plan(core, agent, work.facts.channel) if full else None
    if full and aside is None:
        refusals.append(full)
    if command.picked and not refusals and _kept_free(core, work, queue, agent):
        refusals.append("KEPT_FREE")
    if refusals and not command.force:
        return refusals[0]
    withdraw(core, work, "ASSIGNED")
    for other in aside or ():
        park(core, other, work)
    reason = "FORCED" if refusals else "PICKED" if command.picked else "SUPERVISOR"
    hold(core, work, agent, reason, over=bool(full) and aside is None)
    return ""


def _kept_free(core: Core, work: Work, queue: QueueConfig, picker: Agent) -> bool:
    """Whether all agents who could take it are kept free for more urgent queues."""
    if not queue.keep_free or work.reserved_for:
        return False
    others = (agent for agent in core.agents.values() if agent is not picker)
    able = 1 + sum(1 for agent in others if next(causes(core, agent, work, queue), None) is None)
    return able <= queue.keep_free


_OF_CAPACITY = frozenset({"NO_CAPACITY", "CHANNEL_FULL", "EXCLUSIVE_CHANNEL", "CHANNEL_NOT_SERVED"})


def requeue_held(core: Core, agent: Agent, reason: str) -> None:
    """Route again, with its old age, what a lost agent holds. Their wrap-ups end; what they were transferring warm goes on without them."""
    for interaction_id in sorted(agent.held):
        work = core.works[interaction_id]
        if work.stage is Stage.WRAP_UP:
            finish_wrap_up(core, work, reason)
            continue
        warm = work.stage is not Stage.ASSIGNED
        release(core, work, reason)
        work.waiting_since = core.now
        if not warm:
            waiting.come_back(core, work, reason)
            continue
        waiting.leave_line(core, work)
        waiting.place(core, work)
        changed(core, work, reason)


def resettle(core: Core) -> None:
    """Move interactions that wait in a queue that no longer exists to the pool's first queue, after a configuration change."""
    for interaction_id in sorted(core.works):
        work = core.works[interaction_id]
        if core.config is None or not core.config.queues or work.facts.queue in core.config.by_name:
            continue
        if work.stage is Stage.WAITING and not work.agent_id:
            waiting.leave_line(core, work)
            settle_queue(core, work)
            waiting.enter(core, work, UNKNOWN_QUEUE, again=True)
        else:
            waiting.leave_line(core, work)
            settle_queue(core, work)
            if work.stage in (Stage.WAITING, Stage.OFFERED):
                waiting.place(core, work)
