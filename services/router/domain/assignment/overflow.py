"""Rules for interactions that wait too long or enter a queue that is too long.

Each rule fires at most once for an interaction, so every chain of rules ends.
"""

from typing import Final

from services.policy.model.eligibility import carried_over
from services.policy.model.routing import OverflowRule, QueueConfig, Trigger
from services.router.domain import effects as fx
from services.router.domain.assignment.ledger import withdraw
from services.router.domain.assignment.waiting import end_reservation, enter, leave_line, place, short_of_staff
from services.router.domain.model import Stage
from services.router.domain.pool.index import Rank
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Interaction

_MOST_URGENT: Final = 1_000_000


def ask(core: PoolState) -> None:
    """Apply the rules on entering to the most urgent interaction that entered a queue and found no free agent.

    What a rule changes is offered before the next interaction is checked.
    """
    waiting = [
        interaction
        for i in core.asking
        if (interaction := core.interactions.get(i)) is not None and _just_waits(interaction)
    ]
    if not waiting:
        core.asking.clear()
        return
    interaction = min(waiting, key=lambda each: _urgency(core, each))
    del core.asking[interaction.id]
    queue = core.queue_of(interaction)
    assert queue is not None  # an interaction in a line has a queue
    for rule in queue.overflow:
        if _fired(queue, rule, interaction) or not _holds(core, queue, rule, interaction):
            continue
        if _apply(core, interaction, queue, rule):
            return


def _urgency(core: PoolState, interaction: Interaction) -> Rank:
    line = interaction.line
    assert line is not None
    return line.urgency(line.index(interaction.rank), core.now)


def _just_waits(interaction: Interaction) -> bool:
    return interaction.stage is Stage.WAITING and interaction.line is not None and not interaction.agent_id


def note_staffing(core: PoolState) -> None:
    """Note what waits in queues that have too few agents since the number of agents at work has changed, oldest first."""
    core.staffing.changed = False
    if core.config is None or not core.asks_staff:
        return
    short = {q.name for q in core.config.queues if any(short_of_staff(core, q, rule) for rule in q.overflow)}
    waiting = [
        each
        for each in core.interactions.values()
        if each.attributes.queue in short and each.stage is Stage.WAITING and not each.agent_id
    ]
    waiting.sort(key=lambda each: (each.attributes.arrived_at_ms, each.id))
    core.overdue.update((each.id, None) for each in waiting)


def apply_due(core: PoolState) -> None:
    """Apply the rules on waiting and on staffing that are due, in the order of their times."""
    while core.overdue:
        interaction_id = next(iter(core.overdue))
        del core.overdue[interaction_id]
        interaction = core.interactions.get(interaction_id)
        queue = core.queue_of(interaction) if interaction is not None else None
        if interaction is None or queue is None or interaction.agent_id:
            continue
        if interaction.stage is not Stage.WAITING and interaction.stage is not Stage.OFFERED:
            continue
        waited = core.now - interaction.enqueued_at
        for rule in sorted(queue.overflow, key=lambda r: r.threshold):
            if rule.trigger is Trigger.WAIT:
                due = round(rule.threshold) <= waited and not (interaction.offers and rule.waits_for_offer)
            else:
                due = short_of_staff(core, queue, rule) and not interaction.offers
            if due and not _fired(queue, rule, interaction) and _apply(core, interaction, queue, rule):
                break


def _fired(queue: QueueConfig, rule: OverflowRule, interaction: Interaction) -> bool:
    return f"{queue.name}/{rule.name}" in interaction.overflowed


def _holds(core: PoolState, queue: QueueConfig, rule: OverflowRule, interaction: Interaction) -> bool:
    match rule.trigger:
        case Trigger.LENGTH:
            return core.lines.waiting(queue.name) > rule.threshold
        case Trigger.ESTIMATE if interaction.announced[0] < 0:
            return rule.unknown_too
        case Trigger.ESTIMATE:
            return interaction.announced[0] - interaction.waited_ms(core.now) > rule.threshold
        case Trigger.SERVICE_LEVEL:
            history = core.histories.get(queue.name)
            level = history.level if history is not None else None
            return level is not None and level < rule.threshold
        case _:
            return False


def _apply(core: PoolState, interaction: Interaction, queue: QueueConfig, rule: OverflowRule) -> bool:
    """Do what the rule says; return True when the interaction is no longer in this queue. Its offers are revoked then."""
    assert core.config is not None
    interaction.overflowed = (*interaction.overflowed, f"{queue.name}/{rule.name}")
    moves = bool(rule.queue) and rule.queue != queue.name and rule.queue in core.config.by_name
    if moves or rule.cancel:
        withdraw(core, interaction, "OVERFLOW")
    else:
        leave_line(core, interaction)
    if rule.cancel:
        epoch = core.event_number(interaction, "OVERFLOW")
        core.effects.append(fx.Cancelled(interaction.attributes, epoch, "OVERFLOW"))
        del core.interactions[interaction.id]
        return True
    own = interaction.attributes.requirements
    if moves:
        own = carried_over(own, queue.rings, core.now - interaction.enqueued_at)
        end_reservation(interaction)
        interaction.team_until = 0
    own = rule.requirements if rule.replace_requirements else own + rule.requirements
    priority = interaction.attributes.priority if rule.set_priority is None else rule.set_priority
    priority = max(-_MOST_URGENT, min(_MOST_URGENT, priority + rule.add_priority))
    core.refit(interaction, queue=rule.queue if moves else queue.name, requirements=own, priority=priority)
    if moves:
        core.refit(interaction, preferred_team="")
    epoch = core.event_number(interaction, rule.trigger.name)
    core.effects.append(fx.Overflowed(interaction.attributes, epoch, rule.trigger.name, queue.name, rule.name))
    if not moves:
        place(core, interaction)
        return False
    interaction.enqueued_at = core.now
    core.asking.pop(interaction.id, None)
    enter(core, interaction, "OVERFLOWED", again=True)
    return True
