"""Finds a queue for work whose queue was removed or moved: no work stays in a queue that the configuration in force does not have here."""

from dataclasses import replace
from typing import Final

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.assignment import awaiting, waiting
from services.router.domain.assignment.ledger import drop, withdraw
from services.router.domain.handlers.interactions import changed, detach, settle_queue
from services.router.domain.model import Stage
from services.router.domain.pool.departures import depart
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Interaction
from services.router.domain.reasons import Reason

QUEUE_REMOVED: Final = "QUEUE_REMOVED"
"""The reason of events of work whose queue was removed."""
QUEUE_MOVED: Final = "QUEUE_MOVED"
"""The reason of events of work whose queue is in another pool now."""


def resettle(core: PoolState) -> None:
    """Move the work of queues that are not in this pool: with its queue, or to the first queue of the pool or the tenant; the oldest first.

    Nothing of it is lost, and no customer loses their turn: the age and the clock of its former queue go on.
    """
    config = core.config
    if config is None:
        return
    astray = [each for each in core.interactions.values() if each.attributes.queue not in config.by_name]
    for interaction in sorted(astray, key=lambda each: (each.attributes.arrived_at_ms, each.id)):
        queue, pool = config.home(interaction.attributes.queue)
        if pool:
            _to_pool(core, interaction, queue, pool)
        elif config.queues:
            _to_first_queue(core, interaction)


def _to_first_queue(core: PoolState, interaction: Interaction) -> None:
    """An offer was made by the rules of the former queue, so it is revoked, and the new queue decides again."""
    withdraw(core, interaction, QUEUE_REMOVED)
    settle_queue(core, interaction)
    queue = core.queue_of(interaction)
    assert queue is not None
    interaction.key = core.key_of(interaction, queue)
    match interaction.stage:
        case Stage.WAITING | Stage.OFFERED if not interaction.agent_id:
            waiting.enter(core, interaction, QUEUE_REMOVED, again=True)
        case Stage.WAITING | Stage.OFFERED:  # a warm transfer: its agent still holds it
            waiting.place(core, interaction)
            changed(core, interaction, QUEUE_REMOVED)
        case Stage.SCHEDULED:
            waiting.watch_schedule(core, interaction)
            changed(core, interaction, QUEUE_REMOVED)
        case Stage.ASSIGNED:
            awaiting.watch(core, interaction)
            changed(core, interaction, QUEUE_REMOVED)
        case Stage.WRAP_UP:
            pass  # the customer has been served


def _to_pool(core: PoolState, interaction: Interaction, queue: str, pool: str) -> None:
    """An agent of this pool cannot hold work of another one, so what an agent holds is routed again there."""
    if interaction.stage is Stage.WRAP_UP:
        return  # the customer has been served, and the agent's wrap-up ends here
    reason = QUEUE_MOVED if queue == interaction.attributes.queue else QUEUE_REMOVED
    holder = detach(core, interaction, reason)
    core.refit(interaction, queue=queue, preferred_team="")
    if holder:
        epoch = core.event_number(interaction, reason)
        core.effects.append(fx.Transferred(interaction.attributes, epoch, reason, holder, queue, ""))
    else:
        changed(core, interaction, reason)
    depart(core, interaction, pool, reason)
    drop(core, interaction)


def receive(core: PoolState, command: cmd.ReceiveInteraction) -> str:
    """Take over an interaction that another pool has handed over: it waits here, with its age and its clock."""
    attributes, config = command.attributes, core.config
    if attributes.interaction_id in core.interactions:
        return Reason.ALREADY_OPEN
    if core.moved.pop(attributes.interaction_id, None) is not None:
        core.dirty["m", attributes.interaction_id] = None
    interaction = Interaction(
        attributes,
        Stage.SCHEDULED if command.not_before else Stage.WAITING,
        enqueued_at=command.enqueued_at,
        waiting_since=command.waiting_since,
        waited=command.waited,
        epoch=command.epoch,
        replied=command.replied,
        callback=command.callback,
        not_before=command.not_before,
        overflowed=command.overflowed,
        answered_in=command.answered_in,
    )
    if config is not None and config.version > command.version and attributes.queue not in config.by_name:
        queue, pool = config.home(attributes.queue)
        if pool:  # moved once more meanwhile; only a newer version decides so, or two pools could pass it to each other for ever
            interaction.attributes = replace(attributes, queue=queue)
            depart(core, interaction, pool, command.reason)
            return ""
    core.interactions[attributes.interaction_id] = interaction
    reason = QUEUE_REMOVED if settle_queue(core, interaction) else command.reason
    if command.not_before:
        waiting.schedule(core, interaction, command.not_before, reason)
        return ""
    if not command.epoch:
        waiting.prefer(core, interaction)
    waiting.enter(core, interaction, reason, again=command.epoch > 0)
    return ""
