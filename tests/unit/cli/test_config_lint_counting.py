"""Lint of counting, recoveries and categories."""

from pathlib import Path

import pytest

from services.cli.config.files import Document, load
from services.cli.config.lint import lint

SOUND = """\
tenant: shop
week_begins: sat
least_responses: 5
first_contact_window: 7d
pools: [{name: default}]
queues: [{name: support, pool: default}, {name: call-back, pool: default}]
surveys: [{name: s, kind: csat, sampling: 1, questions: {fa: ؟, en: '?'}}]
webhooks:
  - {name: warehouse, url: "https://w.example/hook", secrets: {signing: "env:CHAPAR_SECRET_SHOP__W"}, events: [feedback.answered.text]}
recoveries:
  - {name: unhappy, at_most: 2, queue: call-back, surveys: [s], queues: [support], kind: csat}
categories:
  - name: delivery
    words:
      fa: {any: [پیک], none: [پیک خوب]}
      en: {any: [courier]}
    webhooks: [warehouse]
dispositions: [{name: junk, blocks_for: 366d}]
"""


def linted(tmp_path: Path, text: str) -> Document:
    file = tmp_path / "shop.yaml"
    file.write_text(text)
    document = load(file)
    if not document.findings:
        lint(document)
    return document


def test_a_valid_configuration_has_no_such_finding_and_keeps_its_words(tmp_path: Path) -> None:
    """Words are grouped by language, as lists of words that match and words that exclude a match."""
    document = linted(tmp_path, SOUND)
    mine = {"WEEKDAY", "RECOVERY_THRESHOLD", "RECOVERY_KIND", "CATEGORY_EMPTY", "UNKNOWN_WEBHOOK", "UNKNOWN_EVENT"}
    assert not [finding for finding in document.findings if finding.code in mine or finding.severity == "error"]
    words = document.configuration.categories[0].words
    assert (list(words["fa"].any), list(words["fa"].none), list(words["en"].any)) == (["پیک"], ["پیک خوب"], ["courier"])


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("week_begins: sat", "week_begins: caturday", "WEEKDAY", 2),
        ("least_responses: 5", "least_responses: -5", "LEAST_RESPONSES", 3),
        ("first_contact_window: 7d", "first_contact_window: 120d", "FIRST_CONTACT_WINDOW", 4),
        ("at_most: 2, queue: call-back", "at_most: 2, queue: nowhere", "UNKNOWN_QUEUE", 11),
        ("queues: [support], kind", "queues: [nowhere], kind", "UNKNOWN_QUEUE", 11),
        ("surveys: [s], queues", "surveys: [t], queues", "UNKNOWN_SURVEY", 11),
        ("at_most: 2", "at_most: 5", "RECOVERY_THRESHOLD", 11),
        ("at_most: 2", "at_most: 0", "RECOVERY_THRESHOLD", 11),
        ("kind: csat}\ncategories", "kind: text}\ncategories", "RECOVERY_KIND", 11),
        ("webhooks: [warehouse]", "webhooks: [shop]", "UNKNOWN_WEBHOOK", 17),
        ("words:\n      fa: {any: [پیک], none: [پیک خوب]}\n      en: {any: [courier]}", "words: {fa: {any: ['!']}}",
         "CATEGORY_EMPTY", 14),
        ("blocks_for: 366d", "blocks_for: 367d", "OUT_OF_RANGE", 18),
    ],
)  # fmt: skip
def test_each_mistake_is_named_on_its_line(tmp_path: Path, old: str, new: str, code: str, line: int) -> None:
    """Each case is one change to the valid configuration."""
    assert old in SOUND
    found = [(finding.code, finding.line) for finding in linted(tmp_path, SOUND.replace(old, new, 1)).findings]
    assert (code, line) in found
