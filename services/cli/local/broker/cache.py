"""The jar files on this machine, shared by all working copies.

A file gets its final name only if it arrived complete and with the locked SHA-256 (see fetch.py). Its hash is checked again at every start:
hashing 44 MB takes 0.1 s, and a broker that runs a damaged or replaced file is worse than no broker.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from services.cli.local.broker.errors import BrokerError
from services.cli.local.broker.lock import Jar, JarLock

THREADS = 4


@dataclass(frozen=True)
class Cache:
    """Downloaded jars under `root`, shared by all working copies of the user."""

    root: Path

    def path_of(self, jar: Jar) -> Path:
        """Return where the jar is, or would be."""
        return self.root / "maven" / jar.path

    def classpath(self, lock: JarLock) -> tuple[Path, ...]:
        """Return the paths of all jars, in the lock's order."""
        return tuple(self.path_of(jar) for jar in lock.jars)

    def missing(self, lock: JarLock) -> list[Jar]:
        """Return the jars to download. A file whose contents differ from the lock's is deleted and counts as missing."""
        with ThreadPoolExecutor(THREADS) as pool:
            present = list(pool.map(self.has, lock.jars))
        return [jar for jar, whole in zip(lock.jars, present, strict=True) if not whole]

    def has(self, jar: Jar) -> bool:
        """Return whether the jar is there and whole. A file with other contents is deleted."""
        path = self.path_of(jar)
        try:
            if path.stat().st_size == jar.size and digest(path) == jar.sha256:
                return True
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False  # the download will report why the file cannot be written
        except OSError as error:
            raise BrokerError(
                f"The cached file {path} cannot be used ({error.strerror}): fix its permissions or delete it."
            ) from error
        return False


def digest(path: Path) -> str:
    """Return the SHA-256 of the file's contents, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
