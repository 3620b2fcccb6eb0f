"""The conversations and interactions that a customer owns, so that a request may name them together with the identity.

The ids in one request must belong together, and only the lane of the identity knows that. It keeps the newest ids. A
request that names an older id is refused, which is safe; history can answer for older ids.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from services.ingest.domain.conversations import Customer

MOST_CONVERSATIONS: Final = 32
MOST_INTERACTIONS: Final = 64
"""The maximum for one conversation."""


def noted(customer: Customer) -> Customer:
    """Return the customer with the current conversation and interaction added to the owned ones."""
    conversation = customer.conversation
    if conversation is None:
        return customer
    owned = customer.owned_interactions.get(conversation.conversation_id)
    at_work = conversation.interaction or conversation.gathering
    new = at_work is not None and (owned is None or at_work.interaction_id not in owned)
    if owned is not None and not new:
        return customer
    interactions = owned or ()
    if at_work is not None and new:
        interactions = (*interactions, at_work.interaction_id)[-MOST_INTERACTIONS:]
    owned_interactions = {
        name: ids for name, ids in customer.owned_interactions.items() if name != conversation.conversation_id
    }
    owned_interactions[conversation.conversation_id] = interactions
    for oldest in list(owned_interactions)[:-MOST_CONVERSATIONS]:
        del owned_interactions[oldest]
    return replace(customer, owned_interactions=owned_interactions)


def owns(customer: Customer, conversation_id: str, interaction_id: str = "") -> bool:
    """Return whether the customer owns the conversation, and the interaction is part of it. An empty id is not checked."""
    owned_interactions: Mapping[str, tuple[str, ...]] = customer.owned_interactions
    if conversation_id:
        interactions = owned_interactions.get(conversation_id)
        return interactions is not None and (not interaction_id or interaction_id in interactions)
    return not interaction_id or any(interaction_id in interactions for interactions in owned_interactions.values())
