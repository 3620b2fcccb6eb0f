"""GetScores and GetTrends: requests to rows, rows to figures. Every figure has n and interval, and figures below the
tenant's minimum n are withheld."""

from datetime import UTC
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from chapar.common.v1 import types_pb2
from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.errors import ChaparError, ErrorKind, invalid
from services.feedback.adapters.scores_view import ScoresQuery, ScoresView
from services.feedback.domain import trends, windows
from services.feedback.domain.estimates import Estimate, measures, response_rate
from services.feedback.domain.reasons import Reason
from services.feedback.domain.scores import GROUPS, Dimension, ScoreCounts
from services.feedback.domain.windows import Window
from services.feedback.translate.scores import dimension_message, estimate_into
from services.policy.model.counting import Counting
from services.policy.model.surveys import SCALES, SurveyKind
from services.policy.reading.surveys import kind

PAGE_DEFAULT: Final = 50
PAGE_MOST: Final = 500
_MOST_VALUES: Final = 1000
_WINDOWS: Final[dict[int, Window]] = {
    pb.SCORE_WINDOW_UNSPECIFIED: Window.ALL,
    pb.SCORE_WINDOW_MINUTE: Window.MINUTE,
    pb.SCORE_WINDOW_HOUR: Window.HOUR,
    pb.SCORE_WINDOW_DAY: Window.DAY,
    pb.SCORE_WINDOW_WEEK: Window.WEEK,
    pb.SCORE_WINDOW_ALL: Window.ALL,
}
MEASURES: Final[dict[SurveyKind | None, tuple[str, ...]]] = {
    SurveyKind.CSAT: ("csat",),
    SurveyKind.NPS: ("nps",),
    SurveyKind.CES: ("ces_mean", "ces_share_5_7", "ces_net"),
    None: ("fcr",),
}


def scores(view: ScoresView, how: Counting, tenant: str, request: pb.GetScoresRequest) -> pb.GetScoresResponse:
    """Return a page of scores. Raises INVALID, naming the field."""
    window = _window(request.window)
    if request.day:
        window = _day(request.day, window)
    query = ScoresQuery(
        tenant=tenant,
        kinds=_kinds(request.kind, request.measure),
        name=_by(request.by),
        value=request.value,
        window=window,
        zone=how.zone,
        week_begins=how.week_begins,
        day=request.day,
        from_ms=_ms(request, "from"),
        to_ms=_ms(request, "to"),
    )
    rows, cursor = view.page(query, page_size(request.page), request.page.cursor)
    response = pb.GetScoresResponse()
    for dimension, counts in rows:
        _score(response, dimension, counts, how, request.measure)
    response.page.next_cursor = cursor
    return response


def _score(
    response: pb.GetScoresResponse, dimension: Dimension, counts: ScoreCounts, how: Counting, wanted: str
) -> None:
    n = counts.answered
    if n == 0 and counts.invited < how.least_responses:
        return
    rate = response_rate(counts.responded, counts.invited) if counts.invited >= how.least_responses else None
    withheld = n < how.least_responses
    found = {} if withheld else measures(dimension.kind, counts.histogram)
    about = dimension_message(dimension)
    begin_ms, end_ms = windows.bounds_ms(dimension.day, how.zone) if dimension.day else (0, 0)
    for measure in MEASURES.get(dimension.kind, ()):
        if wanted not in ("", measure):
            continue
        score = response.scores.add(dimension=about, measure=measure, invited=counts.invited, withheld=withheld)
        estimate_into(score, found.get(measure, Estimate(0.0, n, 0.0, 0.0, "")), rate)
        if dimension.day:
            getattr(score, "from").FromMilliseconds(begin_ms)
            score.to.FromMilliseconds(end_ms)


def changes(
    view: ScoresView,
    how: Counting,
    tenant: str,
    request: pb.GetTrendsRequest,
    now_ms: int,
    most_values: int = _MOST_VALUES,
) -> pb.GetTrendsResponse:
    """Compare a window with the one before. Raises INVALID, naming the field; EXHAUSTED for more than `most_values`
    values of a dimension."""
    window = _window(request.window) if request.window else Window.WEEK
    if window is Window.ALL:
        raise invalid("window", "must be minute, hour, day or week: there is no window before all time")
    level = request.level or trends.LEVEL
    if not 0 < level < 1:
        raise invalid("level", "must be between 0 and 1")
    kinds = _kinds(request.kind, request.measure)
    query = ScoresQuery(tenant, kinds, _by(request.by), request.value, window, how.zone, how.week_begins)
    if request.HasField("at"):
        newer = windows.named(window, _ms(request, "at"), how.zone, how.week_begins)
    else:
        present = windows.named(window, now_ms, how.zone, how.week_begins)
        newer = windows.before(present, how.zone, how.week_begins)
    older = windows.before(newer, how.zone, how.week_begins)
    response = pb.GetTrendsResponse(level=level, assumes=trends.ASSUMES)
    for each in kinds:
        values = [request.value] if request.value else list(view.values(query, each))
        if len(values) > most_values:
            raise ChaparError(
                ErrorKind.EXHAUSTED, Reason.TOO_MANY_GROUPS, f"there are {len(values)} values of {query.name}: name one"
            )
        for value in values:
            now, before = view.counts(query, each, value, newer), view.counts(query, each, value, older)
            if now is not None or before is not None:
                about = Dimension(tenant, each, query.name, value, newer)
                _trends(response, about, now or ScoreCounts(), before or ScoreCounts(), how, request.measure)
    compared = [trend for trend in response.trends if not trend.withheld]
    for trend, adjusted in zip(compared, trends.holm([trend.p for trend in compared]), strict=True):
        trend.p_adjusted = adjusted
        trend.significant = adjusted <= level
    response.comparisons = len(compared)
    return response


def _trends(
    response: pb.GetTrendsResponse, about: Dimension, now: ScoreCounts, before: ScoreCounts, how: Counting, wanted: str
) -> None:
    if min(now.answered, before.answered) < how.least_responses:
        for measure in MEASURES.get(about.kind, ()):
            if wanted in ("", measure):
                trend = response.trends.add(measure=measure, withheld=True)
                trend.dimension.CopyFrom(dimension_message(about))
                trend.now.n, trend.before.n = now.answered, before.answered
        return
    for change in trends.changes(about.kind, now.histogram, before.histogram):
        if wanted in ("", change.measure):
            trend = response.trends.add(measure=change.measure, p=change.p, test=change.test)
            trend.dimension.CopyFrom(dimension_message(about))
            for target, source in (
                (trend.now, change.now),
                (trend.before, change.before),
                (trend.difference, change.difference),
            ):
                target.value, target.n, target.low, target.high = source.value, source.n, source.low, source.high
                target.method = source.method


def page_size(page: types_pb2.PageRequest) -> int:
    """Return the number of rows of a page. Raises INVALID."""
    size = page.size or PAGE_DEFAULT
    if not 1 <= size <= PAGE_MOST:
        raise invalid("page.size", f"must be from 1 to {PAGE_MOST}")
    return size


def _by(name: str) -> str:
    if name and name not in GROUPS:
        raise invalid("by", f"must be one of {', '.join(GROUPS)}")
    return name or "all"


def _kinds(value: int, measure: str) -> tuple[SurveyKind | None, ...]:
    wanted = kind(value)
    every = (wanted,) if wanted is not None else (*(each for each in SurveyKind if each in SCALES), None)
    found = tuple(each for each in every if not measure or measure in MEASURES.get(each, ()))
    if not found:
        known = (name for names in MEASURES.values() for name in names)
        raise invalid("measure", f"must be one of {', '.join(known)}, and belong to the requested kind")
    return found


def _window(value: int) -> Window:
    window = _WINDOWS.get(value)
    if window is None:
        raise invalid("window", "is unknown")
    return window


def _day(day: str, window: Window) -> Window:
    try:
        windows.bounds_ms(day, UTC)
        if windows.kind_of(day) is not Window.DAY or window not in (Window.ALL, Window.DAY):
            raise ValueError(day)
    except ValueError as error:
        raise invalid("day", "must be a day such as 2026-03-21, and be used with no other window") from error
    return Window.DAY


def _ms(request: pb.GetScoresRequest | pb.GetTrendsRequest, name: str) -> int:
    if not request.HasField(name):  # type: ignore[arg-type] # one of the literal names of either
        return 0
    stamp: Timestamp = getattr(request, name)
    if not 0 < stamp.seconds < 253_402_300_800:
        raise invalid(name, "must be a time after 1970 and before 10000")
    return stamp.ToMilliseconds()
