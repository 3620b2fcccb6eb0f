"""What the queue's time of silence leads to: the customer is warned, and then the interaction ends."""

from typing import Final

from services.router.domain import effects as fx
from services.router.domain.assignment import awaiting
from services.router.domain.assignment.ledger import drop, release
from services.router.domain.handlers.interactions import remember_agent
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Interaction

SILENT: Final = "SILENT"
"""Reason of the completion."""
_DISPOSITION: Final = "silent"


def due(core: PoolState, interaction: Interaction) -> None:
    """Warn a silent customer, or complete the interaction of one who was warned, or of a queue without warnings."""
    queue = core.queue_of(interaction)
    if queue is None:
        return
    if queue.warn_silent_ms and not interaction.warned_at:
        interaction.warned_at = core.now
        awaiting.watch(core, interaction)
        epoch = core.event_number(interaction, "CUSTOMER_SILENT")
        core.effects.append(fx.CustomerSilent(interaction.attributes, epoch, "CUSTOMER_SILENT", interaction.silence_at))
        return
    agent_id, assigned_at = interaction.agent_id, interaction.assigned_at
    epoch = core.event_number(interaction, SILENT)
    core.effects.append(fx.Completed(interaction.attributes, epoch, SILENT, agent_id, _DISPOSITION, assigned_at, 0))
    remember_agent(core, interaction)
    release(core, interaction, SILENT)
    drop(core, interaction)
