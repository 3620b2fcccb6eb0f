"""The messages whose delivery has changed while someone watches their conversation."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import Row

from services.ingest.adapters.history import queries

_MOST = 200

Rows = Callable[[str, queries.Found], Awaitable[Sequence[Row[Any]]]]
"""Reads the rows of a query of a tenant."""


class DeliveryChanges:
    """What one watcher has seen of the deliveries of a conversation. States from before the watch are not changes."""

    def __init__(self, rows: Rows, conversation_id: str) -> None:
        self._rows = rows
        self._conversation_id = conversation_id
        self._since_ms = -1
        self._seen: dict[str, tuple[int, str]] = {}
        """Of states that the next look finds again: time and event, by message."""

    async def look(self, tenant: str, until: int) -> Sequence[Row[Any]]:
        """Return the messages up to a sequence number whose delivery has changed. Each is returned until it is `shown`."""
        begins = self._since_ms < 0
        if begins:
            newest = await self._rows(tenant, queries.newest_delivery(tenant, self._conversation_id))
            self._since_ms = (newest[0].newest_ms if newest else None) or 0
        query = queries.changed_messages(tenant, self._conversation_id, until, self._since_ms, _MOST)
        found = [row for row in await self._rows(tenant, query) if self._is_new(row)]
        if not begins:
            return found
        for row in found:
            self.shown(row)
        return ()

    def shown(self, row: Row[Any]) -> None:
        """Note that the watcher has a message with the state that it has now."""
        if row.delivery_event_id is not None and row.delivery_at_ms >= self._since_ms:
            self._seen[row.message_id] = row.delivery_at_ms, row.delivery_event_id

    def all_shown(self, rows: Sequence[Row[Any]]) -> None:
        """Note that the watcher has all these messages: the next look needs only later changes."""
        self._since_ms = max((row.delivery_at_ms for row in rows), default=self._since_ms)
        self._seen = {message: seen for message, seen in self._seen.items() if seen[0] >= self._since_ms}

    def _is_new(self, row: Row[Any]) -> bool:
        return bool(self._seen.get(row.message_id, (0, ""))[1] != row.delivery_event_id)
