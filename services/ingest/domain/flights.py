"""The attempts of one partition that are under way, the conversations that wait for a place, and the moments given to those that wait.

In memory only: an attempt that is under way is in the changelog as such; all else is found again by waking the conversation.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from services.ingest.domain.deliveries import Delivery, SenderLimits, Status, Thread

Account = tuple[str, str, str]
"""Tenant, channel, account."""

_MISSED_MS: Final = 1_000


class Flights:
    """See the module."""

    def __init__(self, limits: SenderLimits) -> None:
        self._limits = limits
        self._under_way: dict[str, Account] = {}
        self._by_account: Counter[Account] = Counter()
        self._freed: set[Account] = set()
        self._lines: dict[Account, deque[str]] = {}
        self._blocked: set[str] = set()
        self._turns: dict[tuple[str, int], int] = {}

    def room(self, account: Account) -> bool:
        """Whether one more attempt may begin by this account."""
        if len(self._under_way) >= self._limits.max_in_flight:
            return False
        return self._by_account[account] < self._limits.max_in_flight_account

    def turn(self, delivery: Delivery, now_ms: int, ask: Callable[[], int]) -> int:
        """The moment of a delivery's next attempt: asked for once.

        A moment that was missed by far is asked for again, or those that missed theirs together would leave together.
        """
        key = (delivery.delivery_id, delivery.number)
        turn = self._turns.get(key)
        if turn is None or turn < now_ms - _MISSED_MS:
            turn = self._turns[key] = ask()
        return turn

    def begin(self, thread: Thread, delivery: Delivery) -> None:
        """An attempt is under way."""
        account = account_of(thread)
        if account is not None and delivery.delivery_id not in self._under_way:
            self._under_way[delivery.delivery_id] = account
            self._by_account[account] += 1

    def changed(self, before: Thread | None, thread: Thread | None) -> None:
        """A conversation has another form: attempts have begun or ended. None: it is not known, or forgotten."""
        after = thread.deliveries if thread is not None else ()
        attempting = {each.delivery_id for each in after if each.status is Status.ATTEMPTING}
        waiting = {(each.delivery_id, each.number) for each in after if each.status is Status.WAITING}
        for delivery in before.deliveries if before is not None else ():
            if delivery.delivery_id not in attempting:
                self._end(delivery.delivery_id)
            if (delivery.delivery_id, delivery.number) not in waiting:
                self._turns.pop((delivery.delivery_id, delivery.number), None)
        for delivery in after:
            if thread is not None and delivery.status is Status.ATTEMPTING:
                self.begin(thread, delivery)

    def block(self, thread: Thread) -> None:
        """Its turn came while too much was under way: it waits in line."""
        account = account_of(thread)
        if account is not None and thread.place not in self._blocked:
            self._blocked.add(thread.place)
            self._lines.setdefault(account, deque()).append(thread.place)

    def blocked(self, place: str) -> bool:
        """Whether it waits in line."""
        return place in self._blocked

    def unblocked(self) -> Iterator[str]:
        """Conversations that may go on because others have ended, in their order; those that begin meanwhile are counted."""
        while self._freed:
            freed = self._freed.pop()
            # A place of the partition may be taken by any account.
            full = len(self._under_way) + 1 >= self._limits.max_in_flight
            for account in [freed, *(self._lines if full else ())]:
                line = self._lines.get(account)
                while line and self.room(account):
                    place = line.popleft()
                    self._blocked.discard(place)
                    yield place
                if line is not None and not line:
                    self._lines.pop(account, None)

    def _end(self, delivery_id: str) -> None:
        account = self._under_way.pop(delivery_id, None)
        if account is not None:
            self._by_account[account] -= 1
            if not self._by_account[account]:
                del self._by_account[account]
            self._freed.add(account)


def account_of(thread: Thread) -> Account | None:
    """By which account a conversation is answered."""
    if thread.route is None:
        return None
    return thread.tenant, thread.route.identity.channel, thread.route.identity.account
