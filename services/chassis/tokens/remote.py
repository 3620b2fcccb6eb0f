"""Keys by URL: fetched in the background, kept when a fetch fails, trusted for a bounded time.

        fetch      at the start, every `refresh_s`, and when a token names an unknown key id, at most every `cooldown_s`
        failure    the last good set stays in force; tried again after 1, 2, 4 … seconds; counted, and visible in the age of the keys
        staleness  keys that were not confirmed for `stale_s` are not trusted any more: UNAVAILABLE, not a wrong "forged"

A call that waits for a fetch waits in its own task and no longer than the fetch's time limit; the event loop never blocks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.reasons import Reason
from services.chassis.tokens.keys import VerificationKey, keys_of_set
from services.chassis.tokens.sources import choose

Fetch = Callable[[], Awaitable[bytes]]
"""Fetches a key set. Raises ChaparError with the reason of a failure."""
_BACKOFF_S: Final = 1.0
_MOST_WAITING: Final = 1000


@dataclass(slots=True)
class RefreshPlan:
    """When to fetch, and how long to trust the keys. Pure; times in seconds of one monotonic clock."""

    refresh_s: float
    cooldown_s: float
    stale_s: float
    _tried: float | None = None
    _good: float | None = None
    _failures: int = 0

    def succeeded(self, now: float) -> None:
        """Record that keys were fetched."""
        self._tried, self._good, self._failures = now, now, 0

    def failed(self, now: float) -> None:
        """Record that a fetch failed."""
        self._tried, self._failures = now, self._failures + 1

    def due_in(self, now: float) -> float:
        """Return the seconds until the next scheduled fetch."""
        if self._tried is None:
            return 0.0
        wait = min(self.refresh_s, _BACKOFF_S * 2 ** min(self._failures - 1, 16)) if self._failures else self.refresh_s
        return max(0.0, self._tried + wait - now)

    def asks_in(self, now: float) -> float:
        """Return the seconds until an unknown key id may trigger a fetch."""
        return 0.0 if self._tried is None else max(0.0, self._tried + self.cooldown_s - now)

    def believed(self, now: float) -> bool:
        """Return whether the newest keys are still trusted."""
        return self._good is not None and now - self._good <= self.stale_s


class RemoteKeys:
    """The keys of one URL; see the module. Implements `sources.KeySource`; `run` is its background task."""

    def __init__(
        self,
        issuer: str,
        fetch: Fetch,
        plan: RefreshPlan,
        metrics: Metrics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self.generation = 0
        self.on_known: Callable[[], None] = lambda: None
        self._fetch = fetch
        self._plan = plan
        self._monotonic = monotonic
        self._keys: Sequence[VerificationKey] = ()
        self._asked = asyncio.Event()
        self._done = asyncio.Event()
        self._waiting = 0
        fetches = metrics.counter("chapar_token_keys_fetches_total")
        # Both exist from the start: an alert on a rate would miss the first failure otherwise.
        self._fetches = {outcome: fetches.labels(issuer, outcome) for outcome in ("fetched", "failed")}
        self._fetched = metrics.gauge("chapar_token_keys_fetched_timestamp_seconds").labels(issuer)
        self._count = metrics.gauge("chapar_token_keys").labels(issuer)
        self._log = get_logger(__name__)

    def candidates(self, key_id: str) -> Sequence[VerificationKey]:
        """See `KeySource`."""
        if not self._plan.believed(self._monotonic()):
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.TOKEN_KEYS_UNAVAILABLE,
                f"the keys of {self.issuer} could not be fetched, so its tokens cannot be verified now",
                retry_after_s=_BACKOFF_S,
            )
        return choose(self._keys, key_id)

    async def fetch_for(self, key_id: str) -> None:
        """Wait for one fetch, unless the key id is known or a fetch was tried a moment ago."""
        now = self._monotonic()
        if self._plan.believed(now) and choose(self._keys, key_id):
            return
        if not self._asked.is_set() and self._plan.asks_in(now) > 0:
            return
        if self._waiting >= _MOST_WAITING:
            return  # a flood of invented key ids; each is refused with the known keys
        self._asked.set()
        self._waiting += 1
        try:
            await self._done.wait()  # bounded by the fetch's own time limit
        finally:
            self._waiting -= 1

    async def run(self) -> None:
        """Fetch for ever."""
        while True:
            try:
                async with asyncio.timeout(self._plan.due_in(self._monotonic())):
                    await self._asked.wait()
            except TimeoutError:
                self._asked.set()  # a fetch is due; calls that need it now wait for this fetch
            await self._refresh()
            self._asked.clear()
            self._done.set()
            self._done.clear()  # the calls that wait now are released, and no later ones

    async def _refresh(self) -> None:
        try:
            keys = keys_of_set(await self._fetch(), f"the key set of {self.issuer}")
        except ChaparError as error:
            self._plan.failed(self._monotonic())
            self._fetches["failed"].inc()
            self._log.warning("token keys not fetched", issuer=self.issuer, reason=error.reason, message=error.message)
            return
        self._plan.succeeded(self._monotonic())
        self._fetches["fetched"].inc()
        self._fetched.set(time.time())
        self._count.set(len(keys))
        if _names(keys) != _names(self._keys):
            self._log.info("token keys", issuer=self.issuer, key_ids=[key.key_id for key in keys])
        self._keys = keys
        self.generation += 1
        self.on_known()


def _names(keys: Sequence[VerificationKey]) -> list[str]:
    return [key.key_id for key in keys]
