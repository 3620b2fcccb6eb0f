"""The fold is exact although records come again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.feedback.domain.scores import Dimension, Fold, Observation, total
from services.feedback.domain.survey import Kind
from services.feedback.translate import parse_score, score_key, score_record
from tests.unit.feedback.builders import TENANT, a_subject

SCORES = st.lists(st.one_of(st.none(), st.integers(1, 5)), max_size=30)


def observed(score: int | None) -> Observation:
    return Observation(TENANT, Kind.CSAT, a_subject(), "2026-03-21", score)


@settings(max_examples=60, deadline=None)
@given(SCORES, st.data())
def test_redelivery_from_any_earlier_offset_changes_nothing(scores: list[int | None], data: st.DataObject) -> None:
    """The log is read on, and now and then from further back, as after a crash."""
    fold, offset = Fold(), 0
    while offset < len(scores):
        fold = fold.take(observed(scores[offset]), offset)
        offset += 1
        if data.draw(st.integers(0, 3)) == 0:
            offset = data.draw(st.integers(0, offset))
            # Redelivery is bounded, or this would not end.
            for again in range(offset, fold.next_offset):
                assert fold.take(observed(scores[again]), again) is fold
            offset = fold.next_offset
    assert fold.invited == scores.count(None)
    assert dict(fold.histogram) == {score: scores.count(score) for score in set(scores) if score is not None}


def test_the_total_is_the_sum_over_partitions() -> None:
    """Two partitions, one dimension."""
    summed = total([Fold({5: 2, 1: 1}, 4, 10), Fold({5: 1, 3: 1}, 3, 99)])
    assert (dict(summed.histogram), summed.invited, summed.answered) == ({5: 3, 1: 1, 3: 1}, 7, 5)


def test_an_answer_counts_over_all_time_and_its_day_in_each_group() -> None:
    """all, channel, queue, agent, each twice; without an agent three times two."""
    dimensions = observed(5).dimensions()
    assert {(d.name, d.value, d.day) for d in dimensions} == {
        (name, value, day)
        for name, value in (("all", ""), ("channel", "telegram"), ("queue", "support"), ("agent", "ada"))
        for day in ("", "2026-03-21")
    }
    alone = Observation(TENANT, Kind.CSAT, a_subject(agent_id=""), "2026-03-21", 5)
    assert len(alone.dimensions()) == 6


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_keys_of_different_dimensions_differ(tenant: str, value: str, other_tenant: str, other_value: str) -> None:
    """Also when names hold the signs that keys are joined with."""
    one = Dimension(tenant, Kind.CSAT, "queue", value)
    other = Dimension(other_tenant, Kind.CSAT, "queue", other_value)
    assert (score_key(one, 0) == score_key(other, 0)) == (one == other)
    assert score_key(one, 0) != score_key(one, 1)


def test_a_score_record_keeps_everything_that_the_fold_needs() -> None:
    """There and back."""
    dimension = Dimension(TENANT, Kind.NPS, "agent", "ada", "2026-03-21")
    fold = Fold({0: 3, 10: 1}, 9, 77)
    assert parse_score(score_record(dimension, 3, fold, 5).SerializeToString()) == (dimension, 3, fold)
