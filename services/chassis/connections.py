"""Which connections may stay open, and for how long: one table for all HTTP and SMTP listeners.

A connection has a seat, a seat has a stage, each stage has a deadline. Within a stage all seats have the same deadline, so each stage is a
list in the order of entering and only its head is checked: a request costs two moves, whatever the number of connections.

A peer may have a share of busy connections, and a share of connections in total. Seats above the share that only wait for bytes from their
client are taken away, the longest-waiting first; a short delay lets a burst send its requests. When the table is full, the peer with the
most connections loses a waiting seat. So a newcomer with a complete request gets in, and clients that hold idle connections lose them.
"""

import enum
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from services.chassis.metrics import Metrics
from services.chassis.reasons import Reason


class Stage(enum.IntEnum):
    """What a connection waits for."""

    HEAD = 0
    """The rest of a request's head; for a new connection, the whole head."""
    IDLE = 1
    """The next request."""
    BODY = 2
    """The rest of a body."""
    WORK = 3
    """Us."""
    WRITE = 4
    """The client, which must read before the server can write more."""
    OPEN = 5
    """No deadline here: a socket with its own heartbeat."""
    CLOSING = 6
    """The end of the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """The number of connections, and seconds for each stage. A body needs `progress_bytes` in each `progress_s`, besides its deadline."""

    total: int = 25_000
    per_peer: int = 256
    head_s: float = 10.0
    idle_s: float = 15.0
    body_s: float = 30.0
    progress_s: float = 5.0
    progress_bytes: int = 512
    work_s: float = 120.0
    write_s: float = 20.0
    closing_s: float = 2.0


class Owner(Protocol):
    """A connection, as the table uses it."""

    def expire(self, stage: Stage, *, evicted: bool) -> None:
        """The seat is lost: answer if that is possible, and close. In the stage CLOSING: close at once. Must not raise."""


class Peer:
    """The source of connections. `busy`: the number of its connections with a request in progress."""

    __slots__ = ("busy", "name", "seats")

    def __init__(self, name: str) -> None:
        self.name = name
        self.busy = 0
        self.seats: dict[Seat, None] = {}


class Seat:
    """A connection's place in the table. Add the bytes of a body that arrive to `bytes`."""

    __slots__ = ("began", "bytes", "owner", "peer", "since", "stage")

    def __init__(self, owner: Owner, peer: Peer, now: float) -> None:
        self.owner: Owner | None = owner
        self.peer = peer
        self.stage = Stage.HEAD
        self.since = now
        self.began = now
        self.bytes = 0


_TAKEN_AWAY: Final = (Stage.CLOSING, Stage.IDLE, Stage.HEAD)
"""Stages in which a seat may be taken away for another connection, in this order."""
_BUSY: Final = tuple(stage in (Stage.BODY, Stage.WORK, Stage.WRITE) for stage in Stage)
_OPEN_SHARES: Final = 2
"""Open WebSockets of a peer, in shares. The application decides who may open one; this bounds the number that it lets in."""
_YOUNG_S: Final = 1.0
_BURST: Final = 16
"""The multiple of its share that a peer may open at once, for the moment until the first bytes arrive."""
_STALLED_S: Final = 1.0
_LOOKED_AT: Final = 64
UNCOUNTED: Final = ""
"""The peer of connections without a share: those of a trusted proxy, which represents many clients."""


class Connections:
    """The table. `clock` returns seconds; `dropped` is called with the reason, a short word, when a connection is closed or refused."""

    def __init__(
        self,
        limits: ConnectionLimits,
        clock: Callable[[], float],
        dropped: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._dropped = dropped
        self._now = clock()
        self._lines: dict[Stage, OrderedDict[Seat, None]] = {stage: OrderedDict() for stage in Stage}
        self._uncounted = Peer(UNCOUNTED)
        self._peers: dict[str, Peer] = {}
        self._crowded: dict[Peer, None] = {}
        self._open = 0
        # Even when the total is low, one peer must not get all of it.
        half = max(1, limits.total // 2)
        self._share = min(limits.per_peer, half)
        self._burst = min(_BURST * limits.per_peer, half)
        self._deadlines = {
            Stage.HEAD: limits.head_s,
            Stage.IDLE: limits.idle_s,
            Stage.BODY: min(limits.progress_s, limits.body_s),
            Stage.WORK: limits.work_s,
            Stage.WRITE: limits.write_s,
            Stage.CLOSING: limits.closing_s,
        }

    def __len__(self) -> int:
        return self._open

    def of_peer(self, name: str) -> int:
        """Return the number of connections of one peer."""
        peer = self._peers.get(name)
        return len(peer.seats) if peer is not None else 0

    def stages(self) -> Counter[Stage]:
        """The number of connections in each stage."""
        return Counter({stage: len(line) for stage, line in self._lines.items()})

    def admit(self, owner: Owner, name: str) -> Seat | None:
        """Return a seat in the stage HEAD; None when none is free and none can be taken away."""
        self._now = self._clock()
        peer = self._uncounted if name == UNCOUNTED else self._peers.get(name) or Peer(name)
        if peer is not self._uncounted and len(peer.seats) >= self._share:
            self._crowded[peer] = None
            if len(peer.seats) >= self._burst:
                self._dropped(Reason.PEER_REFUSED)
                return None
        if self._open >= self._limits.total:
            loser = self._loser()
            if loser is None:
                self._dropped(Reason.ALL_REFUSED)
                return None
            self._end(loser, loser.stage, Reason.ALL_FULL, evicted=True)
        seat = Seat(owner, peer, self._now)
        self._lines[Stage.HEAD][seat] = None
        self._open += 1
        if peer is not self._uncounted:
            self._peers[name] = peer
            peer.seats[seat] = None
        return seat

    def may_work(self, seat: Seat) -> bool:
        """Return whether the peer's share allows one more request. A request that stalls within its body loses its seat."""
        peer = seat.peer
        if _BUSY[seat.stage] or peer.busy < self._share or peer is self._uncounted:
            return True
        stalled = [
            each
            for each in peer.seats
            if each.stage is Stage.BODY and not each.bytes and self._now - each.since >= _STALLED_S
        ]
        if not stalled:
            self._dropped(Reason.PEER_BUSY)
            return False
        self._end(min(stalled, key=lambda each: each.since), Stage.BODY, Reason.PEER_FULL, evicted=True)
        return True

    def move(self, seat: Seat, stage: Stage) -> None:
        """Enter a stage; its deadline begins. Entering the current stage changes nothing."""
        if seat.stage is stage or seat.owner is None:
            return
        del self._lines[seat.stage][seat]
        seat.peer.busy += _BUSY[stage] - _BUSY[seat.stage]
        seat.stage = stage
        seat.since = self._now
        if stage is Stage.BODY:
            seat.began, seat.bytes = self._now, 0
        self._lines[stage][seat] = None

    def leave(self, seat: Seat) -> None:
        """Remove a connection that is gone. Leaving twice changes nothing."""
        if seat.owner is None:
            return
        seat.owner = None
        del self._lines[seat.stage][seat]
        self._open -= 1
        peer = seat.peer
        peer.busy -= _BUSY[seat.stage]
        if peer is not self._uncounted:
            del peer.seats[seat]
            if not peer.seats:
                del self._peers[peer.name]

    def sweep(self) -> None:
        """Close connections past their deadline or above their share. Call it a few times a second."""
        self._now = self._clock()
        for stage, limit in self._deadlines.items():
            line = self._lines[stage]
            while line:
                seat = next(iter(line))
                if self._now - seat.since < limit:
                    break
                if stage is Stage.BODY and self._arrives(seat):
                    line.move_to_end(seat)
                    continue
                self._end(seat, stage, f"{stage.name}_DEADLINE", evicted=False)
        for peer in tuple(self._crowded):
            self._thin_out(peer)

    def _loser(self) -> Seat | None:
        """Among the seats that have waited longest, return one of the peer with the most connections."""
        waiting = [seat for stage in _TAKEN_AWAY for seat in islice(self._lines[stage], _LOOKED_AT)]
        return max(waiting, key=lambda seat: len(seat.peer.seats), default=None)

    def _arrives(self, seat: Seat) -> bool:
        """Return whether a body may continue; if so, its next interval begins."""
        if self._now - seat.began >= self._limits.body_s or seat.bytes < self._limits.progress_bytes:
            return False
        seat.since, seat.bytes = self._now, 0
        return True

    def _thin_out(self, peer: Peer) -> None:
        above = len(peer.seats) - self._share
        if above <= 0:
            del self._crowded[peer]
            return
        waiting = [
            seat
            for seat in peer.seats
            if seat.stage in _TAKEN_AWAY and (seat.stage is not Stage.HEAD or self._now - seat.since >= _YOUNG_S)
        ]
        waiting.sort(key=lambda seat: (_TAKEN_AWAY.index(seat.stage), seat.since))
        for seat in waiting[:above]:
            self._end(seat, seat.stage, Reason.PEER_FULL, evicted=True)
        # The newest are closed: conversations in progress continue.
        for seat in [seat for seat in peer.seats if seat.stage is Stage.OPEN][_OPEN_SHARES * self._share :]:
            self._end(seat, Stage.OPEN, Reason.PEER_FULL, evicted=True)

    def _end(self, seat: Seat, stage: Stage, reason: str, *, evicted: bool) -> None:
        owner = seat.owner
        if stage is Stage.CLOSING:
            # Call again at the next deadline, in case the transport did not close.
            seat.since = self._now
            self._lines[stage].move_to_end(seat)
        else:
            self._dropped(reason)
            self.move(seat, Stage.CLOSING)
        if owner is not None:
            owner.expire(stage, evicted=evicted)


def dropped_counter(metrics: Metrics, listener: str) -> Callable[[str], None]:
    """Return a function that counts dropped connections of a listener, by reason."""
    counter = metrics.counter("chapar_connections_dropped_total")
    for reason in (Reason.PEER_REFUSED, Reason.ALL_REFUSED, Reason.PEER_BUSY, Reason.PEER_FULL, Reason.ALL_FULL):
        counter.labels(listener, reason)

    def count(reason: str) -> None:
        counter.labels(listener, reason).inc()

    return count
