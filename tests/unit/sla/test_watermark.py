"""How far the clock may go before the log has been read."""

from services.sla.domain.watermark import Watermark

NOW = 1_700_000_000_000


def test_a_milestone_fires_a_moment_after_it_is_due() -> None:
    """The event of a reply given at the last moment must have time to arrive."""
    watermark = Watermark(settle_ms=50)
    watermark.read(NOW, NOW)
    assert watermark.until(NOW) == NOW - 50
    assert watermark.wakeup(NOW, NOW) == NOW + 50
    assert watermark.wakeup(None, NOW) is None


def test_after_a_start_nothing_fires_until_the_log_was_read() -> None:
    """Records written while no process read may hold the reply."""
    watermark = Watermark(settle_ms=0, quiet_ms=500)
    watermark.started(NOW)
    assert watermark.until(NOW) <= 0
    assert watermark.wakeup(NOW - 60_000, NOW) == NOW + 500
    assert watermark.until(NOW + 500) == NOW + 500, "no record came: the lane is not behind"


def test_behind_the_log_the_clock_follows_the_log() -> None:
    """While the lane reads a minute behind, milestones fire up to the log's time, so that none is forgotten and none
    is wrong."""
    watermark = Watermark(settle_ms=0, behind_ms=1_000, quiet_ms=500)
    watermark.started(NOW)
    watermark.read(NOW - 60_000, NOW + 100)
    assert watermark.until(NOW + 100) == NOW - 60_000
    watermark.read(NOW - 30_000, NOW + 200)
    assert watermark.until(NOW + 200) == NOW - 30_000
    watermark.read(NOW + 100, NOW + 300)
    assert watermark.until(NOW + 300) == NOW + 300, "caught up"


def test_a_record_from_a_clock_ahead_of_ours_makes_nothing_early() -> None:
    watermark = Watermark(settle_ms=0)
    watermark.read(NOW + 3_600_000, NOW)
    assert watermark.until(NOW) == NOW
