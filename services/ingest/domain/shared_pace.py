"""The rate limit of a tenant, shared by its customers: a customer who writes too much is refused, the others are not. Pure.

A tenant spends `per_s` units a second on average and `burst` at once; messages beyond that wait in order, for a limited time
(the generic cell rate algorithm, ITU-T I.371). Spent units that are not available again yet are occupied. Of the units that
may be occupied, a customer may hold as many as are still free: the dynamic threshold of Choudhury and Hahne (1998). The last
quarter is for messages of customers who hold almost none. Without it, the large mails of one stranger would cause refusals for
all other customers of the tenant.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.chassis.pacing import Rate, Turn

_NO_WEIGHTS: Mapping[str, float] = MappingProxyType({})
_RESERVED: Final = 4  # this part is for modest customers
_MODEST: Final = 16  # who hold no more than this part of the whole, the new message included
_MOST_TENANTS: Final = 10_000


class _Spent:
    """What one tenant has spent and when it comes back."""

    __slots__ = ("busy_until", "held", "returning")

    def __init__(self) -> None:
        self.busy_until = -math.inf
        self.held: dict[str, float] = {}
        self.returning: deque[tuple[float, str, float]] = deque()

    def give_back(self, until: float) -> None:
        """Forgets what has come back by a time."""
        while self.returning and self.returning[0][0] <= until:
            _, customer, units = self.returning.popleft()
            self.held[customer] -= units
            if self.held[customer] < 1e-9:
                del self.held[customer]


class SharedPace:
    """The paces of many tenants. Times in seconds of any monotonic clock. Keeps an entry only for a tenant with occupied units."""

    def __init__(self, pace: Rate, most_wait_s: float, weights: Mapping[str, float] = _NO_WEIGHTS) -> None:
        """A `per_s` of 0 means no limit. `weights`: by tenant, the factor by which its rate is higher than that of others."""
        self._pace = pace
        self._most_wait_s = most_wait_s
        self._weights = weights
        self._tenants: OrderedDict[str, _Spent] = OrderedDict()

    def cost(self, tenant: str, messages: int, extra: float) -> float:
        """Units of a call. `extra`: for its bytes; one message never costs more than a quarter of what its tenant has."""
        return messages + min(extra, messages * self._capacity(tenant) / _RESERVED)

    def take(self, tenant: str, customer: str, units: float, now_s: float) -> Turn:
        """Spends units and says how long to wait for them; a refusal spends nothing."""
        weight = self._weights.get(tenant, 1.0)
        per_s = self._pace.per_s * weight
        if per_s <= 0:
            return Turn(0.0)
        rested = now_s - self._pace.burst * weight / per_s
        spent = self._tenants.get(tenant) or _Spent()
        spent.give_back(rested)
        busy = max(spent.busy_until, rested)
        free = self._capacity(tenant) - (busy - rested) * per_s
        held = spent.held.get(customer, 0.0)
        if busy > rested and not self._fits(tenant, held, units, free):
            # Not before those who wait now have gone: a call that comes back earlier is refused again, and that costs too.
            return Turn(max((units + held - free) / per_s, busy - now_s, 1.0 / per_s), refused=True)
        spent.busy_until = busy + units / per_s
        spent.held[customer] = held + units
        spent.returning.append((spent.busy_until, customer, units))
        self._tenants[tenant] = spent
        self._tenants.move_to_end(tenant)
        self._forget(rested)
        return Turn(max(0.0, busy - now_s))

    def _forget(self, rested: float) -> None:
        """Drops tenants that have everything back: the burst lasts as long for every weight."""
        while self._tenants:
            oldest = next(iter(self._tenants))
            if len(self._tenants) <= _MOST_TENANTS and self._tenants[oldest].busy_until > rested:
                return
            del self._tenants[oldest]

    def _fits(self, tenant: str, held: float, units: float, free: float) -> bool:
        if held + units <= free and units <= free - self._capacity(tenant) / _RESERVED:
            return True
        return held + units <= min(free, max(2.0, self._capacity(tenant) / _MODEST))

    def _capacity(self, tenant: str) -> float:
        """Units that may be occupied: the burst, what may wait, and the one at hand."""
        weight = self._weights.get(tenant, 1.0)
        return weight * (self._pace.burst + self._pace.per_s * self._most_wait_s) + 1.0

    @property
    def known(self) -> int:
        """Entries in memory."""
        return sum(1 + len(spent.held) + len(spent.returning) for spent in self._tenants.values())
