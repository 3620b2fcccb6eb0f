"""When the queues and the channel accounts of a tenant are open."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.policy.model.business_time import OpeningHours, next_open_of_all

Moment = Callable[[int, int, str], str]
"""Shows an instant to a customer: the instant, the time now (both in ms) and the language."""


def _as_number(at_ms: int, _now_ms: int, _language: str) -> str:
    return str(at_ms)


@dataclass(frozen=True, slots=True)
class Closed:
    """Closed now. `opens_at_ms`: the next opening; None if there is none within a year."""

    opens_at_ms: int | None


@dataclass(frozen=True, slots=True)
class TenantHours:
    """The opening hours of a tenant's queues and accounts. A queue or an account without hours is always open."""

    queues: Mapping[str, OpeningHours] = field(default_factory=dict)
    accounts: Mapping[tuple[str, str], OpeningHours] = field(default_factory=dict)
    shown: Moment = _as_number

    def queue_open(self, queue: str, at_ms: int) -> bool:
        """Return whether a queue is open."""
        return _is_open(self.queues.get(queue), at_ms)

    def queue_closed(self, queue: str, at_ms: int) -> Closed | None:
        """Return that a queue is closed, and when it opens; None while it is open."""
        hours = self.queues.get(queue)
        opens_at_ms = at_ms if hours is None else hours.next_open(at_ms)
        return None if opens_at_ms == at_ms else Closed(opens_at_ms)

    def account_open(self, channel: str, account: str, at_ms: int) -> bool:
        """Return whether an account is open."""
        return _is_open(self.accounts.get((channel, account)), at_ms)

    def closed(self, queue: str, channel: str, account: str, at_ms: int) -> Closed | None:
        """Return that an interaction meets a closed queue or a closed account, and when both are open; None if both are
        open now."""
        of_both = (self.queues.get(queue), self.accounts.get((channel, account)))
        opens_at_ms = next_open_of_all([hours for hours in of_both if hours is not None], at_ms)
        return None if opens_at_ms == at_ms else Closed(opens_at_ms)


def _is_open(hours: OpeningHours | None, at_ms: int) -> bool:
    return hours is None or hours.next_open(at_ms) == at_ms
