"""Bytes that are held for callers who have not proved who they are: a total, a share for each peer, and a part kept back for small bodies.

A body is charged as it arrives and given back when it is no longer held. A body beyond the budget is refused at once, to be sent again: others'
small messages still find room in the part that large bodies may not touch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ByteShares:
    """`small`: a body up to this size may use the `reserve` too."""

    total: int
    per_peer: int
    reserve: int
    small: int = 64 << 10


class OverBudget(Exception):  # noqa: N818 - reads as what happened
    """No room for these bytes right now."""


class Held:
    """What one body holds. Made by `ByteBudget.body`."""

    __slots__ = ("_budget", "_peer", "_size")

    def __init__(self, budget: "ByteBudget", peer: str) -> None:
        self._budget = budget
        self._peer = peer
        self._size = 0

    def more(self, count: int) -> None:
        """Holds `count` bytes more. Raises OverBudget, and holds no more than before."""
        self._budget.take(self._peer, self._size, count)
        self._size += count

    def expect(self, size: int) -> None:
        """Raises OverBudget when a body of this size would find no room now; holds nothing."""
        self._budget.check(self._peer, self._size, size - self._size)

    def release(self) -> None:
        """Gives all back; a second time changes nothing."""
        size, self._size = self._size, 0
        self._budget.give(self._peer, size)


class ByteBudget:
    """The budget of a process."""

    def __init__(self, shares: ByteShares) -> None:
        self._shares = shares
        self._held = 0
        self._peers: dict[str, int] = {}

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    def open(self, peer: str) -> Held:
        """A body begins; "" is a peer without a share. `release` it."""
        return Held(self, peer)

    @contextmanager
    def body(self, peer: str) -> Iterator[Held]:
        """The same, for the time of a block."""
        held = self.open(peer)
        try:
            yield held
        finally:
            held.release()

    def check(self, peer: str, before: int, count: int) -> None:
        """Raises OverBudget when a body that holds `before` bytes can't hold `count` more."""
        shares = self._shares
        room = shares.total if before + count <= shares.small else shares.total - shares.reserve
        if self._held + count > room or (peer and self._peers.get(peer, 0) + count > shares.per_peer):
            raise OverBudget

    def take(self, peer: str, before: int, count: int) -> None:
        """Charges. Raises OverBudget."""
        self.check(peer, before, count)
        self._held += count
        if peer and count:
            self._peers[peer] = self._peers.get(peer, 0) + count

    def give(self, peer: str, count: int) -> None:
        """Gives back."""
        self._held -= count
        if peer and count:
            left = self._peers[peer] - count
            if left:
                self._peers[peer] = left
            else:
                del self._peers[peer]
