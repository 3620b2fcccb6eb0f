"""The place of a waiting interaction: in the line where it belongs now, until the time at which it will belong to another line."""

from services.router.domain import effects as fx
from services.router.domain.capacity import EMPTY
from services.router.domain.eligibility import needed, served_too
from services.router.domain.model import Operator, QueueConfig, Selector, Stage, Trigger
from services.router.domain.pool import Core
from services.router.domain.state import Agent, Work
from services.router.domain.timers import Timer


def requirements_now(queue: QueueConfig, work: Work, now: int) -> tuple[Selector, ...]:
    """Return what is required of an agent now; nothing of an agent to whom it was transferred by name."""
    if work.handed_on:
        return ()
    found = _without_preference(queue, work, now)
    if work.team_until:
        found += (Selector("team", Operator.EQUAL, text=work.facts.preferred_team),)
    return found


def _without_preference(queue: QueueConfig, work: Work, now: int) -> tuple[Selector, ...]:
    own = work.facts.requirements
    wanted = queue.requirements + own if own else queue.requirements
    return needed(wanted, queue.rings, now - work.enqueued_at)


def due_at(queue: QueueConfig, work: Work) -> int:
    """Return from when on it may be offered, by its queue's delay and match window."""
    return 0 if work.handed_on else max(work.facts.arrived_at_ms + queue.delay_ms, matched_at(queue, work))


def matched_at(queue: QueueConfig, work: Work) -> int:
    """Return when the match window ends in which it entered its queue.

    Windows start at multiples of their length on the clock, so queues with the same window are matched together.
    """
    window = queue.match_window_ms
    return (work.enqueued_at // window + 1) * window if window and not work.handed_on else 0


def place(core: Core, work: Work) -> None:
    """Put an interaction into the line where it belongs now, unless the greatest number of agents is being asked already.

    Its timer is set to the time at which it will belong to another line.
    """
    work.stage = Stage.OFFERED if work.offers else Stage.WAITING
    work.line, work.wake_at = None, 0
    queue = core.queue_of(work)
    if queue is None or len(work.offers) >= max(1, queue.max_offers):
        return
    now, facts = core.now, work.facts
    since = now
    if work.reserved_for and not _still_kept(core, queue, work):
        since = min(now, work.reserved_until)  # which may have passed while an offer was open
        end_reservation(work)
        core.dirty["i", facts.interaction_id] = None
    if facts.preferred_team and not work.reserved_for:
        _prefer_team(core, queue, work, since)
        facts = work.facts
    age = now - work.enqueued_at
    change = 0
    if not work.handed_on:
        need, change = core.lines.wants(queue, facts.requirements).at(age, core.lines, core.roster)
    if work.handed_on or work.team_until:
        # Computed last: a new need may remove another one in which nothing waits yet.
        others = () if work.handed_on else served_too(queue.rings, age)
        need = core.lines.need((queue.name, requirements_now(queue, work, now), others), queue, core.roster)
    asleep = due_at(queue, work) > now
    if work.unasked and matched_at(queue, work) <= now:
        work.unasked = False
        core.asking[facts.interaction_id] = None
        core.dirty["i", facts.interaction_id] = None
    line = core.lines.add(work, need, (facts.channel, work.reserved_for, work.handed_on, len(work.offers), asleep))
    if not asleep:
        core.stirred[line] = None
    wake = [until for until in work.declined.values() if until > now]
    if asleep:
        wake.append(due_at(queue, work))
        if work.unasked:
            wake.append(matched_at(queue, work))
    if not work.handed_on:
        if change:
            wake.append(work.enqueued_at + change)
        if work.team_until:
            wake.append(work.team_until)
    if work.reserved_for:
        wake.append(work.reserved_until)
    if queue.overflow and not work.agent_id:
        wake.extend(_overflow_times(core, queue, work))
    if wake:
        work.wake_at = min(wake)
        core.timers.arm(work.wake_at, Timer.PLACE, facts.interaction_id)


def _overflow_times(core: Core, queue: QueueConfig, work: Work) -> list[int]:
    """Return when rules on waiting will be due; an interaction with a rule that is due already is noted for `overflow`."""
    times = []
    for rule in queue.overflow:
        if rule.trigger is Trigger.WAIT and f"{queue.name}/{rule.name}" not in work.overflowed:
            at = work.enqueued_at + round(rule.threshold)
            if at > core.now:
                times.append(at)
            elif not work.offers:
                core.overdue[work.facts.interaction_id] = None
    return times


def _still_kept(core: Core, queue: QueueConfig, work: Work) -> bool:
    agent = core.agents.get(work.reserved_for)
    if agent is None or work.reserved_until <= core.now:
        return False
    return _waits_for(core, queue, work, agent, asks_skills=not work.handed_on)


def _waits_for(core: Core, queue: QueueConfig, work: Work, agent: Agent, *, asks_skills: bool) -> bool:
    """Whether it makes sense to wait for an agent: they have a session, though they may be busy, and would be asked."""
    if not core.at_desk(agent) or agent.kind is None or core.declines(work, agent) or core.gives(work, agent):
        return False
    if not agent.kind.capacity.fits(EMPTY, work.facts.channel):
        return False
    if not asks_skills:
        return True
    others = served_too(queue.rings, core.now - work.enqueued_at)
    return bool(agent.kind.serves(queue.name, _without_preference(queue, work, core.now), others))


def end_reservation(work: Work) -> None:
    """End the reservation: the interaction is kept for no agent."""
    work.reserved_for, work.reserved_until, work.handed_on = "", 0, False


def _prefer_team(core: Core, queue: QueueConfig, work: Work, since: int) -> None:
    """Start the team's time when the agent's time ends, or end it: when it is over, or no agent of the team is there to wait for."""
    team = work.facts.preferred_team
    started = work.team_until or since + queue.sticky_team_ms
    members = (core.agents[agent_id] for agent_id in sorted(core.teams.get(team, ())))
    if started > core.now and any(_waits_for(core, queue, work, agent, asks_skills=True) for agent in members):
        if not work.team_until:
            work.team_until = started
            core.dirty["i", work.facts.interaction_id] = None
        return
    work.team_until = 0
    core.refit(work, preferred_team="")


def leave_line(core: Core, work: Work) -> None:
    """Take an interaction out of its line, if it is in one."""
    if work.line is not None:
        core.lines.remove(work)
    work.wake_at = 0


def enter(core: Core, work: Work, reason: str, *, again: bool) -> None:
    """Queue an interaction that was not in this queue before: it gets its key, counts as demand, and rules on entering are asked."""
    queue = core.queue_of(work)
    if queue is not None:
        known = core.histories.get(queue.name)
        work.stretch = known.multiplier if known is not None else 1.0
        work.key = core.key_of(work, queue)
        if core.watches_demand:
            core.history(queue.name).arrived(core.now)
    work.unasked = queue is not None and matched_at(queue, work) > core.now
    if not work.unasked:
        core.asking[work.facts.interaction_id] = None
    come_back(core, work, reason, again=again)


def come_back(core: Core, work: Work, reason: str, *, again: bool = True) -> None:
    """Queue an interaction and announce it. Position and estimate are filled in when it is known whether an agent was free."""
    place(core, work)
    epoch = core.event_number(work, reason)
    # `dispatch.announce` fills in the position and the estimate before the effects leave the engine.
    untold = fx.Queued(work.facts, epoch, reason, 0, -1, again)
    core.entered.append((work, untold))
    core.effects.append(untold)


def prefer(core: Core, work: Work) -> None:
    """Keep it for the agent it asks for, or the person's last agent, and then for their team."""
    queue = core.queue_of(work)
    if queue is None:
        return
    last = core.last_agent.get(work.facts.person_id, "")
    if queue.sticky_ms:
        preferred = work.facts.preferred_agent or last
        if preferred:
            work.reserved_for, work.reserved_until = preferred, core.now + queue.sticky_ms
    if queue.sticky_team_ms and not work.facts.preferred_team and last in core.agents:
        core.refit(work, preferred_team=core.agents[last].profile.team)


def schedule(core: Core, work: Work, at_ms: int, reason: str) -> None:
    """Schedule an interaction: nothing happens to it before a time, and neither its waiting time nor its queue's clock runs until then."""
    work.waited = work.waited_ms(core.now)
    work.waiting_since = core.now
    work.stage, work.not_before = Stage.SCHEDULED, at_ms
    queue = core.queue_of(work)
    if queue is not None:
        work.key = core.key_of(work, queue)  # it may be assigned to an agent, and come back, before its time
    watch_schedule(core, work)
    epoch = core.event_number(work, reason)
    core.effects.append(fx.Scheduled(work.facts, epoch, reason, at_ms))


def watch_schedule(core: Core, work: Work) -> None:
    """Set the timer of a scheduled interaction."""
    work.wake_at = work.not_before
    core.timers.arm(work.wake_at, Timer.PLACE, work.facts.interaction_id)


def place_due(core: Core, work: Work) -> None:
    """Handle the timer of a waiting or scheduled interaction: it belongs to another line now, or begins to wait."""
    if work.stage is Stage.SCHEDULED:
        work.not_before = 0
        work.enqueued_at += core.now - work.waiting_since
        work.waiting_since = core.now
        if work.callback:
            come_back(core, work, "CALLBACK_DUE")
        else:
            prefer(core, work)
            enter(core, work, "SCHEDULE_DUE", again=False)
        return
    leave_line(core, work)
    place(core, work)


def wait_again(core: Core, work: Work) -> None:
    """Queue an interaction again: selectors expire from now on. The time that it has waited so far is kept."""
    work.waited = work.waited_ms(core.now)
    work.waiting_since = core.now
    work.enqueued_at = core.now


def change(core: Core, work: Work, **fields: object) -> None:
    """Replace attributes; a waiting interaction is put where it belongs now."""
    in_line = work.line is not None
    if in_line:
        leave_line(core, work)
    core.refit(work, **fields)
    queue = core.queue_of(work)
    if queue is not None:
        work.key = core.key_of(work, queue)
    if in_line:
        place(core, work)


def look_again(core: Core, agent: Agent) -> None:
    """Release what is kept for this agent, or their team, if there is no reason any more to wait for them."""
    lines = list(core.lines.reserved.get(agent.id, ()))
    team = agent.profile.team
    if team:
        lines += [line for line in core.lines.filled if line.need.team == team]
    for line in lines:
        for work in [line.at(i) for i in range(len(line.ranks))]:
            leave_line(core, work)
            place(core, work)
