"""A tenant's surveys from its configuration."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chapar.config.v1 import config_pb2 as config
from services.policy.findings import Findings, Path
from services.policy.model.quiet_hours import Quiet, minute_of_day
from services.policy.model.surveys import (
    DEFAULT_EXPIRES_AFTER_MS,
    MOST_QUESTIONS,
    MOST_SENDINGS,
    Programme,
    Question,
    Survey,
    SurveyKind,
    primary,
)
from services.policy.reading.calendars import read_zone

_QUESTION_ID: Final = re.compile(r"[a-z0-9-]{1,40}")
_KIND_OF: Final[Mapping[int, SurveyKind]] = MappingProxyType(
    {
        config.SURVEY_KIND_CSAT: SurveyKind.CSAT,
        config.SURVEY_KIND_NPS: SurveyKind.NPS,
        config.SURVEY_KIND_CES: SurveyKind.CES,
        config.SURVEY_KIND_TEXT: SurveyKind.TEXT,
    }
)
_KIND_TO: Final[Mapping[SurveyKind, "config.SurveyKind.ValueType"]] = MappingProxyType(
    {
        SurveyKind.CSAT: config.SURVEY_KIND_CSAT,
        SurveyKind.NPS: config.SURVEY_KIND_NPS,
        SurveyKind.CES: config.SURVEY_KIND_CES,
        SurveyKind.TEXT: config.SURVEY_KIND_TEXT,
    }
)


def kind(value: int) -> SurveyKind | None:
    """Return a survey's kind; None for unspecified and unknown kinds."""
    return _KIND_OF.get(value)


def kind_message(value: SurveyKind) -> "config.SurveyKind.ValueType":
    """Return a kind as the contract's number."""
    return _KIND_TO[value]


def expiry_ms(survey: config.Survey) -> int:
    """Return how long after its invitation a survey can be answered."""
    return survey.expires_after_ms or DEFAULT_EXPIRES_AFTER_MS


def read_surveys(tenant: config.TenantConfiguration, findings: Findings) -> Programme:
    """Return a tenant's surveys; what cannot be used is reported. Surveys with an error are left out."""
    zone = read_zone(tenant.time_zone, findings, "time_zone")
    made = (_survey(survey, findings, ("surveys", index)) for index, survey in enumerate(tenant.surveys))
    surveys = tuple(survey for survey in made if survey is not None)
    return Programme(surveys, tenant.default_language or "fa", zone)


def _survey(survey: config.Survey, findings: Findings, here: Path) -> Survey | None:
    errors = findings.error_count
    what = f"survey `{survey.name}`"
    found = kind(survey.kind)
    if found is None:
        findings.find("NO_SURVEY_KIND", f"{what} needs a `kind`: csat, nps, ces or text", *here)
    for name in ("sampling", "silent_sampling"):
        if not 0 <= getattr(survey, name) <= 1:
            findings.find("SAMPLING_SHARE", f"`{name}` of {what} must lie between 0 and 1", *here, name)
    _check_times(survey, what, findings, here)
    quiet = _quiet(survey, what, findings, here)
    more = _more(survey, what, findings, here)
    if found is None or findings.error_count > errors:
        return None
    return Survey(
        name=survey.name,
        kind=found,
        queues=frozenset(survey.queues),
        channels=frozenset(survey.channels),
        tiers=frozenset(survey.tiers),
        languages=frozenset(primary(language) for language in survey.languages),
        sampling=survey.sampling,
        least_gap_ms=survey.least_gap_ms,
        window_ms=survey.window_ms,
        most_in_window=survey.most_in_window,
        silent_after_ms=survey.silent_after_ms,
        silent_sampling=survey.silent_sampling,
        delay_ms=survey.delay_ms,
        quiet=quiet,
        expires_after_ms=expiry_ms(survey),
        remind_after_ms=survey.remind_after_ms,
        first_response_counts=survey.first_response_counts,
        amend_within_ms=survey.amend_for_ms,
        questions=dict(survey.questions),
        more=more,
    )


def _check_times(survey: config.Survey, what: str, findings: Findings, here: Path) -> None:
    for name in (
        *("least_gap_ms", "delay_ms", "expires_after_ms", "window_ms"),
        *("remind_after_ms", "silent_after_ms", "amend_for_ms"),
    ):
        if getattr(survey, name) < 0:
            findings.find("OUT_OF_RANGE", f"`{name.removesuffix('_ms')}` of {what} can't be negative", *here, name)
    if (survey.window_ms > 0) != (survey.most_in_window > 0):
        message = (
            f"`window` and `most_in_window` of {what} go together: at most this number of invitations within this time"
        )
        findings.find("WINDOW_WITHOUT_COUNT", message, *here, "window_ms" if survey.window_ms else "most_in_window")
    if not 0 <= survey.most_in_window <= MOST_SENDINGS:
        message = f"`most_in_window` of {what} must be at most {MOST_SENDINGS}"
        findings.find("WINDOW_COUNT", message, *here, "most_in_window")
    if survey.remind_after_ms >= expiry_ms(survey):
        message = f"the reminder of {what} is due after the survey has expired"
        findings.find("REMINDER_AFTER_EXPIRY", message, *here, "remind_after_ms")


def _quiet(survey: config.Survey, what: str, findings: Findings, here: Path) -> Quiet | None:
    if not (survey.quiet_from or survey.quiet_to):
        return None
    try:
        start, stop = minute_of_day(survey.quiet_from), minute_of_day(survey.quiet_to)
    except ValueError:
        message = f"`quiet_from` and `quiet_to` of {what} must both be times such as 22:00, in quotes"
        findings.find("NOT_A_TIME", message, *here)
        return None
    if start == stop:
        message = (
            f"{what} is quiet from {survey.quiet_from} to {survey.quiet_to}, the whole day: no invitation is ever sent"
        )
        findings.find("QUIET_ALL_DAY", message, *here, "quiet_from")
    return Quiet(start, stop)


def _more(survey: config.Survey, what: str, findings: Findings, here: Path) -> tuple[Question, ...]:
    if len(survey.more) > MOST_QUESTIONS:
        message = f"{what} may have at most {MOST_QUESTIONS} questions after the first"
        findings.find("TOO_MANY_QUESTIONS", message, *here, "more")
    questions: dict[str, Question] = {}
    for place, question in enumerate(survey.more):
        there = (*here, "more", place)
        found = kind(question.kind)
        if not _QUESTION_ID.fullmatch(question.id):
            message = f"the `id` of a question of {what} must be 1 to 40 of a-z, 0-9 and -"
            findings.find("QUESTION_ID", message, *there)
        elif question.id in questions:
            findings.find("DUPLICATE_QUESTION", f"question `{question.id}` appears twice in {what}", *there)
        if found is None:
            findings.find("NO_SURVEY_KIND", f"a question of {what} needs a `kind`: csat, nps, ces or text", *there)
        if not question.texts:
            message = f"question `{question.id}` of {what} has no text: give `texts` by language"
            findings.find("NO_QUESTION", message, *there)
        questions[question.id] = Question(
            question.id, found or SurveyKind.TEXT, dict(question.texts), question.optional
        )
    return tuple(questions.values())
