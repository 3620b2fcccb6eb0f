"""Where work waits: in the line where it belongs now, until a time at which it will belong to another."""

from dataclasses import replace

from services.router.domain import effects as fx
from services.router.domain.eligibility import needed, next_change, served_too
from services.router.domain.model import AgentState, Operator, QueueConfig, Selector, Stage, Trigger
from services.router.domain.pool import Core
from services.router.domain.state import Work
from services.router.domain.timers import Timer


def requirements_now(queue: QueueConfig, work: Work, now: int) -> tuple[Selector, ...]:
    """What is asked of an agent now; nothing of one to whom it was handed by name."""
    if work.handed_on:
        return ()
    found = needed(queue.requirements + work.facts.requirements, queue.rings, now - work.enqueued_at)
    if work.facts.preferred_team and now < team_until(queue, work):
        found += (Selector("team", Operator.EQUAL, text=work.facts.preferred_team),)
    return found


def team_until(queue: QueueConfig, work: Work) -> int:
    """Until when the preferred team is asked alone."""
    return work.enqueued_at + queue.sticky_ms + queue.sticky_team_ms if queue.sticky_team_ms else 0


def due_at(queue: QueueConfig, work: Work) -> int:
    """From when on it may be offered, by its queue's delay."""
    return 0 if work.handed_on else work.facts.arrived_at_ms + queue.delay_ms


def place(core: Core, work: Work) -> None:
    """Let work wait in the line where it belongs now, unless as many agents are being asked as may be; its timer is set to when it will belong to
    another."""
    work.stage = Stage.OFFERED if work.offers else Stage.WAITING
    work.line, work.wake_at = None, 0
    queue = core.queue_of(work)
    if queue is None or len(work.offers) >= max(1, queue.max_offers):
        return
    now, facts = core.now, work.facts
    if work.reserved_for and not _still_kept(core, queue, work):
        _end_reservation(core, work)
    age = now - work.enqueued_at
    others = served_too(queue.rings, age) if queue.rings else ()
    need = core.lines.need((queue.name, requirements_now(queue, work, now), others), queue, core.roster)
    asleep = due_at(queue, work) > now
    line = core.lines.add(work, need, (facts.channel, work.reserved_for, work.handed_on, len(work.offers), asleep))
    if not asleep:
        core.stirred[line] = None
    wake = [until for until in work.declined.values() if until > now]
    if asleep:
        wake.append(due_at(queue, work))
    if not work.handed_on:
        change = next_change(queue.requirements + facts.requirements, queue.rings, age)
        if change is not None:
            wake.append(work.enqueued_at + change)
        if facts.preferred_team and (until := team_until(queue, work)) > now:
            wake.append(until)
    if work.reserved_for:
        wake.append(work.reserved_until)
    if queue.overflow and not work.agent_id:
        wake.extend(_overflow_times(core, queue, work))
    if wake:
        work.wake_at = min(wake)
        core.timers.arm(work.wake_at, Timer.PLACE, facts.interaction_id)


def _overflow_times(core: Core, queue: QueueConfig, work: Work) -> list[int]:
    """When rules on waiting will be due; one that is due already is noted for `overflow`."""
    times = []
    for rule in queue.overflow:
        if rule.trigger is Trigger.WAIT and f"{queue.name}/{rule.name}" not in work.overflowed:
            at = work.enqueued_at + round(rule.threshold)
            if at > core.now:
                times.append(at)
            elif not work.offers:
                core.overdue[work.id] = None
    return times


def _still_kept(core: Core, queue: QueueConfig, work: Work) -> bool:
    agent = core.agents.get(work.reserved_for)
    if agent is None or agent.state is not AgentState.AVAILABLE or work.reserved_until <= core.now:
        return False
    if core.declines(work, agent) or agent.id == work.agent_id:
        return False
    if work.handed_on:
        return True
    age = core.now - work.enqueued_at
    wanted = needed(queue.requirements + work.facts.requirements, queue.rings, age)
    return agent.kind is not None and agent.kind.serves(queue.name, wanted, served_too(queue.rings, age))


def _end_reservation(core: Core, work: Work) -> None:
    work.reserved_for, work.reserved_until, work.handed_on = "", 0, False
    core.dirty["i", work.id] = None


def leave_line(core: Core, work: Work) -> None:
    """Take work out of its line, if it stands in one."""
    if work.line is not None:
        core.lines.remove(work)
    work.wake_at = 0


def enter(core: Core, work: Work, reason: str, *, again: bool) -> None:
    """Queue work and announce it; position and estimate are filled in when it is known whether somebody was free."""
    queue = core.queue_of(work)
    if queue is not None:
        work.key = core.key_of(work, queue)
        if core.watches_demand:
            core.history(queue.name).arrived(core.now)
    place(core, work)
    epoch = core.event_number(work, reason)
    core.entered.append((len(core.effects), work, reason, again, epoch))
    # The real event takes this place in `dispatch.announce`, before the effects leave the engine.
    core.effects.append(fx.Queued(work.facts, epoch, reason, 0, -1, again))


def schedule(core: Core, work: Work, at_ms: int, reason: str) -> None:
    """Nothing happens to it before a time."""
    work.stage, work.not_before = Stage.SCHEDULED, at_ms
    watch_schedule(core, work)
    epoch = core.event_number(work, reason)
    core.effects.append(fx.Scheduled(work.facts, epoch, reason, at_ms))


def watch_schedule(core: Core, work: Work) -> None:
    """Set the timer of scheduled work."""
    work.wake_at = work.not_before
    core.timers.arm(work.wake_at, Timer.PLACE, work.id)


def place_due(core: Core, work: Work) -> None:
    """The timer of waiting or scheduled work: it belongs to another line now, or begins to wait."""
    if work.stage is Stage.SCHEDULED:
        work.not_before = 0
        work.stage = Stage.WAITING
        wait_again(core, work)
        enter(core, work, "CALLBACK_DUE" if work.callback else "SCHEDULE_DUE", again=work.callback)
        return
    leave_line(core, work)
    place(core, work)


def wait_again(core: Core, work: Work) -> None:
    """It enters a queue anew: selectors expire from now on. What it has waited so far is kept."""
    work.waited = work.waited_ms(core.now)
    work.waiting_since = core.now
    work.enqueued_at = core.now


def change(core: Core, work: Work, **fields: object) -> None:
    """Replace facts; waiting work is put where it now belongs."""
    in_line = work.line is not None
    if in_line:
        leave_line(core, work)
    work.facts = replace(work.facts, **fields)  # type: ignore[arg-type]  # names and types are those of Facts
    core.dirty["i", work.id] = None
    if in_line:
        place(core, work)


def look_again(core: Core, agent_id: str) -> None:
    """What is kept for this agent goes to anyone, if there is no reason any more to keep it for him."""
    for line in list(core.lines.reserved.get(agent_id, ())):
        for work in [line.at(i) for i in range(len(line.ranks))]:
            leave_line(core, work)
            place(core, work)
