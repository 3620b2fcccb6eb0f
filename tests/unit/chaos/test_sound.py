"""A sound history violates nothing, whatever the lives in it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.history.check import violations
from tests.chaos.history.model import Evidence
from tests.unit.chaos.synthetic import BEGIN_MS, Life, a_history

lives = st.builds(
    Life,
    tenant=st.sampled_from(("shop", "bank")),
    first_offer=st.sampled_from(("accepted", "declined", "expired")),
    writes_again=st.integers(0, 3),
    leaves=st.booleans(),
    wraps_up=st.booleans(),
    score=st.none() | st.integers(1, 5),
    amends=st.booleans(),
)


@given(st.lists(lives, min_size=1, max_size=6))
def test_a_sound_history_violates_nothing(some: list[Life]) -> None:
    assert violations(a_history(*some)) == []


@given(st.lists(lives, min_size=1, max_size=3), st.data())
def test_a_history_that_is_read_early_and_cut_violates_no_bound(some: list[Life], data: st.DataObject) -> None:
    """Work that is still open within its bounds is not a violation: nothing is lost, late or unanswered yet."""
    whole = a_history(*some)
    until_ms = data.draw(st.sampled_from(sorted({record.timestamp_ms for record in whole.records})))
    assert [found for found in violations(_cut(whole, until_ms)) if found.problem in _BY_TIME] == []


_BY_TIME = frozenset({"lost", "gap", "no answer", "never fired", "not counted", "late", "drained late"})


def _cut(whole: Evidence, until_ms: int) -> Evidence:
    """Return the history up to a time, read at that time."""
    clients = replace(
        whole.clients,
        acknowledged=tuple(seen for seen in whole.clients.acknowledged if seen.at_ms <= until_ms),
        replies=tuple(seen for seen in whole.clients.replies if seen.at_ms <= until_ms),
        commands=tuple(seen for seen in whole.clients.commands if seen.at_ms <= until_ms),
        arrivals=tuple(seen for seen in whole.clients.arrivals if seen.at_ms <= until_ms),
    )
    records = tuple(record for record in whole.records if record.timestamp_ms <= until_ms)
    return replace(whole, clients=clients, records=records, read_at_ms=until_ms, healed_at_ms=BEGIN_MS, live=())
