"""The persons' keys on this machine's disk: wrapped, indexed by owner, read from their topic.

SQLite overwrites deleted data (`secure_delete`), and no write-ahead log is used, in which a deleted key could survive.

A file in doubt (damaged, too old, or written before the machine was started) is never emptied: the topic is read again into a second file, which
replaces the first when it is complete. Until then the first is used for the keys that it contains, and no conclusion is drawn from a missing key.
Nothing is flushed to disk, so a power cut may keep one page and lose another: a changed boot id of the kernel shows that this is possible.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from services.chassis.privacy.away import KeysAway

STALE_MS: Final = 86_400_000
"""A file that was not updated for this time is in doubt: tombstones that it missed may be compacted away (they are kept for a week)."""
_FORMAT: Final = 2
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS keys (
  key_id BLOB PRIMARY KEY, tenant TEXT NOT NULL, owner TEXT NOT NULL, wrapped BLOB NOT NULL, place INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_of_owner ON keys (tenant, owner, place);
CREATE TABLE IF NOT EXISTS progress (
  one INTEGER PRIMARY KEY CHECK (one = 1), next_offset INTEGER NOT NULL, at_ms INTEGER NOT NULL, boot TEXT NOT NULL
);
PRAGMA user_version = {_FORMAT};
"""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A wrapped key. `place` is its offset in the topic: an owner's newest key has the greatest."""

    key_id: bytes
    tenant: str
    owner: str
    wrapped: bytes
    place: int


class KeyStore:
    """One file of one process. Calls are short indexed reads and writes, made in the event loop. All raise KeysAway when the file is damaged."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._new_file = file.with_name(file.name + ".new")
        _remove(self._new_file)  # otherwise keys that are destroyed later would stay in it
        self._new: sqlite3.Connection | None = None
        self._boot = _boot() or os.urandom(8).hex()
        self._damaged = False
        self._complete = False
        self._db = self._opened()
        self._went_to = self._progress()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        if self._new is not None:
            self._new.close()
            _remove(self._new_file)

    def _opened(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _connect(self._file)
        except sqlite3.OperationalError:
            raise  # the disk is full or not accessible: this says nothing about the file
        except sqlite3.DatabaseError:
            # The file is unreadable: the topic has everything.
            _remove(self._file)
            return _connect(self._file)

    # ---- reading the topic again

    @property
    def complete(self) -> bool:
        """Whether this file contains every key that the topic contained at some time, so that a missing key is a destroyed key."""
        return self._complete

    @property
    def went_to(self) -> int:
        """The offset to which the topic was read into this file; also known when the file cannot be queried any more."""
        return self._went_to

    def doubt(self, now_ms: int) -> str:
        """Return why this file must be read again; empty when it need not."""
        if self._damaged:
            return "damaged"
        next_offset, at_ms, boot = self._progress()
        if not next_offset:
            return ""
        if boot != self._boot:
            return "written before the machine was started"
        return "too old" if now_ms - at_ms > STALE_MS else ""

    def begin_again(self) -> None:
        """From now on `apply` receives records from the beginning of the topic: write them into a second file."""
        with self._damage_noticed():
            if self._new is not None:
                self._new.close()
                self._new = None
            _remove(self._new_file)
            self._new = _connect(self._new_file)
            self._complete = False

    def caught_up(self) -> bool:
        """All records that the topic contained have been applied. Return whether a second file replaced the first."""
        swapped = self._new is not None
        if self._new is not None:
            with self._damage_noticed():
                self._new.close()
                self._new = None
                self._db.close()
                # The journal's name follows the file's name: rename while the file is closed, so that no old journal is applied to it.
                _journal(self._file).unlink(missing_ok=True)
                os.replace(self._new_file, self._file)
                self._db = _connect(self._file)
                self._damaged = False
            self._went_to = self._progress()[0]
        if self._damaged:
            raise KeysAway("the file of personal keys is damaged")
        self._complete = True
        return swapped

    def suspend(self) -> None:
        """The topic is not the one from which this file was read: draw no more conclusions from missing keys."""
        self._complete = False

    def check_complete(self) -> None:
        """Call before a missing key is treated as destroyed. Raises KeysAway."""
        if not self._complete:
            raise KeysAway("the personal keys are not read to the end of their topic")

    # ---- the keys

    def apply(self, made: Iterable[StoredKey], destroyed: Iterable[bytes], next_offset: int, at_ms: int) -> None:
        """Apply the next records of the topic, in one transaction: keys made, then keys destroyed."""
        gone = [(each,) for each in destroyed]
        with self._damage_noticed():
            if self._new is not None and not self._damaged:
                self._db.executemany("DELETE FROM keys WHERE key_id = ?", gone)
            target = self._db if self._new is None else self._new
            with target:
                target.execute("BEGIN")
                target.executemany(
                    "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)",
                    [(each.key_id, each.tenant, each.owner, each.wrapped, each.place) for each in made],
                )
                target.executemany("DELETE FROM keys WHERE key_id = ?", gone)
                target.execute("INSERT OR REPLACE INTO progress VALUES (1, ?, ?, ?)", (next_offset, at_ms, self._boot))
            if self._new is None:
                self._went_to = next_offset

    def find(self, key_id: bytes) -> StoredKey | None:
        """Return a key by its id."""
        found = self._keys("SELECT key_id, tenant, owner, wrapped, place FROM keys WHERE key_id = ?", key_id)
        return found[0] if found else None

    def newest(self, tenant: str, owner: str) -> StoredKey | None:
        """Return an owner's newest key."""
        found = self.of(tenant, owner)
        return found[-1] if found else None

    def of(self, tenant: str, owner: str) -> list[StoredKey]:
        """Return all keys of an owner, oldest first."""
        return self._keys(
            "SELECT key_id, tenant, owner, wrapped, place FROM keys WHERE tenant = ? AND owner = ? ORDER BY place",
            tenant,
            owner,
        )

    def last(self) -> StoredKey | None:
        """Return the newest key that is not destroyed."""
        found = self._keys("SELECT key_id, tenant, owner, wrapped, place FROM keys ORDER BY place DESC LIMIT 1")
        return found[0] if found else None

    def page(self, after: bytes, limit: int) -> list[StoredKey]:
        """Return the next keys in the order of their ids: for the change of the master key."""
        return self._keys(
            "SELECT key_id, tenant, owner, wrapped, place FROM keys WHERE key_id > ? ORDER BY key_id LIMIT ?",
            after,
            limit,
        )

    def count(self) -> int:
        """Return the number of keys that are not destroyed."""
        with self._damage_noticed():
            return int(self._db.execute("SELECT COUNT(*) FROM keys").fetchone()[0])

    def _keys(self, query: str, *values: object) -> list[StoredKey]:
        with self._damage_noticed():
            return [StoredKey(*row) for row in self._db.execute(query, values)]

    def _progress(self) -> tuple[int, int, str]:
        with self._damage_noticed():
            row = self._db.execute("SELECT next_offset, at_ms, boot FROM progress").fetchone()
        return (int(row[0]), int(row[1]), str(row[2])) if row is not None else (0, 0, "")

    @contextmanager
    def _damage_noticed(self) -> Iterator[None]:
        """If an error occurs, the file is in doubt from then on, and no conclusion is drawn from a missing key."""
        try:
            yield
        except sqlite3.Error as error:
            self._damaged, self._complete = True, False
            raise KeysAway(f"the file of personal keys is not usable: {error}") from error


def _boot() -> str:
    """Return an id that changes at each start of the machine; empty if unknown: then the topic is read again at each start of the process."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _journal(file: Path) -> Path:
    return file.with_name(file.name + "-journal")


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
    _journal(file).unlink(missing_ok=True)


def _connect(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, isolation_level=None)
    try:
        db.execute("PRAGMA secure_delete=ON")
        db.execute("PRAGMA journal_mode=TRUNCATE")
        # Flushing would block the event loop for every new person. After a power cut the topic is read again.
        db.execute("PRAGMA synchronous=OFF")
        known = db.execute("PRAGMA user_version").fetchone()[0]
        if known != _FORMAT and db.execute("SELECT 1 FROM sqlite_master").fetchone() is not None:
            raise sqlite3.DatabaseError("written by another version")
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
