"""The counts are exact although records come again, are amended, and windows expire."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.feedback.domain import scores
from services.feedback.domain.scores import Dimension, Observation, ScoreCounts, ScoreTable, Tally, groups_of, total
from services.feedback.domain.windows import DAY_MS, HOUR_MS
from services.feedback.translate.scores import (
    PROGRESS,
    parse_entry,
    parse_score,
    parse_score_key,
    progress_record,
    score_key,
    score_record,
)
from services.policy.model.surveys import SurveyKind
from tests.unit.feedback.builders import NOW, TENANT

SCORES = st.lists(st.one_of(st.none(), st.integers(1, 5)), max_size=30)
GROUPS = groups_of("telegram", "support", ["ada"], ["persian"], "gold", "fa-IR")


def observed(*tallies: Tally, at_ms: int = NOW, day: str = "2023-11-14", **fields: Any) -> Observation:
    return Observation(TENANT, fields.pop("groups", GROUPS), day, at_ms, tallies, **fields)


def of(score: int | None, by: int = 1) -> Observation:
    return observed(Tally(SurveyKind.CSAT, score, by))


def counts_of(table: ScoreTable) -> dict[Dimension, tuple[dict[int, int], int, int]]:
    return {d: (dict(counts.histogram), counts.invited, counts.responded) for d, counts in table.counts.items()}


@settings(max_examples=60)
@given(SCORES, st.data())
def test_redelivery_from_any_earlier_offset_changes_nothing(said: list[int | None], data: st.DataObject) -> None:
    """The log is read on, and sometimes from further back, as after a crash, into the same table or a restored one."""
    table, offset = ScoreTable(), 0
    while offset < len(said):
        table.take(of(said[offset]), offset, NOW)
        offset += 1
        match data.draw(st.integers(0, 4)):
            case 0:
                for again in range(data.draw(st.integers(0, offset)), offset):
                    table.take(of(said[again]), again, NOW)
            case 1:
                table = restored(table)
            case _:
                pass
    every = table.counts.get(Dimension(TENANT, SurveyKind.CSAT, "all"), ScoreCounts())
    assert every.invited == said.count(None)
    assert dict(every.histogram) == {score: said.count(score) for score in set(said) if score is not None}
    assert every.responded == len(said) - said.count(None)


def restored(table: ScoreTable) -> ScoreTable:
    other = ScoreTable()
    for dimension, counts in table.counts.items():
        found, _, kept, _ = parse_entry(score_record(dimension, 0, counts, 1).SerializeToString())
        other.restore(found, kept)
    _, _, counts, newest_ms = parse_entry(progress_record(0, table.next_offset, table.newest_ms, 1).SerializeToString())
    other.restore_progress(counts.next_offset, newest_ms)
    return other


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=20))
def test_an_amendment_gives_the_same_counts_as_the_final_response_alone(said: list[tuple[int, int]]) -> None:
    """This holds for the categories too, which may differ."""
    amended, at_once = ScoreTable(), ScoreTable()
    for number, (before, after) in enumerate(said):
        first = Tally(SurveyKind.CSAT, before, categories=("complaint",) if before < 3 else ())
        last = Tally(SurveyKind.CSAT, after, categories=("praise",) if after > 3 else ())
        out = Tally(SurveyKind.CSAT, before, -1, categories=first.categories)
        amended.take(observed(first), 2 * number, NOW)
        amended.take(observed(out, last), 2 * number + 1, NOW)
        at_once.take(observed(last), number, NOW)
    left = {dimension: counts for dimension, counts in counts_of(amended).items() if counts != ({}, 0, 0)}
    assert left == counts_of(at_once)


def test_a_score_that_was_never_counted_cannot_be_subtracted() -> None:
    """A dimension that an older version did not know begins with the amendment."""
    table = ScoreTable()
    table.take(observed(Tally(SurveyKind.CSAT, 2, -1), Tally(SurveyKind.CSAT, 5)), 7, NOW)
    counts = table.counts[Dimension(TENANT, SurveyKind.CSAT, "all")]
    assert (dict(counts.histogram), counts.answered) == ({5: 1}, 1)


def test_the_total_is_the_sum_over_partitions() -> None:
    """Two partitions, one dimension."""
    summed = total([ScoreCounts({5: 2, 1: 1}, 4, 10, 3), ScoreCounts({5: 1, 3: 1}, 3, 99, 2)])
    assert dict(summed.histogram) == {5: 3, 1: 1, 3: 1}
    assert (summed.invited, summed.answered, summed.responded) == (7, 5, 5)


def test_a_response_counts_in_each_group_over_each_window_and_in_no_pair_of_groups() -> None:
    """Seven groups, each over all time, the day, the hour and the minute."""
    table = ScoreTable()
    table.take(of(5), 0, NOW)
    assert {(d.name, d.value, d.day) for d in table.counts} == {
        (name, value, day)
        for name, value in (
            ("all", ""),
            ("channel", "telegram"),
            ("queue", "support"),
            ("agent", "ada"),
            ("skill", "persian"),
            ("tier", "gold"),
            ("language", "fa"),
        )
        for day in ("", "2023-11-14", "2023-11-14T22Z", "2023-11-14T22:13Z")
    }


def test_an_unknown_attribute_is_not_a_group() -> None:
    """No agent, no tier, an unknown language."""
    assert groups_of("email", "", (), (), "", "und") == (("all", ""), ("channel", "email"), ("queue", ""))
    assert ("agent", "grace") in groups_of("email", "", ("ada", "grace", "ada"), (), "", "")


def test_each_question_counts_under_its_own_kind_and_only_the_first_for_the_response_rate() -> None:
    """One response to a CSAT survey that also asks for NPS."""
    table = ScoreTable()
    table.take(observed(Tally(SurveyKind.CSAT)), 0, NOW)
    table.take(observed(Tally(SurveyKind.CSAT, 4), Tally(SurveyKind.NPS, 9, first=False)), 1, NOW)
    csat = table.counts[Dimension(TENANT, SurveyKind.CSAT, "all")]
    nps = table.counts[Dimension(TENANT, SurveyKind.NPS, "all")]
    assert (csat.answered, csat.invited, csat.responded) == (1, 1, 1)
    assert (nps.answered, nps.invited, nps.responded) == (1, 0, 0)


def test_windows_expire_by_the_time_of_the_log_and_never_come_back() -> None:
    """Minutes after two days, hours after sixty; a record that comes again for an expired window does not create a
    partial one."""
    table = ScoreTable()
    table.take(of(5), 0, NOW)
    table.changes()
    table.take(None, 1, NOW + 2 * DAY_MS + HOUR_MS)
    gone = {dimension.day for dimension, counts in table.changes().items() if counts is None}
    assert gone == {"2023-11-14T22:13Z"}
    table.take(of(4), 2, NOW + 2 * DAY_MS + HOUR_MS)
    assert {d.day for d in table.counts} == {"", "2023-11-14", "2023-11-14T22Z"}
    table.take(None, 3, NOW + 61 * DAY_MS)
    assert {d.day for d in table.counts} == {"", "2023-11-14"}
    table.take(None, 4, NOW + 401 * DAY_MS)
    assert {d.day for d in table.counts} == {""}
    assert table.counts[Dimension(TENANT, SurveyKind.CSAT, "all")].answered == 2


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 90 * 24)), max_size=40), st.integers(0, 40))
def test_a_table_restored_at_any_point_keeps_the_same_windows(said: list[tuple[int, int]], at: int) -> None:
    """Only the log decides retention: the result is the same with and without a crash and redelivery in the middle."""
    plain, crashed = ScoreTable(), ScoreTable()
    now_ms = NOW
    for offset, (score, hours) in enumerate(said):
        now_ms += hours * HOUR_MS // 10
        seen = observed(Tally(SurveyKind.CSAT, score), at_ms=now_ms - hours * HOUR_MS // 7, day="2023-11-14")
        for table in (plain, crashed):
            table.take(seen, offset, now_ms)
        if offset == at:
            crashed = restored(crashed)
            crashed.take(seen, offset, now_ms)
    assert counts_of(plain) == counts_of(crashed)


def test_the_number_of_values_of_a_name_is_limited() -> None:
    """Tiers are texts from outside: values above the limit count under one name, and the total stays right."""
    table = ScoreTable(most_values=3)
    for offset in range(5):
        table.take(observed(Tally(SurveyKind.CSAT, 5), groups=(("tier", f"t{offset}"),)), offset, NOW)
    counted = Counter({d.value: counts.answered for d, counts in table.counts.items() if not d.day})
    assert counted == {"t0": 1, "t1": 1, "t2": 1, scores.OTHER: 2}


@settings(max_examples=60)
@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_keys_of_different_dimensions_differ_and_can_be_read(tenant: str, value: str, other: str, more: str) -> None:
    """This holds also if names contain the characters that join the parts of a key."""
    one = Dimension(tenant, SurveyKind.CSAT, "queue", value)
    two = Dimension(other, None, "queue", more)
    assert score_key(one, 0) != score_key(two, 0)
    assert score_key(one, 0) != score_key(one, 1)
    assert (score_key(one, 0) == score_key(Dimension(other, SurveyKind.CSAT, "queue", more), 0)) == (
        (tenant, value) == (other, more)
    )
    assert parse_score_key(score_key(one, 3)) == (one, 3)
    assert parse_score_key(score_key(two, 12)) == (two, 12)


def test_a_score_record_keeps_everything_that_counting_needs() -> None:
    """Encoded and decoded; first contacts too, and the progress."""
    for kind in (SurveyKind.NPS, None):
        dimension = Dimension(TENANT, kind, "agent", "ada", "2026-03-21")
        counts = ScoreCounts({0: 3, 1: 1}, 9, 77, 4)
        assert parse_score(score_record(dimension, 3, counts, 5).SerializeToString()) == (dimension, 3, counts)
    assert parse_entry(progress_record(3, 42, NOW, 5).SerializeToString()) == (
        PROGRESS,
        3,
        ScoreCounts({}, 0, 42, 0),
        NOW,
    )


def test_an_entry_of_the_previous_version_is_understood() -> None:
    """At that time every response answered the survey's first question only."""
    old = score_record(Dimension(TENANT, SurveyKind.CSAT, "all"), 0, ScoreCounts({5: 3, 1: 1}, 9, 77), 5)
    old.ClearField("responded")
    assert parse_score(old.SerializeToString())[2].responded == 4
