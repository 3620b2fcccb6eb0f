"""For how long readers of committed records have been waiting at one offset: behind it, a transaction is open."""

from collections.abc import Collection
from typing import NamedTuple

from services.chassis.kafka.transactions.contents import Place


class Waiting(NamedTuple):
    """Readers wait at `offset`. `since`: when that was seen first, in seconds of the caller's clock."""

    offset: int
    since: float


class OpenAges:
    """Remembers the offsets at which readers wait, by partition. Transactions that follow one another move the offset."""

    def __init__(self) -> None:
        self.waiting: dict[Place, Waiting] = {}

    def note(self, place: Place, stable: int, end: int, now: float) -> float:
        """Note the end of what readers see and the end of a partition. Return the seconds for which readers have been waiting at it."""
        if stable >= end:
            self.waiting.pop(place, None)
            return 0.0
        known = self.waiting.get(place)
        if known is None or known.offset != stable:
            known = self.waiting[place] = Waiting(stable, now)
        return now - known.since

    def keep(self, places: Collection[Place]) -> None:
        """Forget all other partitions."""
        for place in self.waiting.keys() - set(places):
            del self.waiting[place]
