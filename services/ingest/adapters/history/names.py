"""Finds the interaction that an id belongs to: people have the id that a channel, a log or another system shows them."""

from sqlalchemy import Select, select, union

from services.ingest.adapters.history.tables import DELIVERIES, INTERACTIONS, INVITATIONS, MESSAGES

Ids = Select[tuple[str]]


def by_own_id(tenant: str, name: str) -> Ids:
    """The interaction with this offer, message, delivery or survey invitation, and the newest one of the conversation with
    this id. Without regard to reach."""
    i, m, d, v = INTERACTIONS.c, MESSAGES.c, DELIVERIES.c, INVITATIONS.c
    newest = (
        select(i.interaction_id)
        .where(i.tenant == tenant, i.conversation_id == name)
        .order_by(i.opened_at_ms.desc(), i.interaction_id.desc())
        .limit(1)
        .subquery()
    )
    interaction_id, _, number = name.rpartition(".")
    of_offer = (
        interaction_id if number.isdecimal() else ""
    )  # an offer's id is that of its interaction, a point, and a number
    found = union(
        select(i.interaction_id).where(i.tenant == tenant, i.interaction_id == of_offer),
        select(m.interaction_id).where(m.tenant == tenant, m.message_id == name),
        select(d.interaction_id).where(d.tenant == tenant, d.delivery_id == name),
        select(v.interaction_id).where(v.tenant == tenant, v.invitation_id == name),
        select(newest.c.interaction_id),
    ).subquery()
    return select(found.c.interaction_id).where(found.c.interaction_id != "")


def by_native_id(tenant: str, name: str) -> Ids:
    """The interactions of messages with this id of their channel; of several, the first two."""
    m = MESSAGES.c
    of = (m.tenant == tenant, m.native_message_id == name, m.native_message_id != "", m.interaction_id != "")
    return select(m.interaction_id).where(*of).distinct().order_by(m.interaction_id).limit(2)
