"""How many web chat sockets one address may have, and how many new visitors it may bring, before any conversation
exists.

A socket first waits for its hello. Then it belongs to a new visitor, or to a returning visitor who has proved it.
Each kind has its own allowance at an address: new visitors never use up the allowance of returning ones. When too
many sockets wait for their hello, the one that has waited longest is closed. Addresses are counted separately for
each account, so that one tenant's traffic does not limit another's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.chassis.pacing import Rate
from services.ingest.domain.limits import Limiter


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Limits for one address: sockets of each kind, and new visitors by time. `per_visitor`: sockets of one visitor,
    from all addresses."""

    sockets: int
    newcomers: Rate
    per_visitor: int


@dataclass(frozen=True, slots=True)
class WebchatLimits:
    """Limits per socket, per address, and for all sockets. Times in seconds."""

    sockets: int
    gate: GateLimits
    idle_s: float
    rate: Rate
    token_s: float
    origins: tuple[str, ...]


class Turned(Exception):  # noqa: N818 - the name reads as what happened
    """The socket is refused, with a reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_NEW: Final = "new"
_BACK: Final = "back"
_PATIENCE_MS: Final = 5_000
_BURST: Final = 5


class Entry:
    """One socket's place at the gate. Call `leave` when it closes."""

    __slots__ = ("_gate", "_give_up", "_held", "address")

    def __init__(self, gate: "Gate", address: str, give_up: Callable[[], None]) -> None:
        self._gate = gate
        self.address = address
        self._give_up = give_up
        self._held: tuple[str, ...] = ()

    def newcomer(self, now_ms: int) -> None:
        """Count the socket as a new visitor's. Raises Turned."""
        self._gate._told(self)
        if self._gate._newcomers.take(self.address, now_ms) > 0:
            raise Turned("TOO_MANY_NEW_VISITORS")
        self._hold((f"{_NEW}/{self.address}", self._gate._limits.sockets, "TOO_MANY_SOCKETS_HERE"))

    def returning(self, visitor: str) -> None:
        """Count the socket as that of a visitor who has proved who they are. Raises Turned."""
        self._gate._told(self)
        self._hold(
            (f"{_BACK}/{self.address}", self._gate._limits.sockets, "TOO_MANY_SOCKETS_HERE"),
            (f"visitor/{visitor}", self._gate._limits.per_visitor, "TOO_MANY_SOCKETS_OF_VISITOR"),
        )

    def leave(self) -> None:
        """Give the place back: the socket is closed."""
        self._gate._told(self)
        for key in self._held:
            self._gate._give(key)
        self._held = ()

    def give_up(self) -> None:
        """Close the socket: another one needs its place."""
        self._give_up()

    def _hold(self, *wanted: tuple[str, int, str]) -> None:
        for key, most, reason in wanted:
            if self._gate._counts.get(key, 0) >= most:
                raise Turned(reason)
        for key, _, _ in wanted:
            self._gate._counts[key] = self._gate._counts.get(key, 0) + 1
        self._held = tuple(key for key, _, _ in wanted)


class Gate:
    """Counts all sockets of the process."""

    def __init__(self, limits: GateLimits) -> None:
        self._limits = limits
        self._newcomers = Limiter(limits.newcomers)
        self._waiting: dict[str, dict[Entry, int]] = {}
        self._counts: dict[str, int] = {}

    def knock(self, address: str, now_ms: int, give_up: Callable[[], None]) -> Entry:
        """Register a socket that has not said hello. `give_up` is called when another socket needs its place before the
        hello.

        In a burst every hello may be on its way, so each socket gets a short time first, up to a bound.
        """
        entry = Entry(self, address, give_up)
        waiting = self._waiting.setdefault(address, {})
        while len(waiting) >= self._limits.sockets:
            longest, since_ms = next(iter(waiting.items()))
            if now_ms - since_ms < _PATIENCE_MS and len(waiting) < _BURST * self._limits.sockets:
                break
            del waiting[longest]
            longest.give_up()
        waiting[entry] = now_ms
        return entry

    def _told(self, entry: Entry) -> None:
        """Remove the entry from the sockets that wait for their hello."""
        waiting = self._waiting.get(entry.address)
        if waiting is None:
            return
        waiting.pop(entry, None)
        if not waiting:
            del self._waiting[entry.address]

    def _give(self, key: str) -> None:
        left = self._counts[key] - 1
        if left:
            self._counts[key] = left
        else:
            del self._counts[key]
