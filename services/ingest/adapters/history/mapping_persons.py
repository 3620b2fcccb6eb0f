"""Converts what is known of a person between the log, history's columns and the contract. Pure."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.ingest.adapters.history.rows import PreferencesChanged
from services.ingest.adapters.history.story import clean, identifier
from services.ingest.ports import HeldPreferences


def preferences(record: records_pb2.PreferencesSet, identity_id: str) -> PreferencesChanged:
    """Return the change of a home identity's row."""
    opt_outs: list[list[Any]] = [
        [clean(each.channel), int(each.scope), each.since_ms, identifier(each.actor)] for each in record.opt_outs
    ]
    return PreferencesChanged(identity_id, opt_outs, clean(record.preferred_channel))


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
