"""Which sockets get a place at a crowded address."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.pacing import Rate
from services.ingest.adapters.edges.webchat_gate import Entry, Gate, GateLimits, Turned

LIMITS = GateLimits(sockets=3, newcomers=Rate(0.001, 2), per_visitor=2)


@dataclass
class Street:
    """A gate, and the sockets that it refused."""

    gate: Gate = field(default_factory=lambda: Gate(LIMITS))
    sent_away: list[int] = field(default_factory=list)

    def knock(self, number: int, now_ms: int = 0, address: str = "here") -> Entry:
        return self.gate.knock(address, now_ms, lambda: self.sent_away.append(number))


def test_new_visitors_are_limited_by_time_and_returning_ones_are_not() -> None:
    """Two new visitors are accepted from one address and the third is refused; visitors elsewhere, or with a token, are
    accepted."""
    street = Street()
    for number in range(2):
        street.knock(number).newcomer(0)
    with pytest.raises(Turned, match="TOO_MANY_NEW_VISITORS"):
        street.knock(2).newcomer(0)
    street.knock(3, address="there").newcomer(0)
    for number in range(3):
        street.knock(number).returning(f"v{number}")
    with pytest.raises(Turned, match="TOO_MANY_SOCKETS_HERE"):
        street.knock(4).returning("v4")


def test_one_visitor_has_few_sockets() -> None:
    """From whatever addresses; a place that was given back can be used again."""
    street = Street()
    first = street.knock(0)
    first.returning("v")
    street.knock(1, address="there").returning("v")
    with pytest.raises(Turned, match="TOO_MANY_SOCKETS_OF_VISITOR"):
        street.knock(2, address="elsewhere").returning("v")
    first.leave()
    first.leave()
    street.knock(3, address="elsewhere").returning("v")


def test_the_socket_that_waits_longest_for_its_hello_is_closed() -> None:
    """Not in the first moment, when a hello may be on its way; in a flood even then."""
    street = Street()
    for number in range(5):
        street.knock(number, 0)
    assert street.sent_away == []
    street.knock(5, 5_000)
    assert street.sent_away == [0, 1, 2]
    for number in range(6, 40):
        street.knock(number, 5_000)
    assert len(street.sent_away) == 40 - 15


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["new", "back", "leave"]), st.sampled_from("ab")), max_size=60
    )
)
def test_no_state_remains_when_all_sockets_have_left(steps: list[tuple[int, str, str]]) -> None:
    """In whatever order they leave."""
    street = Street()
    here: list[Entry] = []
    for number, what, address in steps:
        if what == "leave" and here:
            here.pop(number % len(here)).leave()
            continue
        entry = street.knock(number, 0, address)
        try:
            if what == "new":
                entry.newcomer(0)
            else:
                entry.returning(f"v{number}")
        except Turned:
            entry.leave()
        else:
            here.append(entry)
    for entry in here:
        entry.leave()
    assert street.gate._counts == {}
    assert street.gate._waiting == {}
