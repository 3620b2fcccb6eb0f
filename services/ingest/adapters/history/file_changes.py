"""The messages whose files have changed while someone watches their conversation: a file was fetched, or can't be."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import Row

from services.ingest.adapters.history import queries

_MOST = 200

Rows = Callable[[str, queries.Found], Awaitable[Sequence[Row[Any]]]]
"""Reads the rows of a query of a tenant."""


class FileChanges:
    """What one watcher has seen of the files of a conversation. Changes from before the watch are not changes.

    A change's place is its offset in the log, so it only grows.
    """

    def __init__(self, rows: Rows, conversation_id: str) -> None:
        self._rows = rows
        self._conversation_id = conversation_id
        self._at = -1
        self._seen: dict[str, int] = {}
        """Places of changes after `_at` that the watcher has, by message."""

    async def look(self, tenant: str, until: int) -> Sequence[Row[Any]]:
        """Return the messages up to a sequence number whose files have changed. Each is returned until it is `shown`."""
        if self._at < 0:
            newest = await self._rows(tenant, queries.newest_file(tenant, self._conversation_id))
            self._at = (newest[0].newest if newest else None) or 0
            return ()
        query = queries.changed_files(tenant, self._conversation_id, until, self._at, _MOST)
        return [
            row for row in await self._rows(tenant, query) if self._seen.get(row.message_id, 0) != row.files_sequence
        ]

    def shown(self, row: Row[Any]) -> None:
        """Note that the watcher has a message with the files that it has now."""
        if row.files_sequence > self._at:
            self._seen[row.message_id] = row.files_sequence

    def all_shown(self, rows: Sequence[Row[Any]]) -> None:
        """Note that the watcher has all these messages: the next look needs only later changes."""
        self._at = max((row.files_sequence for row in rows), default=self._at)
        self._seen = {message: place for message, place in self._seen.items() if place > self._at}
