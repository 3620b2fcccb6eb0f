"""A tenant's surveys, from its configuration. An invalid configuration is refused as a whole: the reader keeps the one
in force.

`chapar config lint` finds the same faults before a configuration is applied, and more
(services/policy/lint/surveys.py).
"""

import re
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chapar.config.v1 import config_pb2 as config
from services.feedback.domain.people import MOST_SENDINGS
from services.feedback.domain.quiet import Quiet, minute_of_day
from services.feedback.domain.survey import (
    DEFAULT_EXPIRES_AFTER_MS,
    MOST_QUESTIONS,
    Programme,
    Question,
    Survey,
    SurveyKind,
    primary,
)
from services.feedback.translate.records import Untranslatable, kind

_QUESTION_ID: Final = re.compile(r"[a-z0-9-]{1,40}")


def programme(tenant: config.TenantConfiguration) -> Programme:
    """Return a tenant's surveys. Raises Untranslatable; its text names survey and field."""
    try:
        zone = ZoneInfo(tenant.time_zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Untranslatable("time_zone is not an IANA zone") from error
    surveys = tuple(_survey(survey) for survey in tenant.surveys)
    return Programme(surveys, tenant.default_language or "fa", zone)


def _survey(survey: config.Survey) -> Survey:
    found = kind(survey.kind)
    if found is None:
        raise _senseless(survey, "kind is unknown")
    if not (0 <= survey.sampling <= 1 and 0 <= survey.silent_sampling <= 1):
        raise _senseless(survey, "sampling must be a share from 0 to 1")
    times = (survey.least_gap_ms, survey.delay_ms, survey.expires_after_ms, survey.window_ms)
    if min(*times, survey.remind_after_ms, survey.silent_after_ms, survey.amend_for_ms) < 0:
        raise _senseless(survey, "times must not be negative")
    if not 0 <= survey.most_in_window <= MOST_SENDINGS or (survey.window_ms > 0) != (survey.most_in_window > 0):
        raise _senseless(survey, f"window and most_in_window must be set together, and the maximum is {MOST_SENDINGS}")
    expires_after_ms = survey.expires_after_ms or DEFAULT_EXPIRES_AFTER_MS
    if survey.remind_after_ms >= expires_after_ms:
        raise _senseless(survey, "its reminder would come after its expiry")
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
        quiet=_quiet(survey),
        expires_after_ms=expires_after_ms,
        remind_after_ms=survey.remind_after_ms,
        first_response_counts=survey.first_response_counts,
        amend_within_ms=survey.amend_for_ms,
        questions=dict(survey.questions),
        more=_more(survey),
    )


def _quiet(survey: config.Survey) -> Quiet | None:
    if not (survey.quiet_from or survey.quiet_to):
        return None
    try:
        start, stop = minute_of_day(survey.quiet_from), minute_of_day(survey.quiet_to)
    except ValueError as error:
        raise _senseless(survey, "quiet_from and quiet_to must be times HH:MM") from error
    if start == stop:
        raise _senseless(survey, "its quiet hours leave no time to send invitations")
    return Quiet(start, stop)


def _more(survey: config.Survey) -> tuple[Question, ...]:
    if len(survey.more) > MOST_QUESTIONS:
        raise _senseless(survey, f"at most {MOST_QUESTIONS} questions after the first")
    questions: list[Question] = []
    for question in survey.more:
        found: SurveyKind | None = kind(question.kind)
        if found is None or not question.texts:
            raise _senseless(survey, "a question must have a kind and a text")
        if not _QUESTION_ID.fullmatch(question.id) or question.id in {each.question_id for each in questions}:
            raise _senseless(survey, "ids of questions must match [a-z0-9-]{1,40} and differ")
        questions.append(Question(question.id, found, dict(question.texts), question.optional))
    return tuple(questions)


def _senseless(survey: config.Survey, why: str) -> Untranslatable:
    return Untranslatable(f"survey {survey.name}: {why}")
