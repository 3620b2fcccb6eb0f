"""The table of connections: shares, deadlines, and which connection loses its seat to another."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.connections import UNCOUNTED, ConnectionLimits, Connections, Seat, Stage

LIMITS = ConnectionLimits(
    total=10, per_peer=4, head_s=10, idle_s=20, body_s=30, progress_s=5, progress_bytes=100, write_s=7, closing_s=2
)


class Clock:
    """Seconds, moved by the test."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Owner:
    """A connection that remembers each expiry, and leaves when it must leave at once."""

    table: Connections
    told: list[tuple[Stage, bool]] = field(default_factory=list)
    seat: Seat | None = None

    def expire(self, stage: Stage, *, evicted: bool) -> None:
        self.told.append((stage, evicted))
        if self.seat is not None and (evicted or stage is Stage.CLOSING):
            self.table.leave(self.seat)


@dataclass
class Hall:
    """A table and its clock."""

    clock: Clock = field(default_factory=Clock)
    limits: ConnectionLimits = LIMITS
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = Connections(self.limits, self.clock, self.reasons.append)

    def come(self, peer: str, stage: Stage = Stage.HEAD) -> Owner:
        owner = Owner(self.table)
        owner.seat = self.table.admit(owner, peer)
        if owner.seat is not None:
            self.table.move(owner.seat, stage)
        return owner

    def pass_(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now = min(until, self.clock.now + 0.5)
            self.table.sweep()


@pytest.mark.parametrize(("stage", "limit"), [(Stage.HEAD, 10), (Stage.IDLE, 20), (Stage.WRITE, 7)])
def test_each_stage_has_its_deadline(stage: Stage, limit: float) -> None:
    """The seat expires not before the deadline, and then once; the end itself has a deadline too."""
    hall = Hall()
    owner = hall.come("a", stage)
    hall.pass_(limit - 0.5)
    assert owner.told == []
    hall.pass_(0.5)
    assert owner.told == [(stage, False)]
    hall.pass_(2)
    assert owner.told == [(stage, False), (Stage.CLOSING, False)]
    assert len(hall.table) == 0


def test_a_body_must_make_progress_and_come_to_an_end() -> None:
    """A slow body ends at the first interval without enough bytes; a steady one at the deadline for the whole body."""
    hall = Hall()
    trickle, steady = hall.come("a", Stage.BODY), hall.come("b", Stage.BODY)
    assert trickle.seat is not None
    assert steady.seat is not None
    for _ in range(5):
        trickle.seat.bytes += 1
        steady.seat.bytes += 100
        hall.pass_(5)
    assert trickle.told[0] == (Stage.BODY, False)
    assert steady.told == []
    steady.seat.bytes += 100
    hall.pass_(5)
    assert steady.told == [(Stage.BODY, False)]


def test_slow_work_of_the_server_does_not_close_the_clients_connection() -> None:
    """Work has its own, long deadline."""
    hall = Hall()
    owner = hall.come("a", Stage.WORK)
    hall.pass_(119)
    assert owner.told == []


def test_a_peer_above_its_share_loses_its_idlest_seats() -> None:
    """Idle seats go before seats with half a head, older before newer, a new head not yet; work in progress never."""
    hall = Hall()
    work, head, old, new = (hall.come("a", stage) for stage in (Stage.WORK, Stage.HEAD, Stage.IDLE, Stage.IDLE))
    hall.pass_(1.5)
    young = hall.come("a")
    hall.table.sweep()
    assert (old.told, new.told, head.told, work.told) == ([(Stage.IDLE, True)], [], [], [])
    assert hall.come("a").seat is not None, "the fifth, above the share of four: five are half of the table"
    hall.table.sweep()
    assert new.told == [(Stage.IDLE, True)]
    assert hall.come("b").seat is not None, "a seat of another peer"
    hall.come("a")
    hall.table.sweep()
    assert (head.told, young.told, work.told) == ([(Stage.HEAD, True)], [], [])


def test_a_peer_has_a_share_of_requests_at_once() -> None:
    """The request above the share is refused, unless another one stalls half-way through its body."""
    hall = Hall()
    for _ in range(3):
        hall.come("a", Stage.WORK)
    body = hall.come("a", Stage.BODY)
    waiting = hall.come("a")
    assert waiting.seat is not None
    assert body.seat is not None
    assert not hall.table.may_work(waiting.seat)
    assert hall.table.may_work(body.seat), "it has a request in progress already"
    body.seat.bytes = 1
    hall.pass_(1)
    assert not hall.table.may_work(waiting.seat)
    body.seat.bytes = 0
    assert hall.table.may_work(waiting.seat)
    assert body.told == [(Stage.BODY, True)]


def test_open_sockets_are_bounded_and_the_first_stay() -> None:
    """A peer may have two shares of sockets; sockets above that are closed, the newest first."""
    hall = Hall(limits=ConnectionLimits(total=100, per_peer=4))
    sockets = [hall.come("a", Stage.OPEN) for _ in range(12)]
    hall.pass_(1)
    assert [bool(socket.told) for socket in sockets] == [False] * 8 + [True] * 4


def test_a_full_table_takes_the_seat_that_has_waited_longest() -> None:
    """When all connections have work in progress, the newcomer is refused."""
    hall = Hall(limits=ConnectionLimits(total=10, per_peer=5))
    first = hall.come("p0", Stage.IDLE)
    others = [hall.come(f"p{number}", Stage.WORK) for number in range(1, 10)]
    hall.pass_(1)
    assert hall.come("late", Stage.WORK).seat is not None
    assert first.told == [(Stage.IDLE, True)]
    assert hall.come("later").seat is None
    assert all(other.told == [] for other in others)


def test_a_small_total_is_never_one_peers_alone() -> None:
    """A share is at most half of the total."""
    hall = Hall(limits=ConnectionLimits(total=10, per_peer=256))
    assert sum(hall.come("a", Stage.WORK).seat is not None for _ in range(20)) == 5


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from(["a", "b", "c", UNCOUNTED]), st.sampled_from(list(Stage))),
        st.tuples(st.just("move"), st.integers(0, 30), st.sampled_from(list(Stage))),
        st.tuples(st.just("leave"), st.integers(0, 30), st.just(Stage.HEAD)),
        st.tuples(st.just("wait"), st.integers(1, 40), st.just(Stage.HEAD)),
    ),
    max_size=120,
)


@given(_STEPS)
def test_counts_are_right_whatever_happens(steps: list[tuple[str, str | int, Stage]]) -> None:
    """Shares and totals are right at every step, and after all have left nothing is remembered."""
    hall = Hall()
    here: list[Owner] = []
    for what, which, stage in steps:
        if what == "come":
            owner = hall.come(str(which), stage)
            if owner.seat is not None:
                here.append(owner)
        elif what == "wait":
            hall.pass_(float(which))
        elif here:
            owner = here[int(which) % len(here)]
            assert owner.seat is not None
            if what == "move":
                hall.table.move(owner.seat, stage)
            else:
                hall.table.leave(owner.seat)
        here = [owner for owner in here if owner.seat is not None and owner.seat.owner is not None]
        assert len(hall.table) == len(here) <= LIMITS.total
        for peer in ("a", "b", "c"):
            assert hall.table.of_peer(peer) == sum(o.seat is not None and o.seat.peer.name == peer for o in here)
            assert hall.table.of_peer(peer) <= LIMITS.total // 2
    for owner in here:
        assert owner.seat is not None
        hall.table.leave(owner.seat)
    assert len(hall.table) == sum(hall.table.stages().values()) == 0
    assert hall.table._peers == {}
