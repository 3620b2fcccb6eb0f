"""A connection to SQLite that leaves no lock behind when it is closed in the middle of a transaction.

A task that is cancelled gives its connection up: a statement may still have rows, and the transaction is open. SQLite
then keeps the connection, with its lock, until the last cursor is collected, and until then no other connection can write.
"""

import sqlite3
from typing import Any
from weakref import WeakSet


class ReleasedConnection(sqlite3.Connection):
    """Closes its cursors before it closes. SQLite rolls back an open transaction then."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """See `sqlite3.Connection.cursor`."""
        cursor = super().cursor(factory)
        self._cursors.add(cursor)
        return cursor

    def close(self) -> None:
        """Release everything."""
        for cursor in list(self._cursors):
            cursor.close()
        super().close()
