"""Checks how feedback is counted and recovered: rules that refer to nothing, and thresholds off the scale."""

from __future__ import annotations

from typing import Final

from services.policy.lint.review import Review
from services.policy.model.surveys import SCALES
from services.policy.reading.closing_words import read_closing_words
from services.policy.reading.counting import read_counting
from services.policy.reading.surveys import kind

_LONGEST_WINDOW_MS: Final = 90 * 86_400_000


def counting(review: Review) -> None:
    """Check counting, recoveries and categories; add findings to the review."""
    c = review.configuration
    read_counting(c, review.findings)
    read_closing_words(c, review.findings)
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
        for name in rule.queues:
            review.findings.find_unknown("queue", name, queues, "recoveries", i, "queues")
        for name in rule.surveys:
            review.findings.find_unknown("survey", name, surveys, "recoveries", i, "surveys")
        review.findings.find_unknown("queue", rule.queue, queues, "recoveries", i, "queue")
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
        scales = [SCALES[scored] for scored in map(kind, kinds) if scored is not None and scored in SCALES]
        if scales and all(rule.at_most < scale[0] or rule.at_most >= scale[-1] for scale in scales):
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
        for name in rule.webhooks:
            review.findings.find_unknown("webhook", name, webhooks, "categories", i, "webhooks")
