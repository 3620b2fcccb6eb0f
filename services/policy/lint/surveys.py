"""Checks surveys: those that no customer gets, that have no question, or that come too late. The feedback service also refuses every
configuration that has an error here.

Errors stop `chapar config apply`. Warnings are for settings that may be intended: a survey without sampling can still be sent by hand.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from chapar.config.v1 import config_pb2
from services.policy.lint.review import Review

MOST_QUESTIONS: Final = 10
MOST_IN_WINDOW: Final = 64
DEFAULT_EXPIRY_MS: Final = 72 * 3_600_000
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_QUESTION_ID: Final = re.compile(r"[a-z0-9-]{1,40}")
_TEXTS: Final = {"survey_invitation", "survey_reminder"}


def surveys(review: Review, channels: Collection[str]) -> None:
    """Check all surveys and their templates; add findings to the review."""
    for index, survey in enumerate(review.configuration.surveys):
        _whom(review, survey, index, channels)
        _questions(review, survey, index)
        _times(review, survey, index)
        _shadow(review, survey, index)
    for index, template in enumerate(review.configuration.templates):
        for language, text in template.texts.items():
            if template.name in _TEXTS and "{link}" not in text:
                message = (
                    f"template `{template.name}` has no {{link}}: customers can respond only by a reply in the channel"
                )
                review.find("NO_LINK", message, "templates", index, "texts", language, severity="warning")


def _whom(review: Review, survey: config_pb2.Survey, index: int, channels: Collection[str]) -> None:
    here = ("surveys", index)
    for place, channel in enumerate(survey.channels):
        if channel not in channels:
            known = ", ".join(sorted(channels))
            review.find("UNKNOWN_CHANNEL", f"`{channel}` is not one of {known}", *here, "channels", place)
    for name in ("sampling", "silent_sampling"):
        if not 0 <= getattr(survey, name) <= 1:
            review.find("SAMPLING_SHARE", f"`{name}` must lie between 0 and 1", *here, name)
    silent = survey.silent_after_ms > 0 and survey.silent_sampling > 0
    if survey.sampling == 0 and not silent:
        message = (
            f"survey `{survey.name}` is sent by hand only: give `sampling`, or `silent_after` and `silent_sampling`"
        )
        review.find("NEVER_ASKED", message, *here, severity="warning")
    if survey.silent_sampling > 0 and survey.silent_after_ms <= 0:
        message = "`silent_sampling` has no effect without `silent_after`"
        review.find("SILENT_WITHOUT_TIME", message, *here, "silent_sampling", severity="warning")
    if (survey.window_ms > 0) != (survey.most_in_window > 0):
        message = "`window` and `most_in_window` go together: at most this number of invitations within this time"
        review.find("WINDOW_WITHOUT_COUNT", message, *here, "window_ms" if survey.window_ms else "most_in_window")
    if not 0 <= survey.most_in_window <= MOST_IN_WINDOW:
        review.find("WINDOW_COUNT", f"`most_in_window` must be at most {MOST_IN_WINDOW}", *here, "most_in_window")


def _questions(review: Review, survey: config_pb2.Survey, index: int) -> None:
    here = ("surveys", index)
    if survey.kind == config_pb2.SURVEY_KIND_UNSPECIFIED:
        review.find("NO_SURVEY_KIND", "a survey needs a `kind`: csat, nps, ces or text", *here)
    if not survey.questions:
        review.find("NO_QUESTION", f"survey `{survey.name}` has no question: give `questions` by language", *here)
    else:
        _spoken(review, survey.questions, f"survey `{survey.name}`", *here, "questions")
    if len(survey.more) > MOST_QUESTIONS:
        review.find("TOO_MANY_QUESTIONS", f"at most {MOST_QUESTIONS} questions after the first", *here, "more")
    seen: set[str] = set()
    for place, question in enumerate(survey.more):
        there = (*here, "more", place)
        if not _QUESTION_ID.fullmatch(question.id):
            review.find("QUESTION_ID", "the `id` of a question must be 1 to 40 of a-z, 0-9 and -", *there)
        elif question.id in seen:
            review.find("DUPLICATE_QUESTION", f"question `{question.id}` appears twice in `{survey.name}`", *there)
        seen.add(question.id)
        if question.kind == config_pb2.SURVEY_KIND_UNSPECIFIED:
            review.find("NO_SURVEY_KIND", "a question needs a `kind`: csat, nps, ces or text", *there)
        if not question.texts:
            review.find("NO_QUESTION", f"question `{question.id}` has no text: give `texts` by language", *there)
        else:
            _spoken(review, question.texts, f"question `{question.id}`", *there, "texts")


def _spoken(review: Review, texts: Mapping[str, str], what: str, *path: str | int) -> None:
    language = review.configuration.default_language or "fa"
    if language not in texts:
        message = (
            f"{what} has no text in `{language}`, the tenant's language, which is used for customers of other languages"
        )
        review.find("NO_TEXT_IN_LANGUAGE", message, *path)
    for spoken, text in texts.items():
        if not text.strip():
            review.find("NO_QUESTION", f"{what} has an empty text in `{spoken}`", *path, spoken)


def _times(review: Review, survey: config_pb2.Survey, index: int) -> None:
    here = ("surveys", index)
    expiry = survey.expires_after_ms or DEFAULT_EXPIRY_MS
    if survey.quiet_from or survey.quiet_to:
        if not (_CLOCK.fullmatch(survey.quiet_from) and _CLOCK.fullmatch(survey.quiet_to)):
            review.find("NOT_A_TIME", "`quiet_from` and `quiet_to` must both be times such as 22:00, in quotes", *here)
        elif survey.quiet_from == survey.quiet_to:
            message = (
                f"quiet from {survey.quiet_from} to {survey.quiet_to} is the whole day: no invitation is ever sent"
            )
            review.find("QUIET_ALL_DAY", message, *here, "quiet_from")
    if survey.remind_after_ms >= expiry:
        review.find(
            "REMINDER_AFTER_EXPIRY", "the reminder is due after the survey has expired", *here, "remind_after_ms"
        )
    if survey.delay_ms >= expiry:
        message = "the delay before the invitation is at least as long as the time to respond; is that intended?"
        review.find("DELAY_BEYOND_EXPIRY", message, *here, "delay_ms", severity="warning")
    if survey.first_response_counts and survey.amend_for_ms > 0:
        message = "`amend_for` has no effect with `first_response_counts`"
        review.find("AMENDS_NOTHING", message, *here, "amend_for_ms", severity="warning")


def _shadow(review: Review, survey: config_pb2.Survey, index: int) -> None:
    for earlier in review.configuration.surveys[:index]:
        if all(_holds(getattr(earlier, name), getattr(survey, name)) for name in ("queues", "channels", "tiers")) and (
            _holds(_primary(earlier.languages), _primary(survey.languages))
        ):
            message = f"`{earlier.name}` comes before it and matches all its interactions, so `{survey.name}` is sent by hand only"
            review.find("SHADOWED_SURVEY", message, "surveys", index, severity="warning")
            return


def _holds(wide: Collection[str], narrow: Collection[str]) -> bool:
    """Return whether every value that matches `narrow` matches `wide`; an empty one matches all."""
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _primary(languages: Collection[str]) -> list[str]:
    return [language.replace("_", "-").split("-", 1)[0].lower() for language in languages]
