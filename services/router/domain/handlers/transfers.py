"""Transfers, by agents and supervisors: to a queue, to requirements, to an agent. Each returns a reason code, empty when it was carried out."""

from services.policy.model.eligibility import carried_over
from services.policy.model.routing import QueueConfig, Selector
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.assignment import awaiting, waiting
from services.router.domain.assignment.exclusions import exclude, readmit
from services.router.domain.assignment.ineligibility import ineligibility, only_of_the_desk
from services.router.domain.assignment.ledger import hold, release, withdraw
from services.router.domain.assignment.parking import park, plan
from services.router.domain.handlers.interactions import (
    MOST_URGENT,
    changed,
    detach,
    finish_wrap_up,
    held_by,
)
from services.router.domain.model import ExclusionReason, Stage
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent, Interaction
from services.router.domain.reasons import Reason


def _open(core: PoolState, interaction_id: str) -> Interaction | str:
    interaction = core.interactions.get(interaction_id)
    if interaction is None:
        return Reason.UNKNOWN_INTERACTION
    return Reason.INTERACTION_COMPLETED if interaction.stage is Stage.WRAP_UP else interaction


def transfer(core: PoolState, command: cmd.TransferInteraction) -> str:
    """Transfer an interaction. The transferring agent is not asked again; in a warm transfer they hold it until another agent has accepted."""
    interaction = _open(core, command.interaction_id)
    if isinstance(interaction, str):
        return interaction
    if command.agent_id or command.warm:
        mine = held_by(core, command.interaction_id, command.agent_id)
        if isinstance(mine, str):
            return mine
    if command.warm and interaction.stage is not Stage.ASSIGNED:
        return Reason.ALREADY_HANDED_ON
    if command.warm and interaction.parked:
        return "PARKED"
    config = core.config
    if config is None or (command.queue and command.queue not in config.by_name):
        return Reason.UNKNOWN_QUEUE
    queue = config.by_name.get(command.queue or interaction.attributes.queue)
    if queue is None:
        return Reason.UNKNOWN_QUEUE
    if command.to_agent_id:
        refusal = _refuse_target(core, interaction, core.agents.get(command.to_agent_id))
        if refusal:
            return refusal
    transferring_agent = interaction.agent_id
    if command.warm:
        interaction.enqueued_at += core.now - interaction.assigned_at
    else:
        detach(core, interaction, "TRANSFERRED")
        if transferring_agent:
            interaction.answered_in = ""  # it enters a queue again
    _rewrite(core, interaction, queue.name, command.requirements, command.labels)
    interaction.reserved_for = command.to_agent_id
    interaction.reserved_until = core.now + queue.transfer_hold_ms if command.to_agent_id else 0
    interaction.handed_on = bool(command.to_agent_id)
    interaction.team_until, interaction.not_before = 0, 0
    if transferring_agent:
        known = core.agents[transferring_agent]
        exclude(core, interaction, known, ExclusionReason.TRANSFERRING_AGENT, -known.sign_in)
    readmit(core, interaction, command.to_agent_id)
    if command.warm:
        interaction.unasked = False
        changed(core, interaction, "WARM_TRANSFER")
        interaction.enqueued_at = core.now
        interaction.key = core.key_of(interaction, queue)
        waiting.place(core, interaction)
        awaiting.follow(core, interaction)
        return ""
    epoch = core.event_number(interaction, "TRANSFERRED")
    core.effects.append(
        fx.Transferred(
            interaction.attributes, epoch, "TRANSFERRED", transferring_agent, queue.name, command.to_agent_id
        )
    )
    waiting.wait_again(core, interaction)
    waiting.enter(core, interaction, "TRANSFERRED", again=True)
    return ""


def _rewrite(
    core: PoolState,
    interaction: Interaction,
    queue: str,
    requirements: tuple[Selector, ...] | None,
    labels: tuple[tuple[str, str], ...] = (),
) -> None:
    old = core.queue_of(interaction)
    own = carried_over(
        interaction.attributes.requirements, old.rings if old is not None else (), core.now - interaction.enqueued_at
    )
    merged = tuple(sorted((dict(interaction.attributes.labels) | dict(labels)).items()))
    core.refit(
        interaction,
        queue=queue,
        requirements=own if requirements is None else requirements,
        labels=merged,
        preferred_team="",
    )


def _refuse_target(core: PoolState, interaction: Interaction, target: Agent | None) -> str:
    if target is None:
        return Reason.UNKNOWN_AGENT
    if target.id == interaction.agent_id:
        return Reason.SAME_AGENT
    if not core.at_desk(target):
        return Reason.AGENT_NOT_AVAILABLE
    if target.group.capacity.refusal((), interaction.attributes.channel):
        return "CHANNEL_NOT_SERVED"
    return ""


def recall(core: PoolState, command: cmd.RecallTransfer) -> str:
    """Take back a warm transfer, by the transferring agent."""
    interaction = held_by(core, command.interaction_id, command.agent_id)
    if isinstance(interaction, str):
        return interaction
    if interaction.stage is Stage.ASSIGNED:
        return Reason.NOT_HANDED_ON
    withdraw(core, interaction, "TRANSFER_RECALLED")
    interaction.stage = Stage.ASSIGNED
    waiting.end_reservation(interaction)
    readmit(core, interaction, command.agent_id)
    interaction.unasked = False
    awaiting.begin_again(core, interaction)
    changed(core, interaction, "TRANSFER_RECALLED")
    return ""


def reroute(core: PoolState, command: cmd.Reroute) -> str:
    """Move an interaction, waiting or assigned, by a supervisor."""
    interaction = _open(core, command.interaction_id)
    if isinstance(interaction, str):
        return interaction
    if command.queue and (core.config is None or command.queue not in core.config.by_name):
        return Reason.UNKNOWN_QUEUE
    if command.waiting_only and interaction.agent_id:
        return Reason.NOT_WAITING
    holder = detach(core, interaction, "REROUTED")
    if holder:
        exclude(core, interaction, core.agents[holder], ExclusionReason.TAKEN_AWAY)
    queue = command.queue or interaction.attributes.queue
    _rewrite(core, interaction, queue, command.requirements)
    more = tuple(selector for selector in command.added if selector not in interaction.attributes.requirements)
    if more:
        core.refit(interaction, requirements=interaction.attributes.requirements + more)
    if holder:
        epoch = core.event_number(interaction, "REROUTED")
        core.effects.append(fx.Transferred(interaction.attributes, epoch, "REROUTED", holder, queue, ""))
    else:
        changed(core, interaction, "REROUTED")
    waiting.end_reservation(interaction)
    interaction.team_until = 0
    if interaction.stage is Stage.SCHEDULED:
        waiting.watch_schedule(core, interaction)
        return ""
    if holder:
        waiting.wait_again(core, interaction)
    interaction.enqueued_at = core.now
    waiting.enter(core, interaction, "REROUTED", again=True)
    return ""


def reprioritise(core: PoolState, command: cmd.Reprioritise) -> str:
    """Raise or lower the priority, or set the time until which it is to be picked up."""
    interaction = _open(core, command.interaction_id)
    if isinstance(interaction, str):
        return interaction
    priority = max(-MOST_URGENT, min(MOST_URGENT, interaction.attributes.priority + command.add))
    due_at = command.due_at_ms if command.due_at_ms > 0 else interaction.attributes.due_at_ms
    waiting.change(core, interaction, priority=priority, due_at_ms=due_at)
    changed(core, interaction, command.reason or "REPRIORITISED")
    return ""


def assign(core: PoolState, command: cmd.AssignInteraction) -> str:
    """Assign a waiting interaction to an agent without an offer.

    Unless forced, the agent must be able to take it; that they declined it before does not count.
    """
    interaction = _open(core, command.interaction_id)
    if isinstance(interaction, str):
        return interaction
    agent = core.agents.get(command.agent_id)
    if agent is None:
        return Reason.UNKNOWN_AGENT
    if interaction.stage is Stage.ASSIGNED or agent.id == interaction.agent_id:
        return Reason.NOT_WAITING
    queue = core.queue_of(interaction)
    if queue is None:
        return Reason.UNKNOWN_QUEUE
    if agent.session_id == "":
        return Reason.AGENT_NOT_SIGNED_IN
    mine = agent.id in interaction.offers
    refusals = [
        c.code
        for c in ineligibility(core, agent, interaction, queue)
        if not only_of_the_desk(c.code) and c.code not in _OF_CAPACITY
    ]
    full = "" if mine else agent.group.capacity.refusal(agent.load, interaction.attributes.channel)
    aside = plan(core, agent, interaction.attributes.channel) if full else None
    if full and aside is None:
        refusals.append(full)
    if command.picked and not refusals and _kept_free(core, interaction, queue, agent):
        refusals.append("KEPT_FREE")
    if refusals and not command.force:
        return refusals[0]
    withdraw(core, interaction, "ASSIGNED", next_holder=agent.id)
    for other in aside or ():
        park(core, other, interaction)
    reason = "FORCED" if refusals else "PICKED" if command.picked else "SUPERVISOR"
    hold(core, interaction, agent, reason, over=bool(full) and aside is None)
    return ""


def _kept_free(core: PoolState, interaction: Interaction, queue: QueueConfig, picker: Agent) -> bool:
    """Whether all agents who could take it are kept free for more urgent queues."""
    if not queue.keep_free or interaction.reserved_for:
        return False
    others = (agent for agent in core.agents.values() if agent is not picker)
    able = 1 + sum(1 for agent in others if next(ineligibility(core, agent, interaction, queue), None) is None)
    return able <= queue.keep_free


_OF_CAPACITY = frozenset({"NO_CAPACITY", "CHANNEL_FULL", "EXCLUSIVE_CHANNEL", "CHANNEL_NOT_SERVED"})


def requeue_held(core: PoolState, agent: Agent, reason: str) -> None:
    """Route again, with its old age, what a lost agent holds. Their wrap-ups end; what they were transferring warm goes on without them."""
    for interaction_id in sorted(agent.held):
        interaction = core.interactions[interaction_id]
        if interaction.stage is Stage.WRAP_UP:
            finish_wrap_up(core, interaction, reason)
            continue
        warm = interaction.stage is not Stage.ASSIGNED
        release(core, interaction, reason)
        interaction.waiting_since = core.now
        if not warm:
            waiting.come_back(core, interaction, reason)
            continue
        waiting.leave_line(core, interaction)
        waiting.place(core, interaction)
        changed(core, interaction, reason)
