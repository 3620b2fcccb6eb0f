"""Lint of surveys: a mistake gives its finding on its line; the service refuses the same mistakes and keeps the running version."""

from pathlib import Path

import pytest

from services.cli.config.files import Document, load
from services.cli.config.lint import lint
from services.feedback.adapters.configuration import decode
from services.policy.findings import ConfigurationRefused

SOUND = """\
tenant: shop
time_zone: Asia/Tehran
default_language: fa
pools: [{name: default}]
queues: [{name: support, pool: default}, {name: billing, pool: default}]
capacity_profiles: [{name: p, total: 100, default_weight: 20}]
agents: [{agent_id: a, pool: default, queues: [support, billing], capacity_profile: p}]
rules: [{name: bills, when: labels.topic == "bill", queue: billing}, {name: rest, queue: support}]
surveys:
  - name: gold by mail
    kind: nps
    channels: [email]
    tiers: [gold]
    languages: [fa-IR, en]
    sampling: 0.3
    silent_after: 90d
    silent_sampling: 1.0
    questions: {fa: ما را پیشنهاد می‌کنید؟, en: Would you recommend us?}
  - name: rest
    kind: csat
    queues: [support]
    sampling: 1
    least_gap: 24h
    window: 30d
    most_in_window: 3
    delay: 10m
    quiet_from: "22:00"
    quiet_to: "08:00"
    expires_after: 72h
    remind_after: 24h
    amend_for: 2h
    questions: {fa: راضی بودید؟, en: Satisfied?}
    more:
      - {id: effort, kind: ces, texts: {fa: آسان بود؟}}
      - {id: why, kind: text, optional: true, texts: {fa: چرا؟, en: Why?}}
templates:
  - {name: survey_reminder, texts: {fa: "{question} {link} تا {until}"}}
"""

# The old text, the new text, the finding, its line, and whether the service also refuses it.
MISTAKES = [
    ("    kind: csat\n", "", "NO_SURVEY_KIND", "- name: rest", True),
    ("sampling: 1\n", "sampling: 1.5\n", "SAMPLING_SHARE", "sampling: 1.5", True),
    ("silent_sampling: 1.0", "silent_sampling: -1", "SAMPLING_SHARE", "silent_sampling: -1", True),
    ("    window: 30d\n", "", "WINDOW_WITHOUT_COUNT", "most_in_window: 3", True),
    ("    most_in_window: 3\n", "", "WINDOW_WITHOUT_COUNT", "window: 30d", True),
    ("most_in_window: 3", "most_in_window: 65", "WINDOW_COUNT", "most_in_window: 65", True),
    ('quiet_to: "08:00"', 'quiet_to: "22:00"', "QUIET_ALL_DAY", 'quiet_from: "22:00"', True),
    ('quiet_to: "08:00"', 'quiet_to: "8"', "NOT_A_TIME", "- name: rest", True),
    ('    quiet_to: "08:00"\n', "", "NOT_A_TIME", "- name: rest", True),
    ("remind_after: 24h", "remind_after: 72h", "REMINDER_AFTER_EXPIRY", "remind_after: 72h", True),
    ("id: why", "id: effort", "DUPLICATE_QUESTION", "- {id: effort, kind: text", True),
    ("id: why", "id: Why", "QUESTION_ID", "- {id: Why", True),
    ("kind: text, ", "", "NO_SURVEY_KIND", "- {id: why", True),
    (", texts: {fa: چرا؟, en: Why?}", "", "NO_QUESTION", "- {id: why", True),
    ("texts: {fa: آسان بود؟}", "texts: {en: Easy?}", "NO_TEXT_IN_LANGUAGE", "- {id: effort", False),
    (
        "questions: {fa: راضی بودید؟, en: Satisfied?}",
        "questions: {en: Satisfied?}",
        "NO_TEXT_IN_LANGUAGE",
        "questions: {en: S",
        False,
    ),
    ("    questions: {fa: راضی بودید؟, en: Satisfied?}\n", "", "NO_QUESTION", "- name: rest", False),
    ("queues: [support]\n", "queues: [sales]\n", "UNKNOWN_QUEUE", "queues: [sales]", False),
    ("channels: [email]", "channels: [fax]", "UNKNOWN_CHANNEL", "channels: [fax]", False),
    ("{link} تا", "{linc} تا", "UNKNOWN_PLACEHOLDER", "survey_reminder", False),
]
WARNINGS = [
    ("sampling: 1\n", "sampling: 0\n", "NEVER_ASKED", "- name: rest"),
    ("    silent_after: 90d\n", "", "SILENT_WITHOUT_TIME", "silent_sampling: 1.0"),
    ("delay: 10m", "delay: 72h", "DELAY_BEYOND_EXPIRY", "delay: 72h"),
    ("delay: 10m", "first_response_counts: true", "AMENDS_NOTHING", "amend_for: 2h"),
    ("    channels: [email]\n    tiers: [gold]\n    languages: [fa-IR, en]\n", "", "SHADOWED_SURVEY", "- name: rest"),
    (" {link} تا", " تا", "NO_LINK", "survey_reminder"),
]


def linted(text: str, directory: Path) -> Document:
    file = directory / "shop.yaml"
    file.write_text(text, encoding="utf-8")
    document = load(file)
    lint(document)
    return document


def of_surveys(document: Document) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in document.findings]


def test_a_valid_configuration_that_uses_everything_has_no_finding(tmp_path: Path) -> None:
    """The service accepts it without a change."""
    document = linted(SOUND, tmp_path)
    assert of_surveys(document) == []
    programme = decode("shop", document.configuration.SerializeToString()).programme
    assert [survey.name for survey in programme.surveys] == ["gold by mail", "rest"]
    assert programme.surveys[0].languages == {"fa", "en"}


@pytest.mark.parametrize(("before", "after", "code", "line", "refused"), MISTAKES)
def test_a_mistake_is_reported_on_its_line_and_the_service_refuses_it(
    tmp_path: Path, before: str, after: str, code: str, line: str, refused: bool
) -> None:
    """Where the service has a safe fallback (a generic text, a queue without agents), it uses it, and only lint reports the error."""
    assert before in SOUND
    text = SOUND.replace(before, after, 1)
    document = linted(text, tmp_path)
    found = [finding for finding in document.findings if finding.code == code]
    assert [finding.severity for finding in found] == ["error"], document.findings
    assert line in text.splitlines()[found[0].line - 1]
    raw = document.configuration.SerializeToString()
    if refused:
        with pytest.raises(ConfigurationRefused, match=r"rest|gold by mail"):
            decode("shop", raw)
    else:
        decode("shop", raw)


@pytest.mark.parametrize(("before", "after", "code", "line"), WARNINGS)
def test_a_setting_that_may_be_intended_is_a_warning(
    tmp_path: Path, before: str, after: str, code: str, line: str
) -> None:
    """A warning does not stop the configuration."""
    assert before in SOUND
    text = SOUND.replace(before, after, 1)
    document = linted(text, tmp_path)
    assert of_surveys(document) == [(code, "warning")]
    assert line in text.splitlines()[document.findings[0].line - 1]
    decode("shop", document.configuration.SerializeToString())


def test_a_survey_is_shadowed_only_by_one_that_matches_all_its_interactions(tmp_path: Path) -> None:
    """An earlier survey with a narrower or overlapping scope leaves interactions for it; one with the same scope leaves none."""
    narrower = SOUND.replace("queues: [support]\n", "channels: [email]\n    tiers: [gold, silver]\n", 1)
    assert of_surveys(linted(narrower, tmp_path)) == []
    same = SOUND.replace("queues: [support]\n", "channels: [email]\n    tiers: [gold]\n    languages: [en]\n", 1)
    assert of_surveys(linted(same, tmp_path)) == [("SHADOWED_SURVEY", "warning")]
