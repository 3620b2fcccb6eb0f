"""The way of an interaction to another pool."""

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import Stage
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Interaction


def depart(core: PoolState, interaction: Interaction, pool: str, reason: str) -> None:
    """Hand over an interaction that no agent has, and remember its new pool: commands about it follow. The caller drops it."""
    assert core.config is not None
    scheduled = interaction.stage is Stage.SCHEDULED  # the clock of its queue does not run until its time
    received = cmd.ReceiveInteraction(
        interaction.attributes,
        reason,
        core.config.version,
        interaction.epoch,
        interaction.enqueued_at + (core.now - interaction.waiting_since if scheduled else 0),
        core.now,
        interaction.waited_ms(core.now),
        interaction.replied,
        interaction.callback,
        interaction.not_before if scheduled else 0,
        interaction.overflowed,
        interaction.answered_in,
    )
    core.effects.append(fx.HandedOver(pool, received))
    moved = core.moved
    if len(moved) >= core.limits.moves_kept:
        oldest = next(iter(moved))  # insertion order is the order of the last writes, also after a restore
        del moved[oldest]
        core.dirty["m", oldest] = None
    moved[interaction.id] = pool
    core.dirty["m", interaction.id] = None
