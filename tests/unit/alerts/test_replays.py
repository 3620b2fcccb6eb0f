"""Replays show what was recorded, with the changes of the fault."""

from tests.alerts.exposition import Change, Phase, Replay, changed, exposition, recorded

TEXT = 'a_total{queue="s\\"x"} 2.0\nb 1.0\nc{le="+Inf"} 4.0\n'
REPLAY = Replay(
    "job",
    (
        Change("a_total", {"queue": 's"x'}, 7, stays=True),
        Change("b", {}, -60, since_now=True),
        Change("new", {"lane": "router"}, 1),
    ),
    missing=frozenset({"c"}),
)


def test_an_exposition_is_written_as_it_was_read() -> None:
    series = recorded(TEXT)
    assert recorded(exposition(series)) == series
    assert series["a_total", (("queue", 's"x'),)] == 2


def test_the_fault_changes_adds_and_removes_series() -> None:
    found = changed(recorded(TEXT), REPLAY, Phase.FAULT, 1000)
    assert found == {("a_total", (("queue", 's"x'),)): 7, ("b", ()): 940, ("new", (("lane", "router"),)): 1}


def test_the_cure_brings_all_back_but_counters() -> None:
    series = recorded(TEXT)
    assert changed(series, REPLAY, Phase.HEALTHY, 1000) == series
    cured = changed(series, REPLAY, Phase.CURED, 1000)
    assert cured == {**series, ("a_total", (("queue", 's"x'),)): 7}


def test_a_growing_counter_grows_while_the_fault_lasts_and_keeps_its_value() -> None:
    replay = Replay("job", (Change("tries_total", {}, 3, stays=True, grows=2),))
    assert changed({}, replay, Phase.FAULT, 1000, fault_s=5) == {("tries_total", ()): 13}
    assert changed({}, replay, Phase.CURED, 2000, fault_s=5) == {("tries_total", ()): 13}
