"""Downloads locked jars into the cache.

Each is written as `.part`, checked against the lock's size and SHA-256, then renamed. An interrupted `.part` is resumed with an HTTP Range.
One process fetches at a time (a lock file in the cache); the others wait and then find everything there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import random
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import httpx

from services.chassis.broker.cache import Cache, digest
from services.chassis.broker.errors import BrokerError
from services.chassis.broker.lock import Jar

PARALLEL = 6
ATTEMPTS = 5
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})

Progress = Callable[[int], object]
"""Called with a number of bytes each time some arrived; negative when some had to be thrown away."""


class _TryAgainError(Exception):
    """Transient: the next attempt goes on where this one stopped."""


@dataclass(frozen=True)
class Fetcher:
    cache: Cache
    base_url: str
    first_pause_s: float = 0.25
    """Before the second attempt; doubles with each further one."""
    timeout_s: float = 20.0
    """Without a byte for so long, an attempt has failed."""

    def fetch(self, jars: list[Jar], progress: Progress = lambda count: None) -> None:
        """Downloads what is still missing of `jars`. Raises BrokerError; then what came so far is kept for the next time."""
        with _explained(self.cache.root), self._alone():
            wanted = [jar for jar in jars if not self.cache.has(jar)]
            done = sum(jar.size for jar in jars) - sum(jar.size for jar in wanted)
            progress(done)
            stop = Event()
            # The system's certificates, so that a company's own authority is believed too.
            with (
                httpx.Client(
                    verify=ssl.create_default_context(), timeout=self.timeout_s, follow_redirects=True
                ) as client,
                ThreadPoolExecutor(PARALLEL) as pool,
            ):
                futures = [pool.submit(self._one, client, jar, progress, stop) for jar in wanted]
                try:
                    for future in futures:
                        future.result()
                except BaseException:
                    stop.set()
                    raise

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.cache.root.mkdir(parents=True, exist_ok=True)
        with (self.cache.root / "fetch.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _one(self, client: httpx.Client, jar: Jar, progress: Progress, stop: Event) -> None:
        path = self.cache.path_of(jar)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        url = f"{self.base_url}/{jar.path}"
        counted, mismatches, last = 0, 0, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                # Jitter: six threads were refused together and shall not come back together.
                pause_s = self.first_pause_s * 2 ** (attempt - 1) * random.uniform(0.5, 1)  # noqa: S311
                if stop.wait(pause_s):
                    return
            elif stop.is_set():
                return
            progress(-counted)
            counted = 0
            try:
                for count in self._append(client, url, jar, part):
                    counted += count
                    progress(count)
                    if stop.is_set():
                        return
            except (httpx.TransportError, _TryAgainError) as error:
                last = str(error) or type(error).__name__
                continue
            if (found := digest(part)) == jar.sha256:
                part.replace(path)
                return
            part.unlink()
            mismatches += 1
            if mismatches > 1:  # the first may have been a stale .part; the second came from the server in one piece
                raise BrokerError(
                    f"{jar.name} from {url} is not the file that was locked (SHA-256 {found[:12]}…, expected {jar.sha256[:12]}…) "
                    "and was deleted: try another CHAPAR_MAVEN_URL, or find out who changed it."
                )
            last = "wrong checksum"
        raise BrokerError(
            f"{jar.name} could not be fetched from {url} ({last}): check the network, or set CHAPAR_MAVEN_URL to a mirror; "
            "what has arrived is kept and the next start goes on from there."
        )

    def _append(self, client: httpx.Client, url: str, jar: Jar, part: Path) -> Iterator[int]:
        """Yields the number of bytes of `part`, first those it already had, then as they arrive. Ends when `part` has the locked size."""
        have = part.stat().st_size if part.exists() else 0
        if have > jar.size:
            part.unlink()
            have = 0
        if have == jar.size:
            yield have
            return
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with client.stream("GET", url, headers=headers) as response:
            if response.status_code in RETRIED:
                raise _TryAgainError(f"HTTP {response.status_code}")
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
                raise _TryAgainError("the server cannot resume")
            if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
                raise BrokerError(
                    f"{jar.name} is not at {url} (HTTP {response.status_code}): set CHAPAR_MAVEN_URL to Maven Central or a complete mirror."
                )
            resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
            if resumed and not response.headers.get("content-range", "").startswith(f"bytes {have}-"):
                part.unlink(missing_ok=True)
                raise _TryAgainError("the server resumed at the wrong place")
            have = have if resumed else 0
            yield have
            with part.open("ab" if resumed else "wb") as handle:
                for chunk in response.iter_raw():  # as it comes: a cut loses nothing that arrived
                    handle.write(chunk)
                    have += len(chunk)
                    if have > jar.size:
                        break
                    yield len(chunk)
        if have > jar.size:
            return  # too long is as wrong as other bytes: the checksum says so
        if have < jar.size:
            raise _TryAgainError(f"only {have} of {jar.size} bytes came")


@contextlib.contextmanager
def _explained(cache: Path) -> Iterator[None]:
    """Turns what the file system says into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BrokerError(
                f"The disk of {cache} is full: free 50 MB there, or set CHAPAR_CACHE_DIR to another disk."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise BrokerError(
                f"The cache {cache} cannot be written ({error.strerror}): mend its rights, or set CHAPAR_CACHE_DIR to a directory of yours."
            ) from error
        raise
