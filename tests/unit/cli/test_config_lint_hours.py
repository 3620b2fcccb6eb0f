"""Lint of opening hours: calendars and queues that do not exist, and hours without an effect."""

from pathlib import Path

import pytest

from services.cli.config.files import load
from services.cli.config.lint import lint

SOUND = """\
tenant: bank
time_zone: Asia/Tehran
pools: [{name: default}]
queues:
  - {name: callbacks, pool: default}
  - {name: loans, pool: default, hours: office}
rules:
  - {name: at night, when: '!open("loans") || !account_open', queue: callbacks}
  - {name: by day, queue: loans}
channels: [{channel: grpc, account: default, acknowledge: true, hours: office}]
calendars:
  - {name: office, hours: [{days: [sat, sun, mon, tue, wed], from: "08:00", to: "16:00"}], holidays_country: IR}
templates:
  - {name: closed, texts: {fa: "تا {opens} بسته‌ایم", en: "Closed until {opens}"}}
  - {name: closed_without_opening, texts: {en: Closed}}
"""


def found(tmp_path: Path, text: str) -> list[tuple[str, str, int]]:
    """Return code, severity and line of each finding."""
    path = tmp_path / "tenant.yaml"
    path.write_text(text, encoding="utf-8")
    document = load(path)
    assert document.findings == [], "the file can't be read"
    lint(document)
    return [(each.code, each.severity, each.line) for each in document.findings]


def test_opening_hours_that_fit_together_have_no_finding(tmp_path: Path) -> None:
    assert found(tmp_path, SOUND) == []


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("pool: default, hours: office", "pool: default, hours: ofice", ("UNKNOWN_CALENDAR", "error", 6)),
        ("acknowledge: true, hours: office", "acknowledge: true, hours: nights", ("UNKNOWN_CALENDAR", "error", 10)),
        ('open("loans")', 'open("loan")', ("UNKNOWN_QUEUE", "error", 8)),
        ('!open("loans") ||', '!open("loans") || !open("callbacks") ||', ("ALWAYS_OPEN", "warning", 8)),
        ("Closed until {opens}", "Closed until {minutes}", ("UNKNOWN_PLACEHOLDER", "error", 14)),
        ('!open("loans") ||', "!open(channel) ||", ("BAD_EXPRESSION", "error", 8)),
    ],
)
def test_each_mistake_has_its_finding(tmp_path: Path, old: str, new: str, finding: tuple[str, str, int]) -> None:
    assert SOUND.count(old) == 1
    assert found(tmp_path, SOUND.replace(old, new)) == [finding]


def test_an_account_whose_hours_nobody_is_told_and_no_rule_reads(tmp_path: Path) -> None:
    text = SOUND.replace("acknowledge: true, ", "")
    assert found(tmp_path, text) == []
    assert found(tmp_path, text.replace(" || !account_open", "")) == [("CLOSED_IN_SILENCE", "warning", 10)]


def test_a_calendar_that_is_wrong_is_reported_once(tmp_path: Path) -> None:
    """With the calendar, not again with each queue that names it."""
    assert found(tmp_path, SOUND.replace("holidays_country: IR", "holidays_country: XX")) == [
        ("UNKNOWN_COUNTRY", "error", 12)
    ]


def test_the_example_of_the_page_has_no_error(tmp_path: Path) -> None:
    """docs/opening-hours.md."""
    page = Path("docs/opening-hours.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    assert [each for each in found(tmp_path, example) if each[1] == "error"] == []
