"""The jars on this machine, shared by all copies of the project.

A file has its final name only if it was whole and had the locked SHA-256 when it came (see fetch.py). It is hashed again at every start:
44 MB take a tenth of a second, and a broker built from a damaged or exchanged file is worse than none.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from services.chassis.broker.errors import BrokerError
from services.chassis.broker.lock import Jar, JarLock

THREADS = 4


@dataclass(frozen=True)
class Cache:
    root: Path

    def path_of(self, jar: Jar) -> Path:
        return self.root / "maven" / jar.path

    def classpath(self, lock: JarLock) -> tuple[Path, ...]:
        return tuple(self.path_of(jar) for jar in lock.jars)

    def missing(self, lock: JarLock) -> list[Jar]:
        """What has to be fetched. A file that is there with other contents than the lock's is deleted, and counts as missing."""
        with ThreadPoolExecutor(THREADS) as pool:
            present = list(pool.map(self.has, lock.jars))
        return [jar for jar, whole in zip(lock.jars, present, strict=True) if not whole]

    def has(self, jar: Jar) -> bool:
        path = self.path_of(jar)
        try:
            if path.stat().st_size == jar.size and digest(path) == jar.sha256:
                return True
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False  # what stands in the way of writing there, the fetch will say
        except OSError as error:
            raise BrokerError(
                f"The cached file {path} cannot be used ({error.strerror}): mend its rights or delete it."
            ) from error
        return False


def digest(path: Path) -> str:
    """SHA-256 of the file's contents, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
