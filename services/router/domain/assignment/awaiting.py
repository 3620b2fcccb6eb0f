"""Whose answer is awaited, and what the silence of a customer leads to.

A reply counts when it was sent, not when the agent wrote it. One that did not arrive, or of unknown outcome, leaves the customer waiting for the
agent, unless another reply was sent. The customer's next message, or the loss of the interaction, ends the list. While the customer is awaited,
the interaction may take less of the holder's capacity, and a clock of the queue runs: see `watch`.
"""

from typing import Final

from services.router.domain.assignment.parking import weigh
from services.router.domain.model import Stage
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Interaction
from services.router.domain.pool.timers import Timer

_KEPT: Final = 16
"""Number of replies that are kept: of an agent who writes more of them in one turn, the newest decide."""


def written(core: PoolState, interaction: Interaction, reply_id: str, *, sent: bool) -> None:
    """Note a reply of the holder. Not `sent`: its outcome will come."""
    replies = interaction.replies
    replies[reply_id] = sent
    while len(replies) > _KEPT:
        del replies[next(iter(replies))]
    _changed(core, interaction, sent=sent)


def settled(core: PoolState, interaction: Interaction, reply_id: str, *, sent: bool) -> None:
    """Note the outcome of a reply, if it counts: the customer has not written since, and no other agent has the interaction."""
    if reply_id in interaction.replies:
        interaction.replies[reply_id] = sent
        _changed(core, interaction, sent=sent)


def answered(core: PoolState, interaction: Interaction) -> None:
    """Note that the customer has written: the agent owes them a reply."""
    interaction.replies = {}
    _changed(core, interaction, sent=False)


def _changed(core: PoolState, interaction: Interaction, *, sent: bool) -> None:
    if sent:
        interaction.silent_since, interaction.warned_at = core.now, 0
    elif not interaction.customer_awaited:
        interaction.silent_since, interaction.warned_at = 0, 0
    follow(core, interaction)


def begin_again(core: PoolState, interaction: Interaction) -> None:
    """Let the clock of a customer who is still awaited begin again: meanwhile they waited for another agent."""
    if interaction.silent_since:
        interaction.silent_since, interaction.warned_at = core.now, 0
    follow(core, interaction)


def follow(core: PoolState, interaction: Interaction) -> None:
    """Bring the holder's ledger and the clock in line with who is awaited now."""
    weigh(core, interaction)
    watch(core, interaction)


def watch(core: PoolState, interaction: Interaction) -> None:
    """Set the clock of the customer's silence: the warning comes first, and the end as long after it as the queue says, also when the warning
    comes late."""
    due = _due(core, interaction)
    if due != interaction.silence_at:
        interaction.silence_at = due
        if due:
            core.timers.arm(due, Timer.SILENCE, interaction.id)


def _due(core: PoolState, interaction: Interaction) -> int:
    queue = core.queue_of(interaction)
    if not interaction.silent_since or interaction.stage is not Stage.ASSIGNED or queue is None:
        return 0
    if not queue.close_silent_ms:
        return 0
    if not queue.warn_silent_ms:
        return interaction.silent_since + queue.close_silent_ms
    if not interaction.warned_at:
        return interaction.silent_since + queue.warn_silent_ms
    return interaction.warned_at + queue.close_silent_ms - queue.warn_silent_ms
