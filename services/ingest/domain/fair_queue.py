"""Weighted fair queueing between tenants: decides which waiting entry is next. Pure.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): each entry gets a start tag, the larger of the virtual time and
its tenant's last finish tag; its finish tag is the start tag plus its cost divided by the tenant's weight. The entry
with the least start tag is next, and the virtual time becomes its start tag. A tenant that sends one message is served
after at most one message of each other tenant, however many of those wait. A tenant alone gets all capacity.
"""

import heapq
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

T = TypeVar("T")
_NO_WEIGHTS: Mapping[str, float] = MappingProxyType({})


class FairQueue(Generic[T]):
    """Waiting entries of tenants, with a maximum for each tenant."""

    def __init__(self, most_of_tenant: int, weights: Mapping[str, float] = _NO_WEIGHTS) -> None:
        self._most = most_of_tenant
        self._weights = weights
        self._heap: list[tuple[float, int, str, T]] = []
        self._waiting: Counter[str] = Counter()
        self._finish: dict[str, float] = {}
        self._virtual = 0.0
        self._count = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, tenant: str, cost: float, entry: T) -> bool:
        """Add an entry. Returns False, and changes nothing, when the tenant already has its maximum of waiting entries."""
        if self._waiting[tenant] >= self._most:
            return False
        start = max(self._virtual, self._finish.get(tenant, 0.0))
        self._finish[tenant] = start + cost / self._weights.get(tenant, 1.0)
        self._count += 1
        self._waiting[tenant] += 1
        heapq.heappush(self._heap, (start, self._count, tenant, entry))
        return True

    def pop(self) -> T | None:
        """Remove and return the next entry, or None when the queue is empty."""
        if not self._heap:
            return None
        start, _, tenant, entry = heapq.heappop(self._heap)
        self._virtual = start
        self._waiting[tenant] -= 1
        if not self._waiting[tenant]:
            del self._waiting[tenant]
        if not self._heap:
            # When no entry waits, all tenants are equal again; past use is forgotten.
            self._finish.clear()
            self._virtual = 0.0
        return entry
