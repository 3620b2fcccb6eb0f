"""History's queries, as SQL. Every query names the tenant.

Search looks for folded words with LIKE, which reads every message of the tenant that matches the other terms: suitable
for thousands of conversations. For millions the next step is an index of words: `pg_trgm` (GIN on `folded`) and
SQLite's FTS5 with the trigram tokenizer both support the same LIKE patterns, so that only migrations change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, text, union_all

from chapar.ingest.v1 import records_pb2
from services.ingest.adapters.history.marks import MOST, Wanted
from services.ingest.adapters.history.tables import (
    CONVERSATIONS,
    DELIVERIES,
    EVENTS,
    IDENTITIES,
    INTERACTIONS,
    MESSAGES,
)
from services.ingest.adapters.history.text import pattern
from services.ingest.domain.reach import Reach

Found = Select[tuple[object, ...]]
After = tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class Terms:
    """Search terms; all given terms must match. Times in ms, None: not given."""

    person_id: str = ""
    channel: str = ""
    words: Sequence[str] = ()
    from_ms: int | None = None
    to_ms: int | None = None


def conversation(reach: Reach, conversation_id: str) -> Found:
    """The conversation with its identity, if it is within reach."""
    c = CONVERSATIONS.c
    return _conversations().where(c.tenant == reach.tenant, c.conversation_id == conversation_id, *_within(reach))


def search(reach: Reach, terms: Terms, after: After, most: int) -> Found:
    """Conversations, newest first. Each word must occur in one of its messages; a time must lie within the conversation."""
    c = CONVERSATIONS.c
    found = _conversations().where(c.tenant == reach.tenant, *_within(reach))
    if terms.person_id:
        found = found.where(c.person_id == terms.person_id)
    if terms.from_ms is not None:
        found = found.where(c.last_message_at_ms >= terms.from_ms)
    if terms.to_ms is not None:
        found = found.where(c.opened_at_ms <= terms.to_ms)
    if terms.channel:
        found = found.where(_message(MESSAGES.c.channel == terms.channel))
    for word in terms.words:
        found = found.where(_message(MESSAGES.c.folded.like(pattern(word), escape="\\")))
    return _newest(found, c.last_message_at_ms, c.conversation_id, after, most)


def identities_of(tenant: str, person_id: str, identity_ids: Sequence[str]) -> Found:
    """A person's identities, and those of the given identities that are known."""
    c = IDENTITIES.c
    whose = or_(and_(c.person_id == person_id, c.person_id != ""), c.identity_id.in_(identity_ids))
    return select(c.identity_id).where(c.tenant == tenant, whose).order_by(c.identity_id)


def conversations_of(tenant: str, person_id: str, identity_ids: Sequence[str]) -> Found:
    """All conversations of a person, and the conversations with one of these identities."""
    c = CONVERSATIONS.c
    whose = or_(and_(c.person_id == person_id, c.person_id != ""), c.identity_id.in_(identity_ids))
    return select(c.conversation_id).where(c.tenant == tenant, whose).order_by(c.opened_at_ms, c.conversation_id)


def messages(tenant: str, conversation_id: str, after: int, most: int) -> Found:
    """Messages after a sequence number, oldest first."""
    m = MESSAGES.c
    of = and_(m.tenant == tenant, m.conversation_id == conversation_id, m.sequence > after)
    return _messages().where(of).order_by(m.sequence, m.message_id).limit(most)


def changes(tenant: str, about: Wanted) -> Found:
    """The edits and deletions of the wanted messages, in any conversation: a late one is in a later conversation."""
    m = MESSAGES.c
    # Two queries: SQLite uses no partial index for one side of OR. The condition on '' is the index's own.
    edits, deletes = (
        select(*_MARKING).where(m.tenant == tenant, column != text("''"), column.in_(about.message_ids))
        for column in (m.edits_message_id, m.deletes_message_id)
    )
    return select(union_all(edits, deletes).subquery()).limit(MOST)


def reactions(tenant: str, conversation_id: str, about: Wanted) -> Found:
    """The messages of a conversation that react to the wanted ones, or that these answer, oldest first."""
    m = MESSAGES.c
    reaction = and_(m.kind == records_pb2.MESSAGE_KIND_REACTION, m.in_reply_to.in_(about.native_ids))
    answered = and_(m.native_message_id.in_(about.answered), m.edits_message_id == "")
    of = and_(m.tenant == tenant, m.conversation_id == conversation_id, or_(reaction, answered))
    return select(*_MARKING).where(of).order_by(m.sequence, m.message_id).limit(MOST)


_MARKING: Final = (
    MESSAGES.c.message_id,
    MESSAGES.c.identity_id,
    MESSAGES.c.occurred_at_ms,
    MESSAGES.c.text,
    MESSAGES.c.kind,
    MESSAGES.c.native_message_id,
    MESSAGES.c.in_reply_to,
    MESSAGES.c.edits_message_id,
    MESSAGES.c.deletes_message_id,
)


def newest_messages(tenant: str, identity_id: str, channel: str, most: int) -> Found:
    """The newest messages on a channel of the conversations with an identity, newest first."""
    m, c, i = MESSAGES.c, CONVERSATIONS.c, IDENTITIES.c
    # By person, because the conversations have an index by person.
    person = select(i.person_id).where(i.tenant == tenant, i.identity_id == identity_id).scalar_subquery()
    own = select(c.conversation_id).where(c.tenant == tenant, c.person_id == person, c.identity_id == identity_id)
    of = and_(m.tenant == tenant, m.channel == channel, m.conversation_id.in_(own))
    return _messages().where(of).order_by(m.occurred_at_ms.desc(), m.sequence.desc(), m.message_id).limit(most)


def message(tenant: str, conversation_id: str, message_id: str) -> Found:
    """A message of a conversation."""
    m = MESSAGES.c
    of = and_(m.tenant == tenant, m.conversation_id == conversation_id, m.message_id == message_id)
    return _messages().where(of)


def _messages() -> Found:
    """Messages, each with the newest state of its delivery; of a customer's message there is none."""
    m, d = MESSAGES.c, DELIVERIES.c
    delivery = and_(d.tenant == m.tenant, d.delivery_id == m.message_id)
    state = (d.state.label("delivery_state"), d.event_id.label("delivery_event_id"))
    return select(MESSAGES, *state, d.occurred_at_ms.label("delivery_at_ms")).select_from(
        MESSAGES.outerjoin(DELIVERIES, delivery)
    )


def changed_messages(tenant: str, conversation_id: str, until: int, since_ms: int, most: int) -> Found:
    """Messages up to a sequence number whose delivery has reached its state at or after a time, in the order of these times."""
    m, d = MESSAGES.c, DELIVERIES.c
    of = and_(m.tenant == tenant, m.conversation_id == conversation_id, m.sequence <= until)
    return _messages().where(of, d.occurred_at_ms >= since_ms).order_by(d.occurred_at_ms, m.sequence).limit(most)


def newest_file(tenant: str, conversation_id: str) -> Found:
    """The place of the newest change of a file of a conversation."""
    m = MESSAGES.c
    newest = func.max(m.files_sequence).label("newest")
    return select(newest).where(m.tenant == tenant, m.conversation_id == conversation_id)


def changed_files(tenant: str, conversation_id: str, until: int, after: int, most: int) -> Found:
    """Messages up to a sequence number whose files have changed after a place, in the order of the changes."""
    m = MESSAGES.c
    of = and_(m.tenant == tenant, m.conversation_id == conversation_id, m.sequence <= until, m.files_sequence > after)
    return _messages().where(of).order_by(m.files_sequence, m.message_id).limit(most)


def newest_delivery(tenant: str, conversation_id: str) -> Found:
    """The time of the newest state of a delivery in a conversation; None when there is none."""
    d = DELIVERIES.c
    newest = func.max(d.occurred_at_ms).label("newest_ms")
    return select(newest).where(d.tenant == tenant, d.conversation_id == conversation_id)


def interactions_of(tenant: str, conversation_ids: Sequence[str]) -> Found:
    """Ids of the interactions of conversations, oldest first."""
    i = INTERACTIONS.c
    return (
        select(i.conversation_id, i.interaction_id)
        .where(i.tenant == tenant, i.conversation_id.in_(conversation_ids))
        .order_by(i.opened_at_ms, i.interaction_id)
    )


def interaction(reach: Reach, interaction_id: str) -> Found:
    """An interaction, if it is within reach."""
    i = INTERACTIONS.c
    return select(INTERACTIONS).where(i.tenant == reach.tenant, i.interaction_id == interaction_id, *_held(reach))


def interactions(reach: Reach, state: str, queue: str, channel: str, after: After, most: int) -> Found:
    """Interactions, newest first."""
    i = INTERACTIONS.c
    found: Found = select(INTERACTIONS).where(i.tenant == reach.tenant, *_held(reach))
    for column, value in ((i.state, state), (i.queue, queue), (i.channel, channel)):
        if value:
            found = found.where(column == value)
    return _newest(found, i.opened_at_ms, i.interaction_id, after, most)


def story(tenant: str, interaction_id: str, most: int) -> Found:
    """The steps of an interaction, in order: by time, service and the service's own order."""
    e = EVENTS.c
    return (
        select(EVENTS)
        .where(e.tenant == tenant, e.interaction_id == interaction_id)
        .order_by(e.occurred_at_ms, e.service_order, e.position, e.event_id)
        .limit(most)
    )


def delivery(tenant: str, delivery_id: str) -> Found:
    """A delivery."""
    d = DELIVERIES.c
    return select(DELIVERIES).where(d.tenant == tenant, d.delivery_id == delivery_id)


def identities(tenant: str, person_id: str) -> Found:
    """A person's identities."""
    i = IDENTITIES.c
    return select(IDENTITIES).where(i.tenant == tenant, i.person_id == person_id).order_by(i.identity_id)


def same_addresses(tenant: str, person_id: str, most: int) -> Found:
    """Identities of other persons with the same proven address as one of this person's, with that one's id as `same_as`.

    Only where the native id is an address that its provider has proven to belong to one customer: a name or a number of another
    system may be that of another customer.
    """
    mine, other = IDENTITIES.alias("mine").c, IDENTITIES.alias("other").c
    return (
        select(*other, mine.identity_id.label("same_as"))
        .where(
            mine.tenant == tenant,
            mine.person_id == person_id,
            mine.verified,
            mine.native_id != "",
            mine.channel.in_(ADDRESS_CHANNELS),
            other.tenant == tenant,
            other.channel == mine.channel,
            other.native_id == mine.native_id,
            other.verified,
            other.person_id.not_in(("", person_id)),
        )
        .order_by(other.identity_id)
        .limit(most)
    )


ADDRESS_CHANNELS: Final = ("email", "whatsapp")
"""The channels whose native ids are addresses: e-mail addresses, telephone numbers."""


def owner(tenant: str, conversation_id: str) -> Found:
    """The identity that a conversation is with."""
    c = CONVERSATIONS.c
    return select(c.identity_id).where(c.tenant == tenant, c.conversation_id == conversation_id)


def _held(reach: Reach) -> tuple[ColumnElement[bool], ...]:
    """The interactions within reach: the agent's own, and those of their queues."""
    if reach.everything:
        return ()
    i = INTERACTIONS.c
    own = and_(i.agent_id == reach.agent_id, i.agent_id != "")
    return (or_(own, i.queue.in_(sorted(reach.queues))),)


def _within(reach: Reach) -> tuple[ColumnElement[bool], ...]:
    """The conversations within reach: those with an interaction within reach."""
    if reach.everything:
        return ()
    i, c = INTERACTIONS.c, CONVERSATIONS.c
    of = and_(i.tenant == c.tenant, i.conversation_id == c.conversation_id)
    return (exists().where(of, *_held(reach)),)


def _conversations() -> Found:
    i = IDENTITIES.c
    of = and_(i.tenant == CONVERSATIONS.c.tenant, i.identity_id == CONVERSATIONS.c.identity_id)
    also = (i.channel, i.account, i.native_id, i.display_name, i.verified)
    return select(CONVERSATIONS, *also).select_from(CONVERSATIONS.outerjoin(IDENTITIES, of))


def _message(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    of = and_(
        MESSAGES.c.tenant == CONVERSATIONS.c.tenant, MESSAGES.c.conversation_id == CONVERSATIONS.c.conversation_id
    )
    return exists().where(of, condition)


def _newest(found: Found, at: ColumnElement[int], key: ColumnElement[str], after: After, most: int) -> Found:
    if after is not None:
        found = found.where(or_(at < after[0], and_(at == after[0], key < after[1])))
    return found.order_by(at.desc(), key.desc()).limit(most)
