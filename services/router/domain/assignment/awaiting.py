"""Which of the holder's replies an answer of the customer is awaited for.

A reply counts when it was sent, not when the agent wrote it. One that did not arrive, or of unknown outcome, leaves the customer waiting for the
agent, unless another reply was sent. The customer's next message, or the loss of the interaction, ends the list.
"""

from typing import Final

from services.router.domain.pool.state import Interaction

_KEPT: Final = 16
"""Number of replies that are kept: of an agent who writes more of them in one turn, the newest decide."""


def written(interaction: Interaction, reply_id: str, *, sent: bool) -> None:
    """Note a reply of the holder. Not `sent`: its outcome will come."""
    replies = interaction.replies
    replies[reply_id] = sent
    while len(replies) > _KEPT:
        del replies[next(iter(replies))]


def settled(interaction: Interaction, reply_id: str, *, sent: bool) -> bool:
    """Note the outcome of a reply; return whether it is one that counts: the customer has not written since, and no other agent has it."""
    if reply_id not in interaction.replies:
        return False
    interaction.replies[reply_id] = sent
    return True
