"""Checks surveys for what the reader accepts and is hardly intended: no customer gets them, they have no text, or they come too late.

Errors stop `chapar config apply`. Warnings are for settings that may be intended: a survey without sampling can still be sent by hand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from chapar.config.v1 import config_pb2
from services.policy.lint.review import Review
from services.policy.model.surveys import primary
from services.policy.model.templates import SURVEY_INVITATION, SURVEY_REMINDER
from services.policy.reading.surveys import expiry_ms, read_surveys

_TEXTS: Final = frozenset({SURVEY_INVITATION, SURVEY_REMINDER})


def surveys(review: Review, channels: Collection[str]) -> None:
    """Check all surveys and their templates; add findings to the review."""
    read_surveys(review.configuration, review.findings)
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
    silent = survey.silent_after_ms > 0 and survey.silent_sampling > 0
    if survey.sampling == 0 and not silent:
        message = (
            f"survey `{survey.name}` is sent by hand only: give `sampling`, or `silent_after` and `silent_sampling`"
        )
        review.find("NEVER_ASKED", message, *here, severity="warning")
    if survey.silent_sampling > 0 and survey.silent_after_ms <= 0:
        message = "`silent_sampling` has no effect without `silent_after`"
        review.find("SILENT_WITHOUT_TIME", message, *here, "silent_sampling", severity="warning")


def _questions(review: Review, survey: config_pb2.Survey, index: int) -> None:
    here = ("surveys", index)
    if not survey.questions:
        review.find("NO_QUESTION", f"survey `{survey.name}` has no question: give `questions` by language", *here)
    else:
        _spoken(review, survey.questions, f"survey `{survey.name}`", *here, "questions")
    for place, question in enumerate(survey.more):
        if question.texts:
            _spoken(review, question.texts, f"question `{question.id}`", *here, "more", place, "texts")


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
    if survey.delay_ms >= expiry_ms(survey):
        message = "the delay before the invitation is at least as long as the time to respond; is that intended?"
        review.find("DELAY_BEYOND_EXPIRY", message, *here, "delay_ms", severity="warning")
    if survey.first_response_counts and survey.amend_for_ms > 0:
        message = "`amend_for` has no effect with `first_response_counts`"
        review.find("AMENDS_NOTHING", message, *here, "amend_for_ms", severity="warning")


def _shadow(review: Review, survey: config_pb2.Survey, index: int) -> None:
    for earlier in review.configuration.surveys[:index]:
        if all(_holds(getattr(earlier, name), getattr(survey, name)) for name in ("queues", "channels", "tiers")) and (
            _holds([*map(primary, earlier.languages)], [*map(primary, survey.languages)])
        ):
            message = f"`{earlier.name}` comes before it and matches all its interactions, so `{survey.name}` is sent by hand only"
            review.find("SHADOWED_SURVEY", message, "surveys", index, severity="warning")
            return


def _holds(wide: Collection[str], narrow: Collection[str]) -> bool:
    """Return whether every value that matches `narrow` matches `wide`; an empty one matches all."""
    return not wide or (bool(narrow) and set(narrow) <= set(wide))
