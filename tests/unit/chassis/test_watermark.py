"""The watermark of a lane: no timer fires while a record that was written before it was due may wait in the log."""

from hypothesis import given
from hypothesis import strategies as st

from services.chassis.kafka.watermark import MARGIN_MS, Watermark

NOW = 1_700_000_000_000


def test_nothing_fires_before_the_end_of_the_log_was_asked_for() -> None:
    """A lane that has just taken over knows nothing; silence proves nothing."""
    watermark = Watermark()
    assert watermark.until(NOW, None) == 0
    assert watermark.until(NOW + 3_600_000, None) == 0


def test_the_watermark_is_the_instant_of_the_question() -> None:
    """It moves when everything before the end was offered and handled, not before."""
    watermark = Watermark()
    watermark.ask(NOW)
    assert watermark.until(NOW + 5, None) == 0, "not answered"
    watermark.offered(end=7)
    assert watermark.until(NOW + 5, waiting=6) == 0, "record 6 was not handled"
    assert watermark.until(NOW + 9, waiting=7) == NOW, "record 7 came after the question"


def test_behind_the_log_the_watermark_follows_the_log() -> None:
    """While a backlog is read, timers fire as far as its records' times, less a margin; a writer's wrong clock moves nothing."""
    watermark = Watermark()
    watermark.ask(NOW)
    watermark.handled(NOW - 60_000)
    assert watermark.until(NOW + 100, None) == NOW - 60_000 - MARGIN_MS
    watermark.handled(NOW + 3_600_000)
    assert watermark.until(NOW + 200, None) == NOW - 60_000 - MARGIN_MS
    watermark.handled(NOW)
    assert watermark.until(NOW + 300, None) == NOW - MARGIN_MS


def test_a_watermark_that_is_new_enough_counts_as_the_present() -> None:
    watermark = Watermark(slack_ms=250)
    watermark.ask(NOW)
    watermark.offered(end=0)
    assert watermark.until(NOW + 250, None) == NOW + 250
    assert watermark.until(NOW + 251, None) == NOW


step = st.one_of(
    st.tuples(st.just("write"), st.one_of(st.integers(0, 400), st.just(-3_600_000))),
    st.tuples(st.just("pass"), st.integers(0, 3_000)),
    st.tuples(st.just("ask"), st.just(0)),
    st.tuples(st.just("offer"), st.integers(1, 5)),
    st.tuples(st.just("handle"), st.integers(1, 5)),
)


@given(st.lists(step, max_size=60))
def test_no_record_is_passed_over(steps: list[tuple[str, int]]) -> None:
    """Whatever the order of writing, asking, offering and handling: every record that was appended at or before the watermark has been
    handled. Records are stamped by clocks that are up to 400 ms behind, as those of several writers are, or an hour ahead."""
    now, asked_end, offered, handled = NOW, None, 0, 0
    log: list[tuple[int, int]] = []  # (appended at, stamp)
    watermark = Watermark()
    last = 0
    for kind, amount in steps:
        match kind:
            case "write":
                log.append((now, now - amount))
            case "pass":
                now += amount
            case "ask":
                watermark.ask(now)
                asked_end = len(log)
            case "offer":
                offered = min(len(log), offered + amount)
                if asked_end is not None and offered >= asked_end:
                    watermark.offered(asked_end)
            case _:
                until = min(offered, handled + amount)
                for _, stamp in log[handled:until]:
                    watermark.handled(stamp)
                handled = until
        reached = watermark.until(now, handled if handled < offered else None)
        assert reached >= last, "it never goes back"
        assert reached <= now
        last = reached
        passed_over = [at for at, _ in log[handled:] if at < reached]
        assert not passed_over, (passed_over, reached)
