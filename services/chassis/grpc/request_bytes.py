"""Limits the bytes of requests in progress, because slots do not limit the size of requests. Pure.

A tenant may hold as many bytes as are free, as with slots, so one tenant gets at most half and others always get some.
"""

from collections import Counter

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.reasons import Reason

_RETRY_AFTER_S = 1.0


class RequestBytes:
    """The budget of one server. Keeps an entry for tenants with a request in progress and for no others."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._tenants: Counter[str] = Counter()
        self.taken = 0

    def take(self, tenant: str, size: int) -> None:
        """Count a request. Raises EXHAUSTED TOO_MANY_BYTES when the tenant holds too many."""
        if self._tenants[tenant] + size > self._total - self.taken:
            raise ChaparError(
                ErrorKind.EXHAUSTED,
                Reason.TOO_MANY_BYTES,
                "the requests in progress are too large together: send fewer at once, or try again later",
                retry_after_s=_RETRY_AFTER_S,
            )
        if size:
            self._tenants[tenant] += size
            self.taken += size

    def release(self, tenant: str, size: int) -> None:
        """Remove a request that has ended."""
        self.taken -= size
        self._tenants[tenant] -= size
        if self._tenants[tenant] <= 0:
            del self._tenants[tenant]

    @property
    def known(self) -> int:
        """Return the number of tenants with an entry."""
        return len(self._tenants)
