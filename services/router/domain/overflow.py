"""Rules for interactions that wait too long or enter a queue that is too long.

Each rule fires at most once for an interaction, so every chain of rules ends.
"""

from typing import Final

from services.router.domain import effects as fx
from services.router.domain.eligibility import carried_over
from services.router.domain.model import OverflowRule, QueueConfig, Stage, Trigger
from services.router.domain.pool import Core
from services.router.domain.state import Work
from services.router.domain.waiting import end_reservation, enter, leave_line, place

_MOST_URGENT: Final = 1_000_000


def ask(core: Core) -> None:
    """Apply the rules on entering to the most urgent interaction that entered a queue and found no free agent.

    What a rule changes is offered before the next interaction is checked.
    """
    waiting = [work for i in core.asking if (work := core.works.get(i)) is not None and _just_waits(work)]
    if not waiting:
        core.asking.clear()
        return
    work = min(waiting, key=lambda w: w.line.urgency(w.line.index(w), core.now))
    del core.asking[work.id]
    queue = core.queue_of(work)
    assert queue is not None  # an interaction in a line has a queue
    for rule in queue.overflow:
        if _fired(queue, rule, work) or not _holds(core, queue, rule, work):
            continue
        if _apply(core, work, queue, rule):
            return


def _just_waits(work: Work) -> bool:
    return work.stage is Stage.WAITING and work.line is not None and not work.agent_id


def apply_due(core: Core) -> None:
    """Apply the rules on waiting that are due, in the order of their times."""
    while core.overdue:
        interaction_id = next(iter(core.overdue))
        del core.overdue[interaction_id]
        work = core.works.get(interaction_id)
        queue = core.queue_of(work) if work is not None else None
        if work is None or queue is None or work.stage is not Stage.WAITING:
            continue
        waited = core.now - work.enqueued_at
        for rule in sorted(queue.overflow, key=lambda r: r.threshold):
            due = rule.trigger is Trigger.WAIT and round(rule.threshold) <= waited
            if due and not _fired(queue, rule, work) and _apply(core, work, queue, rule):
                break


def _fired(queue: QueueConfig, rule: OverflowRule, work: Work) -> bool:
    return f"{queue.name}/{rule.name}" in work.overflowed


def _holds(core: Core, queue: QueueConfig, rule: OverflowRule, work: Work) -> bool:
    match rule.trigger:
        case Trigger.LENGTH:
            return core.lines.waiting(queue.name) > rule.threshold
        case Trigger.ESTIMATE:
            return work.announced[0] - work.waited_ms(core.now) > rule.threshold
        case Trigger.SERVICE_LEVEL:
            history = core.histories.get(queue.name)
            level = history.level if history is not None else None
            return level is not None and level < rule.threshold
        case _:
            return False


def _apply(core: Core, work: Work, queue: QueueConfig, rule: OverflowRule) -> bool:
    """Do what the rule says; return True when the interaction is no longer in this queue."""
    assert core.config is not None
    work.overflowed = (*work.overflowed, f"{queue.name}/{rule.name}")
    leave_line(core, work)
    if rule.cancel:
        epoch = core.event_number(work, "OVERFLOW")
        core.effects.append(fx.Cancelled(work.facts, epoch, "OVERFLOW"))
        del core.works[work.id]
        return True
    moves = bool(rule.queue) and rule.queue != queue.name and rule.queue in core.config.by_name
    own = work.facts.requirements
    if moves:
        own = carried_over(own, queue.rings, core.now - work.enqueued_at)
        end_reservation(work)
        work.team_until = 0
    own = rule.requirements if rule.replace_requirements else own + rule.requirements
    priority = work.facts.priority if rule.set_priority is None else rule.set_priority
    priority = max(-_MOST_URGENT, min(_MOST_URGENT, priority + rule.add_priority))
    core.refit(work, queue=rule.queue if moves else queue.name, requirements=own, priority=priority)
    if moves:
        core.refit(work, preferred_team="")
    epoch = core.event_number(work, rule.trigger.name)
    core.effects.append(fx.Overflowed(work.facts, epoch, rule.trigger.name, queue.name, rule.name))
    if not moves:
        place(core, work)
        return False
    work.enqueued_at = core.now
    core.asking.pop(work.id, None)
    enter(core, work, "OVERFLOWED", again=True)
    return True
