"""Finds a queue for work whose queue was removed: no work stays in a queue that the configuration in force does not have."""

from typing import Final

from services.router.domain.assignment import waiting
from services.router.domain.assignment.ledger import withdraw
from services.router.domain.handlers.interactions import changed, settle_queue
from services.router.domain.model import Stage
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Interaction

QUEUE_REMOVED: Final = "QUEUE_REMOVED"
"""The reason of events of work whose queue was removed."""


def resettle(core: PoolState) -> None:
    """Move the work of queues that the configuration no longer has to the pool's first queue, the oldest first.

    Nothing of it is lost, and no customer loses their turn: the age and the clock of its former queue go on.
    """
    config = core.config
    if config is None or not config.queues:
        return
    astray = [each for each in core.interactions.values() if each.attributes.queue not in config.by_name]
    for interaction in sorted(astray, key=lambda each: (each.attributes.arrived_at_ms, each.id)):
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
            changed(core, interaction, QUEUE_REMOVED)
        case Stage.WRAP_UP:
            pass  # the customer has been served
