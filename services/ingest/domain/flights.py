"""The in-flight attempts of one partition, the conversations that wait for capacity, and the times reserved for waiting
deliveries.

Kept in memory only. In-flight attempts are also in the changelog; everything else is rebuilt when the conversations are
woken.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from services.ingest.domain.deliveries import Delivery, SenderConversation, SenderLimits, Status

Account = tuple[str, str, str]
"""Tenant, channel, account."""

_MISSED_MS: Final = 1_000


class Flights:
    """Tracks in-flight attempts and blocked conversations; see the module's docstring."""

    def __init__(self, limits: SenderLimits) -> None:
        self._limits = limits
        self._under_way: dict[str, Account] = {}
        self._by_account: Counter[Account] = Counter()
        self._freed: set[Account] = set()
        self._lines: dict[Account, deque[str]] = {}
        self._blocked: set[str] = set()
        self._turns: dict[tuple[str, int], int] = {}

    def room(self, account: Account) -> bool:
        """Return whether this account may start one more attempt."""
        if len(self._under_way) >= self._limits.max_in_flight:
            return False
        return self._by_account[account] < self._limits.max_in_flight_account

    def turn(self, delivery: Delivery, now_ms: int, ask: Callable[[], int]) -> int:
        """Return the time reserved for a delivery's next attempt; `ask` is called once.

        A time that was missed by a long way is reserved again. Otherwise all deliveries that missed their times would
        leave at once.
        """
        key = (delivery.delivery_id, delivery.number)
        turn = self._turns.get(key)
        if turn is None or turn < now_ms - _MISSED_MS:
            turn = self._turns[key] = ask()
        return turn

    def begin(self, conversation: SenderConversation, delivery: Delivery) -> None:
        """Record that an attempt is in flight."""
        account = account_of(conversation)
        if account is not None and delivery.delivery_id not in self._under_way:
            self._under_way[delivery.delivery_id] = account
            self._by_account[account] += 1

    def changed(self, before: SenderConversation | None, conversation: SenderConversation | None) -> None:
        """Update from a conversation's change: attempts started or ended. None: the conversation is unknown, or was
        forgotten."""
        after = conversation.deliveries if conversation is not None else ()
        attempting = {each.delivery_id for each in after if each.status is Status.ATTEMPTING}
        waiting = {(each.delivery_id, each.number) for each in after if each.status is Status.WAITING}
        for delivery in before.deliveries if before is not None else ():
            if delivery.delivery_id not in attempting:
                self._end(delivery.delivery_id)
            if (delivery.delivery_id, delivery.number) not in waiting:
                self._turns.pop((delivery.delivery_id, delivery.number), None)
        for delivery in after:
            if conversation is not None and delivery.status is Status.ATTEMPTING:
                self.begin(conversation, delivery)

    def block(self, conversation: SenderConversation) -> None:
        """Put a conversation into the waiting line because too many attempts are in flight."""
        account = account_of(conversation)
        if account is not None and conversation.place not in self._blocked:
            self._blocked.add(conversation.place)
            self._lines.setdefault(account, deque()).append(conversation.place)

    def blocked(self, place: str) -> bool:
        """Return whether the conversation is in the waiting line."""
        return place in self._blocked

    def unblocked(self) -> Iterator[str]:
        """Yield the conversations that may continue because other attempts ended, in waiting order.

        Attempts that start during the iteration are counted.
        """
        while self._freed:
            freed = self._freed.pop()
            # Any account may use a free slot of the partition.
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


def account_of(conversation: SenderConversation) -> Account | None:
    """Return the account by which a conversation is answered."""
    if conversation.route is None:
        return None
    return conversation.tenant, conversation.route.identity.channel, conversation.route.identity.account
