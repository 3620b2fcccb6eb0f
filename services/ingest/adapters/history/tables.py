"""The schema, for both SQLite and PostgreSQL. Times are milliseconds since the Unix epoch, UTC; 0 and '' mean "not
known".

A change here needs a migration: a test compares the two.
"""

from typing import Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text, text

METADATA: Final = MetaData()


def _text(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=False)


def _ms(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _of_few(name: str, column: str) -> Index:
    """An index of the rows in which the column has a value."""
    given = text(f"{column} <> ''")
    return Index(name, "tenant", column, sqlite_where=given, postgresql_where=given)


POSITIONS: Final = Table(
    "positions",
    METADATA,
    _text("log", key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
)

CONVERSATIONS: Final = Table(
    "conversations",
    METADATA,
    _text("tenant", key=True),
    _text("conversation_id", key=True),
    _text("identity_id"),
    _text("person_id"),
    _ms("opened_at_ms"),
    _ms("last_message_at_ms"),
    _ms("erased_at_ms"),
    Index("conversations_newest", "tenant", "last_message_at_ms", "conversation_id"),
    Index("conversations_of_person", "tenant", "person_id"),
)

MESSAGES: Final = Table(
    "messages",
    METADATA,
    _text("tenant", key=True),
    _text("conversation_id", key=True),
    _text("message_id", key=True),
    Column("sequence", BigInteger, nullable=False),
    _ms("occurred_at_ms"),
    _text("identity_id"),
    _text("interaction_id"),
    Column("author_kind", Integer, nullable=False),
    _text("author_id"),
    _text("text"),
    _text("subject"),
    Column("attachments", JSON, nullable=False),
    _text("language"),
    _text("channel"),
    Column("purpose", Integer, nullable=False),
    _text("edits_message_id"),
    _text("native_message_id"),
    Column("origin", JSON, nullable=False, server_default="{}"),
    Column("text_parts", JSON, nullable=False, server_default="[]"),
    Column("kind", Integer, nullable=False, server_default="0"),
    Column("placeholder", Integer, nullable=False, server_default="0"),
    Column("in_reply_to", Text, nullable=False, server_default=""),
    Column("content", Text, nullable=False, server_default=""),
    Column("deletes_message_id", Text, nullable=False, server_default=""),
    Column("to_addresses", JSON, nullable=False, server_default="[]"),
    Column("cc_addresses", JSON, nullable=False, server_default="[]"),
    Column("participant", Integer, nullable=False, server_default="0"),
    Column("files_sequence", BigInteger, nullable=False, server_default="0"),
    Column("original", JSON, nullable=False, server_default="{}"),
    Column("template", JSON, nullable=False, server_default="{}"),
    Column("blocked", Integer, nullable=False, server_default="0"),
    _text("folded"),
    Index("messages_in_order", "tenant", "conversation_id", "sequence"),
    _of_few("messages_editing", "edits_message_id"),
    _of_few("messages_deleting", "deletes_message_id"),
    Index("messages_by_id", "tenant", "message_id"),
    _of_few("messages_by_native_id", "native_message_id"),
    Index(
        "messages_of_participants",
        "tenant",
        "author_id",
        sqlite_where=text("participant <> 0"),
        postgresql_where=text("participant <> 0"),
    ),
    Index(
        "messages_of_blocked",
        "tenant",
        "author_id",
        sqlite_where=text("blocked <> 0"),
        postgresql_where=text("blocked <> 0"),
    ),
)

IDENTITIES: Final = Table(
    "identities",
    METADATA,
    _text("tenant", key=True),
    _text("identity_id", key=True),
    _text("person_id"),
    _ms("person_at_ms"),
    _text("channel"),
    _text("account"),
    _text("native_id"),
    _text("display_name"),
    Column("verified", Boolean, nullable=False),
    _ms("stated_at_ms"),
    _ms("erased_at_ms"),
    Column("opt_outs", JSON, nullable=False, server_default="[]"),
    Column("preferred_channel", Text, nullable=False, server_default=""),
    Column("preferences_at_ms", BigInteger, nullable=False, server_default="0"),
    Column("blocked_until_ms", BigInteger, nullable=False, server_default="0"),
    Column("blocked_at_ms", BigInteger, nullable=False, server_default="0"),
    Column("block", JSON, nullable=False, server_default="{}"),
    Index("identities_of_person", "tenant", "person_id"),
    Index("identities_by_address", "tenant", "channel", "native_id"),
    Index(
        "identities_blocked",
        "tenant",
        "blocked_until_ms",
        "identity_id",
        sqlite_where=text("blocked_until_ms <> 0"),
        postgresql_where=text("blocked_until_ms <> 0"),
    ),
)

INTERACTIONS: Final = Table(
    "interactions",
    METADATA,
    _text("tenant", key=True),
    _text("interaction_id", key=True),
    _text("conversation_id"),
    _text("person_id"),
    _text("channel"),
    _text("queue"),
    _text("state"),
    _text("agent_id"),
    _ms("opened_at_ms"),
    _ms("closed_at_ms"),
    Column("attributes_epoch", BigInteger, nullable=False),
    Column("state_epoch", BigInteger, nullable=False),
    Column("agent_epoch", BigInteger, nullable=False),
    _text("routed_state"),
    _text("outcome"),
    Index("interactions_newest", "tenant", "opened_at_ms", "interaction_id"),
    Index("interactions_of_conversation", "tenant", "conversation_id"),
)

EVENTS: Final = Table(
    "events",
    METADATA,
    _text("tenant", key=True),
    _text("event_id", key=True),
    _text("interaction_id"),
    _text("conversation_id"),
    _ms("occurred_at_ms"),
    Column("service_order", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    _text("service"),
    _text("kind"),
    _text("reason"),
    Column("details", JSON, nullable=False),
    Index("events_of_interaction", "tenant", "interaction_id", "occurred_at_ms"),
)

DELIVERIES: Final = Table(
    "deliveries",
    METADATA,
    _text("tenant", key=True),
    _text("delivery_id", key=True),
    _text("conversation_id"),
    _text("interaction_id"),
    _text("channel"),
    _text("account"),
    Column("state", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    _text("reason"),
    Column("native_ids", JSON, nullable=False),
    Column("purpose", Integer, nullable=False),
    _ms("occurred_at_ms"),
    _text("event_id"),
    Column("retryable", Boolean, nullable=False),
    Column("source", Integer, nullable=False),
    _ms("stated_at_ms"),
    Column("author_kind", Integer, nullable=False),
    _text("author_id"),
    _text("invitation_id"),
    _text("resends_delivery_id"),
    _text("pool"),
    Index("deliveries_of_conversation", "tenant", "conversation_id"),
)

INVITATIONS: Final = Table(
    "invitations",
    METADATA,
    _text("tenant", key=True),
    _text("invitation_id", key=True),
    _text("interaction_id"),
    _text("conversation_id"),
    _text("person_id"),
    _text("channel"),
    _text("queue"),
    _text("agent_id"),
    _text("survey"),
    _text("kind"),
    _text("state"),
    Column("score", Integer, nullable=True),
    _text("source"),
    _ms("invited_at_ms"),
    _ms("answered_at_ms"),
    Index("invitations_of_interaction", "tenant", "interaction_id"),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    _text("tenant", key=True),
    _text("event_id", key=True),
    _text("target_kind", key=True),
    _text("target_id", key=True),
    _ms("occurred_at_ms"),
    _text("service"),
    _text("method"),
    Column("action", Integer, nullable=False),
    _text("subject"),
    _text("agent_id"),
    Column("outcome", Integer, nullable=False),
    _text("reason"),
    _text("idempotency_key"),
    Column("calls", BigInteger, nullable=False, server_default="1"),
    Index("audit_newest", "tenant", "occurred_at_ms", "event_id"),
    Index("audit_of_target", "tenant", "target_kind", "target_id", "occurred_at_ms"),
    Index("audit_of_subject", "tenant", "subject", "occurred_at_ms"),
)
