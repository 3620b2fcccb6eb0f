"""The persons' keys on this machine's disk: wrapped, indexed by owner, drawn from their topic and thrown away whenever in doubt.

SQLite overwrites what it deletes (`secure_delete`), and has no write-ahead log in which a deleted key would go on.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS keys (
  key_id BLOB PRIMARY KEY, tenant TEXT NOT NULL, owner TEXT NOT NULL, wrapped BLOB NOT NULL, place INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_of_owner ON keys (tenant, owner, place);
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), next_offset INTEGER NOT NULL, at_ms INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A wrapped key. `place` is its offset in the topic: the greatest of an owner is the newest."""

    key_id: bytes
    tenant: str
    owner: str
    wrapped: bytes
    place: int


class KeyStore:
    """One file, one process. Calls are short reads and writes by index, made in the event loop."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._db = self._opened()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _opened(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _connect(self._file)
        except sqlite3.DatabaseError:
            # Damaged by a crash: the topic has everything.
            self._file.unlink()
            return _connect(self._file)

    def clear(self) -> None:
        """Forget everything; reading begins again."""
        self._db.close()
        self._file.unlink(missing_ok=True)
        self._db = _connect(self._file)

    def progress(self) -> tuple[int, int]:
        """Offset at which reading goes on, and when it came there; zeros when new."""
        row = self._db.execute("SELECT next_offset, at_ms FROM progress").fetchone()
        return (int(row[0]), int(row[1])) if row is not None else (0, 0)

    def apply(self, made: Iterable[StoredKey], destroyed: Iterable[bytes], next_offset: int, at_ms: int) -> None:
        """What the topic said next, in one transaction: keys made, then keys destroyed."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)",
                [(each.key_id, each.tenant, each.owner, each.wrapped, each.place) for each in made],
            )
            self._db.executemany("DELETE FROM keys WHERE key_id = ?", [(each,) for each in destroyed])
            self._db.execute("INSERT OR REPLACE INTO progress VALUES (1, ?, ?)", (next_offset, at_ms))

    def find(self, key_id: bytes) -> StoredKey | None:
        """A key by its id."""
        row = self._db.execute(
            "SELECT key_id, tenant, owner, wrapped, place FROM keys WHERE key_id = ?", (key_id,)
        ).fetchone()
        return StoredKey(*row) if row is not None else None

    def newest(self, tenant: str, owner: str) -> StoredKey | None:
        """An owner's newest key."""
        found = self.of(tenant, owner)
        return found[-1] if found else None

    def of(self, tenant: str, owner: str) -> list[StoredKey]:
        """All keys of an owner, oldest first."""
        rows = self._db.execute(
            "SELECT key_id, tenant, owner, wrapped, place FROM keys WHERE tenant = ? AND owner = ? ORDER BY place",
            (tenant, owner),
        )
        return [StoredKey(*row) for row in rows]

    def all(self) -> list[StoredKey]:
        """Every key: for the change of the master key."""
        rows = self._db.execute("SELECT key_id, tenant, owner, wrapped, place FROM keys ORDER BY place")
        return [StoredKey(*row) for row in rows]

    def count(self) -> int:
        """Keys that are alive."""
        return int(self._db.execute("SELECT COUNT(*) FROM keys").fetchone()[0])


def _connect(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, isolation_level=None)
    try:
        db.execute("PRAGMA secure_delete=ON")
        db.execute("PRAGMA journal_mode=TRUNCATE")
        # What a power cut loses or spoils is read again from the topic.
        db.execute("PRAGMA synchronous=OFF")
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
