"""Times reserved in advance keep the same limit as the bucket, in the order of the calls."""

from hypothesis import given
from hypothesis import strategies as st

from services.chassis.pacing import Rate
from services.ingest.domain.limits import Bucket, Moments

NOW = 1_700_000_000_000


def test_the_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    turns = Moments(Rate(2.0, 3.0))
    assert [turns.reserve("a", NOW) - NOW for _ in range(6)] == [0, 0, 0, 500, 1000, 1500]


def test_accounts_do_not_wait_for_each_other() -> None:
    turns = Moments(Rate(1.0, 1.0))
    assert [turns.reserve(key, NOW) - NOW for key in ("a", "a", "b")] == [0, 1000, 0]


def test_no_rate_is_no_limit() -> None:
    turns = Moments(Rate(0.0, 1.0))
    assert {turns.reserve("a", NOW) for _ in range(100)} == {NOW}


@given(
    st.floats(0.1, 200),
    st.integers(1, 20),
    st.lists(st.integers(0, 3_000), min_size=1, max_size=60),
)
def test_the_bucket_would_have_allowed_each(per_s: float, burst: int, gaps: list[int]) -> None:
    """Whenever the callers ask: times are in order, never earlier than asked, and never faster than a bucket of the
    same rate allows."""
    turns, bucket, now = Moments(Rate(per_s, burst)), Bucket(Rate(per_s, burst + 0.01), NOW), NOW
    before = 0
    for gap in gaps:
        now += gap
        turn = turns.reserve("a", now)
        assert turn >= max(now, before)
        assert bucket.take(turn) < 0.001  # of a second: reserved times are whole milliseconds
        before = turn


def test_memory_is_bounded() -> None:
    turns = Moments(Rate(1.0, 1.0), max_keys=10)
    for number in range(1_000):
        turns.reserve(str(number), NOW)
    assert len(turns._next) == 10
