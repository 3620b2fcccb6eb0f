"""Checks how feedback is counted and recovered: rules that refer to nothing, thresholds off the scale, words that find nothing."""

from __future__ import annotations

from typing import Final

from chapar.config.v1 import config_pb2
from services.policy.lint.review import Review

_SCALES: Final = {
    config_pb2.SURVEY_KIND_CSAT: range(1, 6),
    config_pb2.SURVEY_KIND_NPS: range(11),
    config_pb2.SURVEY_KIND_CES: range(1, 8),
}
_WEEKDAYS: Final = ("sat", "sun", "mon", "tue", "wed", "thu", "fri")
_LONGEST_WINDOW_MS: Final = 90 * 86_400_000


def counting(review: Review) -> None:
    """Check counting, recoveries and categories; add findings to the review."""
    c = review.configuration
    if c.week_begins and c.week_begins not in _WEEKDAYS:
        review.find("WEEKDAY", f"`week_begins` must be one of {', '.join(_WEEKDAYS)}", "week_begins")
    if c.least_responses < 0:
        review.find("LEAST_ANSWERS", "`least_responses` can't be negative", "least_responses")
    if c.first_contact_window_ms > _LONGEST_WINDOW_MS:
        review.find(
            "FIRST_CONTACT_WINDOW",
            "`first_contact_window` is longer than 90 days: two contacts so far apart are hardly about the same matter",
            "first_contact_window_ms",
            severity="warning",
        )
    _recoveries(review)
    _categories(review)


def _recoveries(review: Review) -> None:
    c = review.configuration
    queues, surveys = {queue.name for queue in c.queues}, {survey.name: survey for survey in c.surveys}
    served = {name for agent in c.agents for name in agent.queues}
    seen: set[str] = set()
    for i, rule in enumerate(c.recoveries):
        if not rule.name or rule.name in seen:
            review.find(
                "DUPLICATE",
                f"each entry of `recoveries` needs a name that no other entry has, not `{rule.name}`",
                "recoveries",
                i,
            )
        seen.add(rule.name)
        for name, known, field in (
            *((name, queues, "queues") for name in rule.queues),
            *((name, set(surveys), "surveys") for name in rule.surveys),
            (rule.queue, queues, "queue"),
        ):
            if name not in known:
                what = "survey" if field == "surveys" else "queue"
                listed = ", ".join(sorted(known)) or "none"
                review.find(
                    f"UNKNOWN_{what.upper()}", f"there is no {what} `{name}` (known: {listed})", "recoveries", i, field
                )
        if served and rule.queue in queues and rule.queue not in served and all(a.queues for a in c.agents):
            review.find(
                "RECOVERY_UNSERVED", f"no agent serves `{rule.queue}`, to which `{rule.name}` sends customers",
                "recoveries", i, "queue", severity="warning",
            )  # fmt: skip
        kinds = (
            [rule.kind]
            if rule.kind
            else [s.kind for s in surveys.values() if not rule.surveys or s.name in rule.surveys]
        )
        scales = [_SCALES[kind] for kind in kinds if kind in _SCALES]
        if rule.kind and rule.kind not in _SCALES:
            review.find("RECOVERY_KIND", "free text has no score that could be too low", "recoveries", i, "kind")
        elif scales and all(rule.at_most < scale[0] or rule.at_most >= scale[-1] for scale in scales):
            review.find(
                "RECOVERY_THRESHOLD",
                f"`{rule.name}`: at_most {rule.at_most} matches {'no' if rule.at_most < scales[0][0] else 'every'} answer",
                "recoveries", i, "at_most", severity="warning",
            )  # fmt: skip


def _categories(review: Review) -> None:
    c = review.configuration
    webhooks = {webhook.name for webhook in c.webhooks}
    for i, rule in enumerate(c.categories):
        if not rule.name:
            review.find("NAMELESS", "this entry of `categories` has no name", "categories", i)
        if not any(any(sign.isalnum() for sign in word) for words in rule.words.values() for word in words.any):
            review.find("CATEGORY_EMPTY", f"`{rule.name}` has no word that could be found", "categories", i, "words")
        for name in rule.webhooks:
            if name not in webhooks:
                listed = ", ".join(sorted(webhooks)) or "none"
                review.find(
                    "UNKNOWN_WEBHOOK", f"there is no webhook `{name}` (known: {listed})", "categories", i, "webhooks"
                )
