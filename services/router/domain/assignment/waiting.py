"""The place of a waiting interaction: in the line where it belongs now, until the time at which it will belong to another line."""

from services.policy.model.eligibility import served_too
from services.policy.model.routing import OverflowRule, QueueConfig, Trigger
from services.router.domain import effects as fx
from services.router.domain.assignment.exclusions import is_excluded, wake_times
from services.router.domain.assignment.requirements import requirements_now, without_preference
from services.router.domain.model import Stage
from services.router.domain.pool.capacity import EMPTY
from services.router.domain.pool.index import RequirementSet
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent, Interaction
from services.router.domain.pool.timers import Timer


def due_at(queue: QueueConfig, interaction: Interaction) -> int:
    """Return from when on it may be offered, by its queue's delay and match window."""
    return (
        0
        if interaction.handed_on
        else max(interaction.attributes.arrived_at_ms + queue.delay_ms, matched_at(queue, interaction))
    )


def matched_at(queue: QueueConfig, interaction: Interaction) -> int:
    """Return when the match window ends in which it entered its queue.

    Windows start at multiples of their length on the clock, so queues with the same window are matched together.
    """
    window = queue.match_window_ms
    return (interaction.enqueued_at // window + 1) * window if window and not interaction.handed_on else 0


def place(core: PoolState, interaction: Interaction) -> None:
    """Put an interaction into the line where it belongs now, unless the greatest number of agents is being asked already.

    Its timer is set to the time at which it will belong to another line.
    """
    interaction.stage = Stage.OFFERED if interaction.offers else Stage.WAITING
    interaction.line, interaction.wake_at = None, 0
    queue = core.queue_of(interaction)
    if queue is None:
        return
    if len(interaction.offers) >= max(1, queue.max_offers):
        if queue.overflow and not interaction.agent_id:
            _wake(core, interaction, _overflow_times(core, queue, interaction))
        return
    _end_preferences(core, queue, interaction)
    requirement_set, relaxes_at = _requirement_set(core, queue, interaction)
    if interaction.unasked and matched_at(queue, interaction) <= core.now:
        interaction.unasked = False
        core.asking[interaction.attributes.interaction_id] = None
        core.dirty["i", interaction.attributes.interaction_id] = None
    asleep = due_at(queue, interaction) > core.now
    line = core.lines.add(
        interaction,
        requirement_set,
        (
            interaction.attributes.channel,
            interaction.reserved_for,
            interaction.handed_on,
            len(interaction.offers),
            asleep,
        ),
    )
    if not asleep:
        core.stirred[line] = None
    if interaction.exclusions:
        core.excluding[interaction.attributes.interaction_id] = None
    wake = _wake_times(core, queue, interaction, asleep)
    if relaxes_at:
        wake.append(relaxes_at)
    _wake(core, interaction, wake)


def _wake(core: PoolState, interaction: Interaction, times: list[int]) -> None:
    """Set the interaction's timer to the first of these times."""
    if times:
        interaction.wake_at = min(times)
        core.timers.arm(interaction.wake_at, Timer.PLACE, interaction.attributes.interaction_id)


def _end_preferences(core: PoolState, queue: QueueConfig, interaction: Interaction) -> None:
    """End the reservation for an agent when there is no reason any more to wait for them, then the preference for a team."""
    since = core.now
    if interaction.reserved_for and not _still_kept(core, queue, interaction):
        since = min(core.now, interaction.reserved_until)  # which may have passed while an offer was open
        end_reservation(interaction)
        core.dirty["i", interaction.attributes.interaction_id] = None
    if interaction.attributes.preferred_team and not interaction.reserved_for:
        _prefer_team(core, queue, interaction, since)


def _requirement_set(core: PoolState, queue: QueueConfig, interaction: Interaction) -> tuple[RequirementSet, int]:
    """Return what is required of an agent now, and when that relaxes; 0: it does not."""
    age = core.now - interaction.enqueued_at
    relaxes_at = 0
    if not interaction.handed_on:
        schedule = core.lines.relaxation_schedule(queue, interaction.attributes.requirements)
        found, change = schedule.at(age, core.lines, core.roster)
        if change:
            relaxes_at = interaction.enqueued_at + change
        if not interaction.team_until:
            return found, relaxes_at
    # Computed last: a new requirement set may remove another one in which nothing waits yet.
    others = () if interaction.handed_on else served_too(queue.rings, age)
    key = (queue.name, requirements_now(queue, interaction, core.now), others)
    return core.lines.requirement_set(key, queue, core.roster), relaxes_at


def _wake_times(core: PoolState, queue: QueueConfig, interaction: Interaction, asleep: bool) -> list[int]:
    """Return when the interaction may belong to another line, for other reasons than its requirements."""
    wake = wake_times(core, queue, interaction) if interaction.exclusions else []
    if asleep:
        wake.append(due_at(queue, interaction))
        if interaction.unasked:
            wake.append(matched_at(queue, interaction))
    if interaction.team_until and not interaction.handed_on:
        wake.append(interaction.team_until)
    if interaction.reserved_for:
        wake.append(interaction.reserved_until)
    if queue.overflow and not interaction.agent_id:
        wake.extend(_overflow_times(core, queue, interaction))
    return wake


def short_of_staff(core: PoolState, queue: QueueConfig, rule: OverflowRule) -> bool:
    """Whether a rule on the number of agents at work holds now."""
    match rule.trigger:
        case Trigger.NO_AGENTS:
            return not core.staff(queue.name)
        case Trigger.AGENTS:
            return core.staff(queue.name) < rule.threshold
        case _:
            return False


def _overflow_times(core: PoolState, queue: QueueConfig, interaction: Interaction) -> list[int]:
    """Return when rules on waiting will be due; an interaction with a rule that is due already is noted for `overflow`."""
    times = []
    for rule in queue.overflow:
        if f"{queue.name}/{rule.name}" in interaction.overflowed:
            continue
        if not interaction.offers and short_of_staff(core, queue, rule):
            core.overdue[interaction.attributes.interaction_id] = None
        elif rule.trigger is Trigger.WAIT:
            at = interaction.enqueued_at + round(rule.threshold)
            if at > core.now:
                times.append(at)
            elif not (interaction.offers and rule.waits_for_offer):
                core.overdue[interaction.attributes.interaction_id] = None
    return times


def _still_kept(core: PoolState, queue: QueueConfig, interaction: Interaction) -> bool:
    agent = core.agents.get(interaction.reserved_for)
    if agent is None or interaction.reserved_until <= core.now:
        return False
    return _waits_for(core, queue, interaction, agent, asks_skills=not interaction.handed_on)


def _waits_for(
    core: PoolState, queue: QueueConfig, interaction: Interaction, agent: Agent, *, asks_skills: bool
) -> bool:
    """Whether it makes sense to wait for an agent: they have a session, though they may be busy, and would be asked."""
    if not core.at_desk(agent) or agent.id == interaction.agent_id or is_excluded(core, interaction, agent):
        return False
    if not agent.group.capacity.fits(EMPTY, interaction.attributes.channel):
        return False
    if not asks_skills:
        return True
    others = served_too(queue.rings, core.now - interaction.enqueued_at)
    return agent.group.serves(queue.name, without_preference(queue, interaction, core.now), others)


def end_reservation(interaction: Interaction) -> None:
    """End the reservation: any eligible agent may get the interaction."""
    interaction.reserved_for, interaction.reserved_until, interaction.handed_on = "", 0, False


def _prefer_team(core: PoolState, queue: QueueConfig, interaction: Interaction, since: int) -> None:
    """Start the team's time when the agent's time ends, or end it: when it is over, or no agent of the team is there to wait for."""
    team = interaction.attributes.preferred_team
    started = interaction.team_until or since + queue.sticky_team_ms
    members = (core.agents[agent_id] for agent_id in sorted(core.teams.get(team, ())))
    if started > core.now and any(_waits_for(core, queue, interaction, agent, asks_skills=True) for agent in members):
        if not interaction.team_until:
            interaction.team_until = started
            core.dirty["i", interaction.attributes.interaction_id] = None
        return
    interaction.team_until = 0
    core.refit(interaction, preferred_team="")


def leave_line(core: PoolState, interaction: Interaction) -> None:
    """Take an interaction out of its line, if it is in one."""
    if interaction.line is not None:
        core.lines.remove(interaction)
        if core.excluding:
            core.excluding.pop(interaction.attributes.interaction_id, None)
    interaction.wake_at = 0


def enter(core: PoolState, interaction: Interaction, reason: str, *, again: bool) -> None:
    """Queue an interaction that was not in this queue before: it gets its key, counts as demand, and rules on entering are asked."""
    queue = core.queue_of(interaction)
    if queue is not None:
        known = core.histories.get(queue.name)
        interaction.shift_ms = known.shift_ms if known is not None else 0.0
        interaction.key = core.key_of(interaction, queue)
        if core.watches_demand:
            core.history(queue.name).arrived(core.now)
    interaction.unasked = queue is not None and matched_at(queue, interaction) > core.now
    if not interaction.unasked and queue is not None and queue.overflow:
        core.asking[interaction.attributes.interaction_id] = None
    come_back(core, interaction, reason, again=again)


def come_back(core: PoolState, interaction: Interaction, reason: str, *, again: bool = True) -> None:
    """Queue an interaction and announce it. Position and estimate are filled in when it is known whether an agent was free."""
    place(core, interaction)
    epoch = core.event_number(interaction, reason)
    if core.quiet and not again and not core.announces:
        return
    # `dispatch.announce` fills in the position and the estimate before the effects leave the engine.
    queued = fx.Queued(interaction.attributes, epoch, reason, 0, -1, again)
    core.entered.append((interaction, queued))
    core.effects.append(queued)


def prefer(core: PoolState, interaction: Interaction) -> None:
    """Keep it for the agent it asks for, or the person's last agent, and then for their team."""
    queue = core.queue_of(interaction)
    if queue is None:
        return
    last = core.last_agent.get(interaction.attributes.person_id, "")
    if queue.sticky_ms:
        preferred = interaction.attributes.preferred_agent or last
        if preferred:
            interaction.reserved_for, interaction.reserved_until = preferred, core.now + queue.sticky_ms
    if queue.sticky_team_ms and not interaction.attributes.preferred_team and last in core.agents:
        core.refit(interaction, preferred_team=core.agents[last].profile.team)


def schedule(core: PoolState, interaction: Interaction, at_ms: int, reason: str) -> None:
    """Schedule an interaction: nothing happens to it before a time, and neither its waiting time nor its queue's clock runs until then."""
    interaction.waited = interaction.waited_ms(core.now)
    interaction.waiting_since = core.now
    interaction.stage, interaction.not_before = Stage.SCHEDULED, at_ms
    queue = core.queue_of(interaction)
    if queue is not None:
        interaction.key = core.key_of(
            interaction, queue
        )  # it may be assigned to an agent, and come back, before its time
    watch_schedule(core, interaction)
    epoch = core.event_number(interaction, reason)
    core.effects.append(fx.Scheduled(interaction.attributes, epoch, reason, at_ms))


def watch_schedule(core: PoolState, interaction: Interaction) -> None:
    """Set the timer of a scheduled interaction."""
    interaction.wake_at = interaction.not_before
    core.timers.arm(interaction.wake_at, Timer.PLACE, interaction.attributes.interaction_id)


def place_due(core: PoolState, interaction: Interaction) -> None:
    """Handle the timer of a waiting or scheduled interaction: it belongs to another line now, or begins to wait."""
    if interaction.stage is Stage.SCHEDULED:
        interaction.not_before = 0
        interaction.enqueued_at += core.now - interaction.waiting_since
        interaction.waiting_since = core.now
        if interaction.callback:
            come_back(core, interaction, "CALLBACK_DUE")
        else:
            prefer(core, interaction)
            enter(core, interaction, "SCHEDULE_DUE", again=False)
        return
    leave_line(core, interaction)
    place(core, interaction)


def wait_again(core: PoolState, interaction: Interaction) -> None:
    """Queue an interaction again: selectors expire from now on. The time that it has waited so far is kept."""
    interaction.waited = interaction.waited_ms(core.now)
    interaction.waiting_since = core.now
    interaction.enqueued_at = core.now


def change(core: PoolState, interaction: Interaction, **fields: object) -> None:
    """Replace attributes; a waiting interaction is put where it belongs now."""
    in_line = interaction.line is not None
    if in_line:
        leave_line(core, interaction)
    core.refit(interaction, **fields)
    queue = core.queue_of(interaction)
    if queue is not None:
        interaction.key = core.key_of(interaction, queue)
    if in_line:
        place(core, interaction)


def look_again(core: PoolState, agent: Agent) -> None:
    """End reservations for this agent, or their team, if there is no reason any more to wait for them."""
    lines = list(core.lines.reserved.get(agent.id, ()))
    team = agent.profile.team
    if team:
        lines += [line for line in core.lines.filled if line.requirement_set.team == team]
    for line in lines:
        for interaction in [core.interactions[interaction_id] for _, _, interaction_id in line.ranks]:
            leave_line(core, interaction)
            place(core, interaction)
