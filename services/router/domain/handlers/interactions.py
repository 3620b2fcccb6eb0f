"""Commands about interactions. Each returns a reason code, empty when it was carried out."""

from dataclasses import replace
from typing import Final

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.assignment import awaiting, waiting
from services.router.domain.assignment.ledger import drop, release, withdraw
from services.router.domain.assignment.parking import assignment_notice
from services.router.domain.assignment.waiting import enter, schedule
from services.router.domain.model import Stage
from services.router.domain.pool.departures import depart
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Interaction
from services.router.domain.pool.timers import Timer
from services.router.domain.reasons import Reason

MOST_URGENT: Final = 1_000_000  # escalations add up; the contract's number is 32 bits wide
_SENT: Final = 1
"""The contract's REPLY_STATE_SENT."""
LONGEST_SCHEDULE_MS: Final = 366 * 86_400_000


def enqueue(core: PoolState, command: cmd.Enqueue) -> str:
    """Queue a new interaction. It is never refused for its queue: an unknown queue is replaced by the pool's first, and an interaction for a queue
    of another pool goes there, as the caller may not know the newest configuration yet."""
    attributes, now = command.attributes, core.now
    if attributes.interaction_id in core.interactions or attributes.interaction_id in core.moved:
        return Reason.ALREADY_OPEN
    latest = now + LONGEST_SCHEDULE_MS
    arrived_at = attributes.arrived_at_ms
    # An edge whose clock is ahead must not gain or lose a place because of it.
    if not 0 < arrived_at <= now:
        arrived_at = now
    start_at = min(attributes.start_at_ms, latest) if attributes.start_at_ms > now else 0
    if start_at:
        arrived_at = start_at
    priority = max(-MOST_URGENT, min(MOST_URGENT, attributes.priority))
    if (arrived_at, start_at, priority) != (attributes.arrived_at_ms, attributes.start_at_ms, attributes.priority):
        attributes = replace(attributes, arrived_at_ms=arrived_at, start_at_ms=start_at, priority=priority)
    interaction = Interaction(
        attributes, Stage.WAITING, enqueued_at=now, waiting_since=now if start_at else attributes.arrived_at_ms
    )
    if _elsewhere(core, interaction, start_at):
        return ""
    core.interactions[attributes.interaction_id] = interaction
    reason = settle_queue(core, interaction) or ("ENQUEUED" if core.config is not None else Reason.NO_CONFIGURATION)
    if start_at:
        schedule(core, interaction, start_at, reason)
        return ""
    waiting.prefer(core, interaction)
    enter(core, interaction, reason, again=False)
    return ""


def _elsewhere(core: PoolState, interaction: Interaction, start_at: int) -> bool:
    """Hand a new interaction over to the pool of its queue, if that is another one."""
    config, wanted = core.config, interaction.attributes.queue
    if config is None or wanted in config.by_name:
        return False
    queue, pool = config.home(wanted)
    if not pool:
        return False
    if start_at:
        interaction.stage, interaction.not_before = Stage.SCHEDULED, start_at
    interaction.attributes = replace(interaction.attributes, queue=queue)
    depart(core, interaction, pool, "ENQUEUED" if queue == wanted else Reason.UNKNOWN_QUEUE)
    return True


def settle_queue(core: PoolState, interaction: Interaction) -> str:
    """Move an interaction of an unknown queue to the pool's first queue; return a reason when that happened."""
    config = core.config
    if config is None or not config.queues or interaction.attributes.queue in config.by_name:
        return ""
    core.refit(interaction, queue=config.queues[0].name)
    return Reason.UNKNOWN_QUEUE


def update(core: PoolState, command: cmd.UpdateInteraction) -> str:
    """Set labels of an interaction."""
    interaction = core.interactions.get(command.interaction_id)
    if interaction is None:
        return Reason.UNKNOWN_INTERACTION
    labels = dict(interaction.attributes.labels) | dict(command.labels)
    waiting.change(core, interaction, labels=tuple(sorted(labels.items())))
    changed(core, interaction, "UPDATED")
    return ""


def changed(core: PoolState, interaction: Interaction, reason: str) -> None:
    """Emit the event that an interaction has changed."""
    epoch = core.event_number(interaction, reason)
    core.effects.append(fx.Changed(interaction.attributes, epoch, reason))


def customer_messaged(core: PoolState, command: cmd.CustomerMessaged) -> str:
    """Record that the customer wrote again, and notify the holder."""
    interaction = core.interactions.get(command.interaction_id)
    if interaction is None:
        return Reason.UNKNOWN_INTERACTION
    if interaction.stage is Stage.WRAP_UP:
        return Reason.INTERACTION_COMPLETED
    about, message_id, automatic = interaction.attributes, command.message_id, command.automatic
    epoch = core.event_number(interaction, "CUSTOMER_MESSAGE")
    core.effects.append(fx.CustomerMessaged(about, epoch, "CUSTOMER_MESSAGE", message_id, automatic))
    if interaction.replies and not automatic:  # an absence notice of the customer's mailbox is not an answer
        awaiting.answered(core, interaction)
    _notify_holder(core, interaction, fx.CustomerNotice(about.interaction_id, message_id, False, automatic))
    return ""


def _notify_holder(core: PoolState, interaction: Interaction, notice: fx.CustomerNotice) -> None:
    holder = core.agents.get(interaction.agent_id)
    if holder is not None:
        core.notify(holder, notice)


def customer_left(core: PoolState, command: cmd.CustomerLeft) -> str:
    """Record that the customer left: a waiting interaction is abandoned; the holder of an assigned one is notified."""
    interaction = core.interactions.get(command.interaction_id)
    if interaction is None:
        return Reason.UNKNOWN_INTERACTION
    if interaction.stage is Stage.WRAP_UP:
        return Reason.INTERACTION_COMPLETED
    if interaction.agent_id:
        about = interaction.attributes
        epoch = core.event_number(interaction, "CUSTOMER_LEFT")
        core.effects.append(fx.CustomerLeft(about, epoch, "CUSTOMER_LEFT"))
        _notify_holder(core, interaction, fx.CustomerNotice(about.interaction_id, "", True))
        return ""
    if interaction.callback:
        return "CALLBACK_REQUESTED"
    scheduled = interaction.stage is Stage.SCHEDULED
    withdraw(core, interaction, "CUSTOMER_LEFT")
    waited = 0 if scheduled else interaction.waited_ms(core.now)
    epoch = core.event_number(interaction, "CUSTOMER_LEFT")
    core.effects.append(fx.Abandoned(interaction.attributes, epoch, "CUSTOMER_LEFT", waited))
    drop(core, interaction)
    if not scheduled:
        _count_abandoned(core, interaction, waited)
    return ""


def _count_abandoned(core: PoolState, interaction: Interaction, waited: int) -> None:
    queue = interaction.attributes.queue
    first = interaction.answered_in != queue
    core.count(queue)[2] += first
    known = core.config.by_name.get(queue) if core.config is not None else None
    if first and known is not None:
        core.begin_minute(known)
    core.history(queue).abandoned(core.now, waited, left_waiting=core.lines.anything_waits(queue), counts=first)


def request_callback(core: PoolState, command: cmd.RequestCallback) -> str:
    """Schedule a callback: the customer hangs up and keeps their place, or gets it back at a time."""
    interaction = core.interactions.get(command.interaction_id)
    if interaction is None:
        return Reason.UNKNOWN_INTERACTION
    if (interaction.stage is not Stage.WAITING and interaction.stage is not Stage.OFFERED) or interaction.agent_id:
        return Reason.NOT_WAITING
    if command.at_ms > core.now + LONGEST_SCHEDULE_MS:
        return Reason.TOO_FAR_AHEAD
    interaction.callback = True
    labels = dict(interaction.attributes.labels) | {"callback": "requested"}
    if command.at_ms <= core.now:
        waiting.change(core, interaction, labels=tuple(sorted(labels.items())))
        changed(core, interaction, "CALLBACK_REQUESTED")
        return ""
    withdraw(core, interaction, "CALLBACK_REQUESTED")
    core.refit(interaction, labels=tuple(sorted(labels.items())))
    schedule(core, interaction, command.at_ms, "CALLBACK_REQUESTED")
    return ""


def cancel(core: PoolState, command: cmd.CancelInteraction) -> str:
    """Cancel an interaction by order of another system, at any stage."""
    interaction = core.interactions.get(command.interaction_id)
    if interaction is None:
        return Reason.UNKNOWN_INTERACTION
    if interaction.stage is Stage.WRAP_UP:
        return Reason.INTERACTION_COMPLETED
    reason = command.reason or "CANCELLED"
    detach(core, interaction, reason)
    epoch = core.event_number(interaction, reason)
    core.effects.append(fx.Cancelled(interaction.attributes, epoch, reason))
    drop(core, interaction)
    return ""


def detach(core: PoolState, interaction: Interaction, reason: str) -> str:
    """Take an interaction away from its line, its offers and its holder; return the holder."""
    withdraw(core, interaction, reason)
    return release(core, interaction, reason).id if interaction.agent_id else ""


def held_by(core: PoolState, interaction_id: str, agent_id: str) -> Interaction | str:
    """Return the interaction if the agent holds it, or is transferring it warm; otherwise the reason code."""
    interaction = core.interactions.get(interaction_id)
    if interaction is None:
        return Reason.UNKNOWN_INTERACTION
    if interaction.stage is Stage.WRAP_UP:
        return Reason.INTERACTION_COMPLETED if interaction.agent_id == agent_id else Reason.NOT_YOURS
    if not interaction.agent_id:
        return Reason.NOT_ASSIGNED
    return interaction if interaction.agent_id == agent_id else Reason.NOT_YOURS


def record_reply(core: PoolState, command: cmd.RecordReply) -> str:
    """Record that the holder replied; the text itself takes another way."""
    interaction = held_by(core, command.interaction_id, command.agent_id)
    if isinstance(interaction, str):
        return interaction
    first, interaction.replied = not interaction.replied, True
    epoch = core.event_number(interaction, "AGENT_REPLY")
    core.effects.append(
        fx.Replied(
            interaction.attributes,
            epoch,
            "AGENT_REPLY",
            command.agent_id,
            command.reply_id,
            first,
            command.awaits_outcome,
        )
    )
    awaiting.written(core, interaction, command.reply_id, sent=not command.awaits_outcome)
    return ""


def record_reply_outcome(core: PoolState, command: cmd.RecordReplyOutcome) -> str:
    """Record what became of a reply, and notify the agent who wrote it, whether or not they still hold the interaction."""
    about, reply_id, delivery_id = command.interaction_id, command.reply_id, command.delivery_id
    state, failure, retryable = command.state, command.failure, command.retryable
    writer = core.agents.get(command.agent_id)
    if writer is not None:
        core.notify(writer, fx.ReplyNotice(about, reply_id, delivery_id, state, failure, retryable))
    interaction = core.interactions.get(about)
    if interaction is None:
        return Reason.UNKNOWN_INTERACTION
    epoch = core.event_number(interaction, "REPLY_OUTCOME")
    core.effects.append(
        fx.ReplyOutcome(
            interaction.attributes,
            epoch,
            "REPLY_OUTCOME",
            command.agent_id,
            reply_id,
            delivery_id,
            state,
            failure,
            retryable,
        )
    )
    awaiting.settled(core, interaction, reply_id, sent=state == _SENT)
    return ""


def complete(core: PoolState, command: cmd.CompleteInteraction) -> str:
    """Complete an interaction by its holder. Wrap-up, if the queue has one, takes their capacity until it ends."""
    interaction = held_by(core, command.interaction_id, command.agent_id)
    if isinstance(interaction, str):
        return interaction
    queue = core.queue_of(interaction)
    if queue is not None and not command.disposition and queue.needs_disposition(interaction.attributes.channel):
        return Reason.DISPOSITION_REQUIRED
    withdraw(core, interaction, "COMPLETED")
    wraps_up = queue is not None and queue.wrap_up_ms and not interaction.parked  # a parked interaction has no wrap-up
    until = core.now + queue.wrap_up_ms if queue is not None and wraps_up else 0
    epoch = core.event_number(interaction, "COMPLETED")
    core.effects.append(
        fx.Completed(
            interaction.attributes,
            epoch,
            "COMPLETED",
            command.agent_id,
            command.disposition,
            interaction.assigned_at,
            until,
        )
    )
    remember_agent(core, interaction)
    if until:
        interaction.stage, interaction.wrap_until = Stage.WRAP_UP, until
        core.timers.arm(until, Timer.WRAP_UP, interaction.attributes.interaction_id)
        awaiting.follow(core, interaction)
        core.notify(core.agents[command.agent_id], assignment_notice(interaction))
    else:
        release(core, interaction, "COMPLETED")
        drop(core, interaction)
    return ""


def remember_agent(core: PoolState, interaction: Interaction) -> None:
    """Note who served the person last, if any queue asks this agent first."""
    person = interaction.attributes.person_id
    if (
        not person
        or core.config is None
        or not any(queue.sticky_ms or queue.sticky_team_ms for queue in core.config.queues)
    ):
        return
    last = core.last_agent
    if last.pop(person, None) is None and len(last) >= core.limits.persons_kept:
        oldest = next(iter(last))  # insertion order is the order of the last writes, also after a restore
        del last[oldest]
        core.dirty["p", oldest] = None
    last[person] = interaction.agent_id
    core.dirty["p", person] = None


def end_wrap_up(core: PoolState, command: cmd.EndWrapUp) -> str:
    """End wrap-up early, by the agent."""
    interaction = core.interactions.get(command.interaction_id)
    if interaction is None:
        return Reason.UNKNOWN_INTERACTION
    if interaction.stage is not Stage.WRAP_UP:
        return Reason.NOT_WRAPPING_UP
    if interaction.agent_id != command.agent_id:
        return Reason.NOT_YOURS
    finish_wrap_up(core, interaction, "AGENT")
    return ""


def finish_wrap_up(core: PoolState, interaction: Interaction, reason: str) -> None:
    """End wrap-up, and close the interaction."""
    agent_id = interaction.agent_id
    epoch = core.event_number(interaction, reason)
    core.effects.append(fx.WrapUpEnded(interaction.attributes, epoch, reason, agent_id))
    release(core, interaction, "WRAP_UP_ENDED")
    drop(core, interaction)
