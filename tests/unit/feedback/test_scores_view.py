"""Reading scores: pages, windows, withheld figures, trends, gauges."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.errors import ChaparError
from services.chassis.metrics import Metrics
from services.feedback.adapters.scores_api import changes, scores
from services.feedback.adapters.scores_view import FeedbackGauges, ScoresView
from services.feedback.adapters.views import ResponsesView, Wanted
from services.feedback.domain.scores import Dimension, ScoreCounts
from services.feedback.metrics import METRICS
from services.policy.model.counting import Counting
from services.policy.model.surveys import SurveyKind
from tests.unit.feedback.builders import NOW, TENANT

TEHRAN = Counting(zone=ZoneInfo("Asia/Tehran"), week_begins=5)


def a_view(*entries: tuple[Dimension, ScoreCounts]) -> ScoresView:
    view = ScoresView()
    for dimension, counts in entries:
        view.take(dimension, 0, counts)
    return view


def csat(value: str, day: str = "", good: int = 8, bad: int = 2, **fields: Any) -> tuple[Dimension, ScoreCounts]:
    options: dict[str, Any] = {"kind": SurveyKind.CSAT, "name": "queue", "invited": 2 * (good + bad), **fields}
    counts = ScoreCounts({5: good, 1: bad}, options["invited"], 1, good + bad)
    return Dimension(TENANT, options["kind"], options["name"], value, day), counts


def query(view: ScoresView, how: Counting = TEHRAN, **fields: Any) -> pb.GetScoresResponse:
    return scores(view, how, TENANT, pb.GetScoresRequest(**{"by": "queue", **fields}))


def test_pages_of_any_size_contain_every_row_once_in_order() -> None:
    """By kind, value and window; another tenant's rows are not included."""
    entries = [csat(f"q{number}", day) for number in range(7) for day in ("", "2026-03-20", "2026-03-21")]
    entries += [
        csat("q1", "2026-03-20", kind=SurveyKind.NPS),
        (Dimension("other", SurveyKind.CSAT, "queue", "q1"), ScoreCounts({5: 9})),
    ]
    view = a_view(*entries)
    whole = query(view, window=pb.SCORE_WINDOW_DAY)
    assert len(whole.scores) == 15
    assert whole.page.next_cursor == ""
    for size in (1, 4, 14):
        found: list[pb.Score] = []
        request = pb.GetScoresRequest(by="queue", window=pb.SCORE_WINDOW_DAY)
        request.page.size = size
        while True:
            response = scores(view, TEHRAN, TENANT, request)
            found += response.scores
            request.page.cursor = response.page.next_cursor
            if not response.page.next_cursor:
                break
        assert found == list(whole.scores)


def test_below_the_minimum_n_a_score_is_withheld_and_only_n_is_shown() -> None:
    """Four of five; the response rate is withheld below the same number of invitations."""
    view = a_view(csat("few", good=3, bad=1, invited=4), csat("enough", good=4, bad=1, invited=10))
    few, enough = query(view).scores[1], query(view).scores[0]
    assert (few.withheld, few.estimate.n, few.estimate.value, few.estimate.high, few.estimate.method) == (
        True,
        4,
        0,
        0,
        "",
    )
    assert not few.HasField("response_rate")
    assert (enough.withheld, enough.estimate.n, enough.estimate.method) == (False, 5, "wilson")
    assert (enough.response_rate.value, enough.response_rate.n) == (0.5, 10)
    assert not query(view, how=Counting(least_responses=1)).scores[1].withheld


def test_many_invitations_without_a_response_show_their_response_rate() -> None:
    """Zero is a figure too, with n."""
    (score,) = query(a_view(csat("silent", good=0, bad=0, invited=40))).scores
    assert (score.withheld, score.estimate.n, score.response_rate.value, score.response_rate.n) == (True, 0, 0, 40)


def test_a_week_is_the_sum_of_its_days_from_the_tenants_first_day() -> None:
    """Friday 20 March 2026 ends Iran's week, Saturday begins the next; elsewhere both belong to one week."""
    view = a_view(csat("q", "2026-03-19"), csat("q", "2026-03-20"), csat("q", "2026-03-21"))
    iran = query(view, window=pb.SCORE_WINDOW_WEEK).scores
    assert [(each.dimension.day, each.estimate.n) for each in iran] == [("2026-03-14/P7D", 20), ("2026-03-21/P7D", 10)]
    assert getattr(iran[1], "from").ToJsonString() == "2026-03-20T20:30:00Z"
    (elsewhere,) = query(view, Counting(), window=pb.SCORE_WINDOW_WEEK).scores
    assert (elsewhere.dimension.day, elsewhere.estimate.n) == ("2026-03-16/P7D", 30)


def test_windows_are_those_that_begin_within_the_bounds() -> None:
    """`from` is included, `to` is excluded, in the tenant's zone."""
    view = a_view(*(csat("q", f"2026-03-{day}") for day in range(18, 24)))
    request = pb.GetScoresRequest(by="queue", window=pb.SCORE_WINDOW_DAY)
    getattr(request, "from").FromJsonString("2026-03-18T20:30:00Z")  # midnight in Tehran
    request.to.FromJsonString("2026-03-21T20:30:00Z")
    assert [each.dimension.day for each in scores(view, TEHRAN, TENANT, request).scores] == [
        "2026-03-19",
        "2026-03-20",
        "2026-03-21",
    ]
    getattr(request, "from").FromJsonString("2026-03-18T20:30:01Z")
    assert scores(view, TEHRAN, TENANT, request).scores[0].dimension.day == "2026-03-20"


def test_expired_windows_are_not_shown_and_a_late_entry_is_ignored() -> None:
    """Tombstones remove a window, partition by partition; an older entry changes nothing."""
    dimension, counts = csat("q", "2026-03-20")
    view = a_view((dimension, counts))
    view.take(dimension, 1, counts)
    view.take(dimension, 0, ScoreCounts({1: 99}, 0, 0))
    assert query(view, day="2026-03-20").scores[0].estimate.n == 20
    view.drop(dimension, 0)
    assert query(view, day="2026-03-20").scores[0].estimate.n == 10
    view.drop(dimension, 1)
    assert not query(view, day="2026-03-20").scores
    assert len(view) == 0


def test_first_contacts_are_selected_by_their_measure() -> None:
    """They have no kind of survey."""
    dimension = Dimension(TENANT, None, "queue", "q")
    view = a_view((dimension, ScoreCounts({1: 8, 0: 2})), csat("q"))
    (score,) = query(view, measure="fcr").scores
    assert (score.measure, score.estimate.value, score.estimate.n, score.dimension.kind) == ("fcr", 0.8, 10, 0)
    assert {each.measure for each in query(view).scores} == {"csat", "fcr"}


def test_a_trend_compares_the_newest_whole_window_and_corrects_for_all_that_it_compares() -> None:
    """One queue fell, nine did not, one has too few responses; Holm counts ten comparisons."""
    week, last = "2026-03-14", "2026-03-07"
    entries = [csat(f"q{n}", day, good=80, bad=20) for n in range(9) for day in (week, last)]
    entries += [csat("fell", week, good=50, bad=50), csat("fell", last, good=80, bad=20)]
    entries += [csat("few", week, good=2, bad=1), csat("few", last)]
    entries += [csat(value, "") for value in ("fell", "few", *(f"q{n}" for n in range(9)))]
    now_ms = int((datetime(2026, 3, 25, tzinfo=UTC) - timedelta(days=4)).timestamp() * 1000)
    response = changes(a_view(*entries), TEHRAN, TENANT, pb.GetTrendsRequest(by="queue", measure="csat"), now_ms)
    found = {trend.dimension.value: trend for trend in response.trends}
    assert (response.comparisons, response.level, bool(response.assumes)) == (10, 0.05, True)
    fell = found["fell"]
    assert (fell.dimension.day, fell.now.n, fell.before.n) == ("2026-03-14/P7D", 100, 100)
    assert fell.significant
    assert fell.difference.low < fell.difference.value < fell.difference.high < 0
    assert fell.p_adjusted == pytest.approx(10 * fell.p)
    assert not any(found[f"q{n}"].significant for n in range(9))
    assert (found["few"].withheld, found["few"].now.n, found["few"].p) == (True, 3, 0)


def test_a_trend_over_too_many_values_is_refused() -> None:
    """With a thousand comparisons, no difference would be significant."""
    view = a_view(*(csat(f"q{n}") for n in range(3)))
    with pytest.raises(ChaparError, match="name one"):
        changes(view, TEHRAN, TENANT, pb.GetTrendsRequest(by="queue"), NOW, most_values=2)
    changes(view, TEHRAN, TENANT, pb.GetTrendsRequest(by="queue"), NOW, most_values=3)  # three are not too many


def test_gauges_show_the_newest_day_only() -> None:
    """A change of an older day does not overwrite today's figures."""
    metrics = Metrics(METRICS)
    gauges, view = FeedbackGauges(metrics), ScoresView()
    for dimension, counts in (csat("q", "2026-03-21"), csat("q", "2026-03-20", good=1, bad=9), csat("q", "")):
        view.take(dimension, 0, counts)
        gauges.show(view, dimension)
    assert metrics.value("chapar_feedback_csat_ratio", "q") == pytest.approx(0.8)
    assert metrics.value("chapar_feedback_csat_responses", "q") == 10
    assert metrics.value("chapar_feedback_response_ratio", "q") == pytest.approx(0.5)


@pytest.mark.parametrize("tenants", [False, True])
def test_gauges_of_two_tenants_weigh_responses_and_do_not_wait_for_each_others_day(tenants: bool) -> None:
    """8 of 10 and 10 of 40 customers are satisfied: 18 of 50 together. The other tenant's day has not ended yet."""
    metrics = Metrics(METRICS, tenants=tenants)
    gauges, view = FeedbackGauges(metrics), ScoresView()
    mine, yours = csat("q", "2026-03-21"), csat("q", "2026-03-20", good=10, bad=30)
    for dimension, counts in (mine, (replace(yours[0], tenant="other"), yours[1])):
        view.take(dimension, 0, counts)
        gauges.show(view, dimension)
    if tenants:
        assert metrics.value("chapar_feedback_csat_ratio", TENANT, "q") == pytest.approx(0.8)
        assert metrics.value("chapar_feedback_csat_ratio", "other", "q") == pytest.approx(0.25)
        assert metrics.value("chapar_feedback_response_invitations", "other", "q") == 80
    else:
        assert metrics.value("chapar_feedback_csat_ratio", "q") == pytest.approx(18 / 50)
        assert metrics.value("chapar_feedback_csat_responses", "q") == 50
        assert metrics.value("chapar_feedback_response_ratio", "q") == pytest.approx(0.5)
        assert metrics.value("chapar_feedback_response_invitations", "q") == 100


def a_response(number: int, score: int, revision: int = 1, **fields: Any) -> pb.FeedbackRecord:
    content = pb.ResponseCounted(
        invitation_id=f"v{number}",
        kind=config.SURVEY_KIND_CSAT,
        score=score,
        revision=revision,
        subject=pb.Subject(queue="q"),
        **fields,
    )
    record = pb.FeedbackRecord(event_id=f"e{number}.{revision}", tenant=TENANT, occurred_at_ms=NOW + number + revision)
    if revision == 1:
        record.answered.CopyFrom(content)
    else:
        record.amended.response.CopyFrom(content)
    return record


def test_lists_show_an_amended_response_once_and_watchers_receive_both() -> None:
    """This holds also if the records come again, in any order."""
    view = ResponsesView(10)
    with view.watching(TENANT, Wanted(score_at_most=2)) as watcher:
        for record in (
            a_response(1, 5),
            a_response(2, 1),
            a_response(1, 2, revision=2),
            a_response(1, 5),
            a_response(2, 1),
        ):
            view.take(record)
        assert watcher._waiting.qsize() == 2
    found, _ = view.page(TENANT, Wanted(), 10, "")
    assert [(each.response.invitation_id, each.response.score) for each in found] == [("v2", 1), ("v1", 2)]


def test_responses_are_filtered_by_category_and_by_the_score_of_a_kind() -> None:
    """The first question's score is used unless a kind is named."""
    view = ResponsesView(10)
    more = [pb.Answer(question_id="n", kind=config.SURVEY_KIND_NPS, score=3)]
    view.take(a_response(1, 5, categories=["praise"], answers=more))
    view.take(a_response(2, 1, categories=["complaint"]))

    def ids(**wanted: Any) -> list[str]:
        return [each.response.invitation_id for each in view.page(TENANT, Wanted(**wanted), 10, "")[0]]

    assert ids(category="praise") == ["v1"]
    assert ids(score_at_most=2) == ["v2"]
    assert ids(score_at_most=6, kind=2) == ["v1"]
    assert ids(score_at_most=2, kind=2) == []
