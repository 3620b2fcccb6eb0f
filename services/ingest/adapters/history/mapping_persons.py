"""Converts what is known of a person between the log, history's columns and the contract. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row

from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.ids import derive
from services.ingest.adapters.history.rows import Blocked, PreferencesChanged
from services.ingest.adapters.history.story import LATEST_MS, clean, identifier
from services.ingest.ports import HeldPreferences

WITHOUT_CONVERSATION: Final = frozenset({"erased", "belongs", "preferences_set", "sender_block"})
"""The records of conversations.v1 that may be about a person only."""


def preferences(record: records_pb2.PreferencesSet, identity_id: str) -> PreferencesChanged:
    """Return the change of a home identity's row."""
    opt_outs: list[list[Any]] = [
        [clean(each.channel), int(each.scope), each.since_ms, identifier(each.actor)] for each in record.opt_outs
    ]
    return PreferencesChanged(identity_id, opt_outs, clean(record.preferred_channel))


def change_of_a_person(
    record: records_pb2.ConversationRecord, identity_id: str
) -> tuple[str, PreferencesChanged | Blocked]:
    """Return what the story calls a change of a person, and the change."""
    if record.WhichOneof("record") == "preferences_set":
        return "PreferencesSet", preferences(record.preferences_set, identity_id)
    asked = record.sender_block
    if not asked.until_ms:
        return "SenderUnblocked", Blocked(identity_id, 0, {})
    block = {
        "actor": identifier(asked.actor),
        "note": clean(asked.note),
        "interaction_id": identifier(asked.interaction_id),
        "disposition": clean(asked.disposition),
    }
    return "SenderBlocked", Blocked(identity_id, min(asked.until_ms, LATEST_MS), block)


def blocked_sender(tenant: str, row: Row[Any]) -> ingest_pb2.BlockedSender:
    """Return the contract's blocked sender of a row."""
    sender = ingest_pb2.BlockedSender(
        identity=identity(tenant, row),
        actor=row.block.get("actor", ""),
        note=row.block.get("note", ""),
        interaction_id=row.block.get("interaction_id", ""),
        disposition=row.block.get("disposition", ""),
    )
    sender.blocked_at.FromMilliseconds(row.blocked_at_ms)
    sender.until.FromMilliseconds(row.blocked_until_ms)
    return sender


def identity(tenant: str, row: Row[Any]) -> records_pb2.Identity:
    """Return the contract's identity of a row."""
    return records_pb2.Identity(
        identity_id=row.identity_id,
        tenant=tenant,
        channel=row.channel or "",
        account=row.account or "",
        native_id=row.native_id or "",
        display_name=row.display_name or "",
        verified=bool(row.verified),
    )


def held(person_id: str, identities: Sequence[Row[Any]]) -> HeldPreferences:
    """Return the preferences of a person from the rows of their identities.

    Each identity has a copy. That of the home counts, because it is changed first; without its row, the newest one.
    """
    if not identities:
        return HeldPreferences((), "")
    row = max(identities, key=lambda each: (derive("person", each.identity_id) == person_id, each.preferences_at_ms))
    opt_outs = [
        records_pb2.HeldOptOut(channel=channel, scope=scope, since_ms=since_ms, actor=actor)
        for channel, scope, since_ms, actor in row.opt_outs
    ]
    return HeldPreferences(opt_outs, row.preferred_channel)
