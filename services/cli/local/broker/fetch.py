"""Downloads locked jars into the cache.

Each jar is written as `.part`, checked against the lock's size and SHA-256, then renamed. An interrupted `.part` is resumed with an HTTP
Range request. One process downloads at a time (a lock file in the cache); the others wait and then find every file in the cache.
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

from services.cli.local.broker.cache import Cache, digest
from services.cli.local.broker.errors import BrokerError
from services.cli.local.broker.lock import Jar

PARALLEL = 6
ATTEMPTS = 5
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})

Progress = Callable[[int], object]
"""Called with the number of bytes each time some arrived; negative when some had to be discarded."""


class _TryAgainError(Exception):
    """A transient failure: the next attempt continues where this one stopped."""


@dataclass(frozen=True)
class Fetcher:
    """Downloads jars from a Maven repository at `base_url` into a cache."""

    cache: Cache
    base_url: str
    first_pause_s: float = 0.25
    """Pause before the second attempt; it doubles before each further one."""
    timeout_s: float = 20.0
    """An attempt fails when no byte arrives for this time."""

    def fetch(self, jars: list[Jar], progress: Progress = lambda count: None) -> None:
        """Download the missing ones of `jars`. Raises BrokerError; the bytes that arrived before are kept for the next time."""
        with _explained(self.cache.root), self._alone():
            wanted = [jar for jar in jars if not self.cache.has(jar)]
            done = sum(jar.size for jar in jars) - sum(jar.size for jar in wanted)
            progress(done)
            stop = Event()
            # The system's certificates, so that a company's own certificate authority is trusted too.
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
                # Jitter: six threads were refused together and must not come back together.
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
            if mismatches > 1:  # the first may have been a stale .part; the second was downloaded as a whole
                raise BrokerError(
                    f"{jar.name} from {url} is not the file that was locked (SHA-256 {found[:12]}…, expected {jar.sha256[:12]}…) "
                    "and was deleted: try another CHAPAR_MAVEN_URL, or find out why the file changed."
                )
            last = "wrong checksum"
        raise BrokerError(
            f"{jar.name} could not be downloaded from {url} ({last}): check the network, or set CHAPAR_MAVEN_URL to a mirror; "
            "the bytes that arrived are kept and the next start continues from there."
        )

    def _append(self, client: httpx.Client, url: str, jar: Jar, part: Path) -> Iterator[int]:
        """Yield the number of bytes of `part`: first those it already had, then the count as bytes arrive. Ends at the locked size."""
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
                for chunk in response.iter_raw():  # unbuffered: a lost connection loses no byte that arrived
                    handle.write(chunk)
                    have += len(chunk)
                    if have > jar.size:
                        break
                    yield len(chunk)
        if have > jar.size:
            return  # a file that is too long fails the checksum as well
        if have < jar.size:
            raise _TryAgainError(f"only {have} of {jar.size} bytes arrived")


@contextlib.contextmanager
def _explained(cache: Path) -> Iterator[None]:
    """Turn an error of the file system into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BrokerError(
                f"The disk of {cache} is full: free 50 MB there, or set CHAPAR_CACHE_DIR to another disk."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise BrokerError(
                f"The cache {cache} cannot be written ({error.strerror}): fix its permissions, or set CHAPAR_CACHE_DIR to a directory that you own."
            ) from error
        raise
