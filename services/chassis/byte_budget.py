"""Bytes held for callers who are not authenticated yet: a total, a share for each peer, and a reserve for small bodies.

A body is charged as it arrives and released when it is no longer held. A body beyond the budget is refused at once, and the client sends it
again: small messages of other clients still find space in the reserve, which large bodies cannot use.
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
    """The budget has no space for these bytes now."""


class Held:
    """The bytes that one body holds. Made by `ByteBudget.body`."""

    __slots__ = ("_budget", "_peer", "_size")

    def __init__(self, budget: "ByteBudget", peer: str) -> None:
        self._budget = budget
        self._peer = peer
        self._size = 0

    def more(self, count: int) -> None:
        """Hold `count` more bytes. Raises OverBudget, and then holds the same as before."""
        self._budget.take(self._peer, self._size, count)
        self._size += count

    def expect(self, size: int) -> None:
        """Raise OverBudget when a body of this size would not fit now; hold nothing."""
        self._budget.check(self._peer, self._size, size - self._size)

    def release(self) -> None:
        """Release all bytes; a second call changes nothing."""
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
        """Begin a body; "" is a peer without a share. Call `release` at its end."""
        return Held(self, peer)

    @contextmanager
    def body(self, peer: str) -> Iterator[Held]:
        """Begin a body and release it at the end of the block."""
        held = self.open(peer)
        try:
            yield held
        finally:
            held.release()

    def check(self, peer: str, before: int, count: int) -> None:
        """Raise OverBudget when a body that holds `before` bytes cannot hold `count` more."""
        shares = self._shares
        room = shares.total if before + count <= shares.small else shares.total - shares.reserve
        if self._held + count > room or (peer and self._peers.get(peer, 0) + count > shares.per_peer):
            raise OverBudget

    def take(self, peer: str, before: int, count: int) -> None:
        """Charge `count` bytes to the peer. Raises OverBudget."""
        self.check(peer, before, count)
        self._held += count
        if peer and count:
            self._peers[peer] = self._peers.get(peer, 0) + count

    def give(self, peer: str, count: int) -> None:
        """Release `count` bytes of the peer."""
        self._held -= count
        if peer and count:
            left = self._peers[peer] - count
            if left:
                self._peers[peer] = left
            else:
                del self._peers[peer]
