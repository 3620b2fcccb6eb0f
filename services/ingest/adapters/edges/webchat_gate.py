"""How many web chat sockets one address may have, and how many strangers may come from it, before any conversation exists.

A socket first waits for its hello; then it is a newcomer's, or that of a visitor who has come back and has proved it. Each kind has its own
allowance at an address: strangers never use up what returning visitors need. Where too many wait for their hello, the one that has waited
longest goes. Addresses are counted for each account apart, so that one tenant's crowd is not another's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.ingest.domain.limits import Limiter, Rate


@dataclass(frozen=True, slots=True)
class GateLimits:
    """At one address: sockets of each kind, and newcomers by time. `per_visitor`: sockets of one visitor, wherever."""

    sockets: int
    newcomers: Rate
    per_visitor: int


class Turned(Exception):  # noqa: N818 - reads as what happened
    """Away, with a reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_NEW: Final = "new"
_BACK: Final = "back"
_PATIENCE_MS: Final = 5_000
_BURST: Final = 5


class Entry:
    """One socket's place at the gate. `leave` when it closes."""

    __slots__ = ("_gate", "_give_up", "_held", "address")

    def __init__(self, gate: "Gate", address: str, give_up: Callable[[], None]) -> None:
        self._gate = gate
        self.address = address
        self._give_up = give_up
        self._held: tuple[str, ...] = ()

    def newcomer(self, now_ms: int) -> None:
        """A stranger, of whom nothing is known. Raises Turned."""
        self._gate._told(self)
        if self._gate._newcomers.take(self.address, now_ms) > 0:
            raise Turned("TOO_MANY_NEW_VISITORS")
        self._hold((f"{_NEW}/{self.address}", self._gate._limits.sockets, "TOO_MANY_SOCKETS_HERE"))

    def returning(self, visitor: str) -> None:
        """A visitor who has proved who they are. Raises Turned."""
        self._gate._told(self)
        self._hold(
            (f"{_BACK}/{self.address}", self._gate._limits.sockets, "TOO_MANY_SOCKETS_HERE"),
            (f"visitor/{visitor}", self._gate._limits.per_visitor, "TOO_MANY_SOCKETS_OF_VISITOR"),
        )

    def leave(self) -> None:
        """The socket is gone."""
        self._gate._told(self)
        for key in self._held:
            self._gate._give(key)
        self._held = ()

    def give_up(self) -> None:
        """Another one needs the place."""
        self._give_up()

    def _hold(self, *wanted: tuple[str, int, str]) -> None:
        for key, most, reason in wanted:
            if self._gate._counts.get(key, 0) >= most:
                raise Turned(reason)
        for key, _, _ in wanted:
            self._gate._counts[key] = self._gate._counts.get(key, 0) + 1
        self._held = tuple(key for key, _, _ in wanted)


class Gate:
    """One for all sockets of the process."""

    def __init__(self, limits: GateLimits) -> None:
        self._limits = limits
        self._newcomers = Limiter(limits.newcomers)
        self._waiting: dict[str, dict[Entry, int]] = {}
        self._counts: dict[str, int] = {}

    def knock(self, address: str, now_ms: int, give_up: Callable[[], None]) -> Entry:
        """A socket that has not said hello. `give_up` is called when its place is needed by another one before it has.

        In a burst every hello may be under way, so a moment's patience is had with each, up to a bound.
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
        """It waits no longer."""
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
