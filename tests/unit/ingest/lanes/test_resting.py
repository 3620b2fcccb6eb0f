"""States at rest come back as they were, when they are needed or due."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.ids import derive
from services.ingest.lanes.packer import Account, Packer
from services.ingest.lanes.resting import SLOT_MS, RestingStates, State
from tests.unit.ingest.lanes.builders import NOW

ACCOUNT = ("acme", "webchat", "site")


def a_sample(account: Account) -> tuple[str, tuple[bytes, ...]]:
    """Return a small sample."""
    return f"{account[0]}/x", (b"\xd9\x24" + derive("sample").encode() + "/".join(account).encode(),)


IDS = st.integers(0, 9).map(lambda number: b"\xd9\x24" + derive(str(number)).encode())
LIKE_IDS = st.binary(min_size=16, max_size=16).map(lambda raw: b"\xc4\x10" + raw)
PLAIN = st.lists(st.one_of(IDS, LIKE_IDS, st.binary(max_size=40)), max_size=8).map(b"".join)


@settings(max_examples=200)
@given(PLAIN, st.binary(max_size=8), st.sampled_from([ACCOUNT, ("acme", "email", "help"), ("", "", "")]))
def test_any_state_is_unpacked_as_it_was(plain: bytes, behind: bytes, account: Account) -> None:
    """Also one with bytes that look like a binary id."""
    packer = Packer(lambda of: b"".join(a_sample(of)[1]))
    packer.pack(ACCOUNT, b"another")
    assert packer.unpack(packer.pack(account, plain) + behind) == (plain, behind)


def test_more_accounts_than_samples_share_the_first() -> None:
    """So an installation with a thousand accounts does not keep a thousand samples."""
    packer = Packer(lambda account: "/".join(account).encode())
    packed = [packer.pack(("acme", "email", str(number)), str(number).encode()) for number in range(300)]
    assert [packer.unpack(each)[0] for each in packed] == [str(number).encode() for number in range(300)]


STATES = st.builds(
    State,
    value=st.one_of(st.none(), st.binary(max_size=30)),
    seen=st.binary(max_size=30),
    key=st.sampled_from([b"", b"\x01", b"k" * 16]),
    due_ms=st.one_of(st.none(), st.integers(NOW, NOW + 5 * SLOT_MS)),
)
NAMES = st.sampled_from(["acme/1", "acme/2", "acme/a/b", "other/1", "ä/1"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, STATES),
        st.tuples(st.just("take"), NAMES, st.none()),
        st.tuples(st.just("wait"), st.integers(1, 2 * SLOT_MS), st.none()),
    ),
    max_size=60,
)


@settings(max_examples=150)
@given(STEPS)
def test_each_state_is_taken_back_once_or_named_when_it_is_due(steps: list[tuple[str, object, State | None]]) -> None:
    """Never before its time, and at most a slot later, however often it was taken and put again before."""
    resting, wanted, now = RestingStates(a_sample), dict[str, State](), NOW
    for what, given_, state in steps:
        if what == "put" and isinstance(given_, str) and state is not None and given_ not in wanted:
            if state.due_ms is not None and state.due_ms <= now:
                continue  # the lane puts no state to rest that is due
            resting.put(given_, ACCOUNT, state)
            wanted[given_] = state
        elif what == "take" and isinstance(given_, str):
            assert same(resting.take(given_), wanted.pop(given_, None))
        elif isinstance(given_, int):
            now += given_
            while (wakeup := resting.next()) is not None and wakeup <= now:
                for name in resting.pop_due(max(wakeup, now), most=2):
                    due_ms = wanted[name].due_ms
                    assert due_ms is not None
                    assert due_ms <= now
                    assert same(resting.take(name), wanted.pop(name))
                now += 1
            late = [each.due_ms for each in wanted.values() if each.due_ms is not None and each.due_ms + SLOT_MS <= now]
            assert late == []
        assert len(resting) == len(wanted)


def same(found: State | None, wanted: State | None) -> bool:
    """Return whether two states are equal, but for a time that is rounded up to a slot."""
    if found is None or wanted is None:
        return found is wanted
    if found.due_ms is None or wanted.due_ms is None:
        return found == wanted
    return (found.value, found.seen, found.key) == (wanted.value, wanted.seen, wanted.key) and (
        0 <= found.due_ms - wanted.due_ms < SLOT_MS
    )


def test_a_state_that_is_taken_and_put_again_costs_no_further_timer() -> None:
    """A conversation does so with each message."""
    resting = RestingStates(a_sample)
    for _ in range(100):
        resting.put("acme/1", ACCOUNT, State(b"v", due_ms=NOW + SLOT_MS))
        resting.take("acme/1")
    resting.put("acme/1", ACCOUNT, State(b"v", due_ms=NOW + SLOT_MS))
    assert sum(map(len, resting._slots.values())) == 16


def test_a_state_that_was_put_again_is_due_at_its_new_time() -> None:
    """The time of the first visit is of no account any more."""
    resting = RestingStates(a_sample)
    resting.put("acme/1", ACCOUNT, State(b"v", due_ms=NOW + SLOT_MS))
    resting.take("acme/1")
    resting.put("acme/1", ACCOUNT, State(b"v", due_ms=NOW + 5 * SLOT_MS))
    assert resting.pop_due(NOW + 3 * SLOT_MS) == []
    assert resting.pop_due(NOW + 6 * SLOT_MS) == ["acme/1"]
