"""Steps of a story: their order and their permitted content."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from services.ingest.adapters.history.rows import Event
from services.ingest.domain.reasons import Reason

MAX_ID_BYTES: Final = 400
"""Longer ids are refused: every id is part of an index, and an entry of a PostgreSQL index holds about 2,700 bytes."""

LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999: the latest time that a Timestamp holds."""


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A service and its rank among events of the same millisecond: cause before effect, as far as known."""

    name: str
    order: int


INGEST: Final = ServiceName("ingest", 0)
ROUTER: Final = ServiceName("router", 1)
SLA: Final = ServiceName("sla", 2)
FEEDBACK: Final = ServiceName("feedback", 3)


class Unreadable(Exception):  # noqa: N818 - a verdict about the record
    """A record that history can't store. `reason` is a short upper-case code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Envelope(Protocol):
    """The fields that every record has."""

    event_id: str
    tenant: str
    occurred_at_ms: int


def step(
    service: ServiceName,
    record: Envelope,
    kind: str,
    interaction_id: str,
    conversation_id: str,
    *,
    position: int,
    reason: str = "",
    details: Mapping[str, str],
) -> Event:
    """Return a step; empty details are left out. `position`: the record's position among its service's records of the
    same millisecond.

    Raises Unreadable for a time outside the calendar.
    """
    if not 0 <= record.occurred_at_ms <= LATEST_MS:
        raise Unreadable(Reason.BAD_TIME)
    return Event(
        tenant=identifier(record.tenant),
        event_id=identifier(record.event_id),
        interaction_id=interaction_id,
        conversation_id=conversation_id,
        occurred_at_ms=record.occurred_at_ms,
        service_order=service.order,
        position=position,
        service=service.name,
        kind=kind,
        reason=clean(reason),
        details={name: clean(text) for name, text in details.items() if text},
    )


def clean(text: str) -> str:
    """Return the text in a form that every database can store."""
    return text.replace("\x00", "\ufffd")


def identifier(text: str) -> str:
    """Return an id. Raises Unreadable for an id that is too long for an index."""
    if len(text) > MAX_ID_BYTES or len(text.encode()) > MAX_ID_BYTES:
        raise Unreadable(Reason.ID_TOO_LONG)
    return clean(text)


def word(name: Callable[[Any], str], value: int, prefix: str) -> str:
    """Return an enumeration's value in lower case, without its prefix; empty for unspecified, the number for an unknown
    value."""
    if not value:
        return ""
    try:
        return name(value).removeprefix(prefix).lower()
    except ValueError:
        return str(value)
