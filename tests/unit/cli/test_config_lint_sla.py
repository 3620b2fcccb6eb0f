"""Lint of SLA targets and calendars: a valid configuration that uses every feature gives no finding, each mistake in it gives its own finding,
and the service refuses every configuration with an error."""

from pathlib import Path

import pytest

from services.cli.config.files import Document, load
from services.cli.config.lint import lint
from services.policy.findings import ConfigurationRefused
from services.policy.reading.sla import policies_of

SOUND = """\
tenant: shop
time_zone: Asia/Tehran
routing_labels: [campaign]
pools: [{name: default}]
skills: [{name: senior}]
queues:
  - {name: sales, pool: default, order: deadline, service_level: 20s}
  - {name: rescue, pool: default}
rules: [{name: all, queue: sales}]
channels: [{channel: grpc, account: default}]
webhooks: [{name: duty, url: "https://duty.example/hook", secrets: {signing: "env:CHAPAR_SECRET_SHOP__DUTY"}}]
calendars:
  - name: office
    hours:
      - {days: [sat, sun, mon, tue, wed], from: "08:00", to: "12:00"}
      - {days: [sat, sun, mon, tue, wed], from: "13:00", to: "17:00"}
    holidays_country: IR
    holidays_countries: [DE-BY]
    closed_dates: ["2026-03-19"]
    open_dates: ["2026-02-11"]
    exceptions: [{date: "2026-03-18", from: "08:00", to: "10:00"}]
sla_policies:
  - name: nowruz
    queues: [sales]
    channels: [webchat]
    tiers: [gold]
    languages: [fa]
    priority_at_least: 1
    priority_at_most: 9
    when: '"campaign" in labels && labels["campaign"] == "nowruz" && priority > 3'
    calendar: office
    pause_while_customer_awaited: true
    pause_until_scheduled: [pick_up]
    applies_to_open: true
    orders_queue: true
    targets:
      - kind: pick_up
        desired: 30s
        adequate: 60s
        warn_at: [0.5]
        warn_before: [10s]
        warn_after: [20s]
        escalations:
          - {at: warning, warning: 3, add_priority: 5}
          - {at: desired_passed, requirements: [{attribute: senior}]}
          - {at: breach, queue: rescue, webhook: duty, supervisor: true}
      - {kind: first_response, desired: 1m, adequate: 2m, warn_at: [0.75], escalate_priority: 5}
      - {kind: next_response, adequate: 2m}
      - {kind: resolution, desired: 1h, adequate: 2h}
  - {name: rest, targets: [{kind: pick_up, desired: 30s, adequate: 1m}]}
"""


def checked(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "tenant.yaml"
    path.write_text(text, encoding="utf-8")
    document = load(path)
    assert document.findings == [], "the file can't be read"
    lint(document)
    return document


def edited(old: str, new: str) -> str:
    assert SOUND.count(old) == 1, f"{old!r} appears {SOUND.count(old)} times"
    return SOUND.replace(old, new)


def test_a_valid_configuration_gives_no_finding_and_is_accepted(tmp_path: Path) -> None:
    """The configuration uses everything that can be configured."""
    document = checked(tmp_path, SOUND)
    assert [str(f) for f in document.findings] == []
    assert len(policies_of(document.configuration).policies) == 2


ERRORS = {
    # names
    "calendar": ("UNKNOWN_CALENDAR", "calendar: office", "calendar: ofice"),
    "webhook": ("UNKNOWN_WEBHOOK", "webhook: duty", "webhook: dutty"),
    "queue of an escalation": ("UNKNOWN_QUEUE", "queue: rescue", "queue: rescu"),
    # conditions
    "no CEL": ("BAD_EXPRESSION", "priority > 3'", "priority >'"),
    "without bounds": ("BAD_EXPRESSION", "priority > 3'", f"{'!' * 60}true'"),
    "too costly": ("COSTLY_EXPRESSION", "priority > 3'", "labels.all(a, labels.all(b, labels.all(c, a == b)))'"),
    "of an unknown variable": ("UNKNOWN_VARIABLE", "priority > 3'", "text > 3'"),
    "an empty range": ("PRIORITY_RANGE", "priority_at_most: 9", "priority_at_most: 0"),
    # levels
    "contradicting levels": ("CONTRADICTING_LEVELS", "desired: 30s\n", "desired: 61s\n"),
    "none": ("TARGET_OF_ZERO", "{kind: next_response, adequate: 2m}", "{kind: next_response}"),
    "negative": ("TARGET_OF_ZERO", "{kind: next_response, adequate: 2m}", "{kind: next_response, adequate_ms: -5}"),
    "eleven years": ("OUT_OF_RANGE", "{kind: resolution, desired: 1h, adequate: 2h}", "{kind: resolution, adequate: 5000d}"),
    "no kind": ("NO_TARGET_KIND", "{kind: next_response, adequate: 2m}", "{adequate: 2m}"),
    "two of one kind": ("DUPLICATE", "kind: next_response", "kind: first_response"),
    "a pick-up after an answer": ("CONTRADICTING_TARGETS", "response, desired: 1m, adequate: 2m", "response, desired: 10s, adequate: 50s"),
    "a next response after the resolution": ("CONTRADICTING_TARGETS", "next_response, adequate: 2m", "next_response, adequate: 3h"),
    # warnings
    "a share above one": ("WARNING_SHARE", "warn_at: [0.5]", "warn_at: [1.5]"),
    "before the start": ("WARNING_TOO_LATE", "warn_before: [10s]", "warn_before: [60s]"),
    "after the end": ("WARNING_TOO_LATE", "warn_after: [20s]", "warn_after: [60s]"),
    # escalations
    "a warning that does not exist": ("NO_SUCH_WARNING", "warning: 3", "warning: 4"),
    "never": ("NO_POINT", "at: breach, queue", "queue"),
    "nothing": ("NO_ACTION", "{at: desired_passed, requirements: [{attribute: senior}]}", "{at: desired_passed}"),
    # calendars
    "never open": ("NEVER_OPEN", 'from: "13:00", to: "17:00"', 'from: "17:00", to: "13:00"'),
    "no such zone": ("UNKNOWN_ZONE", "  - name: office\n", "  - name: office\n    time_zone: Asia/Teheran\n"),
    "no such country": ("UNKNOWN_COUNTRY", "holidays_country: IR", "holidays_country: XX"),
    "no such part": ("UNKNOWN_COUNTRY", "DE-BY", "DE-XX"),
    "no date": ("NOT_A_DATE", "2026-02-11", "2026-02-30"),
    "no time": ("NOT_A_TIME", 'to: "10:00"', 'to: "25:00"'),
    "no day": ("UNKNOWN_DAY", 'wed], from: "08:00"', 'wen], from: "08:00"'),
}  # fmt: skip
WARNINGS = {
    "a channel that does not exist": ("UNKNOWN_CHANNEL", "[webchat]", "[web]"),
    "a skill that does not exist": ("UNKNOWN_SKILL", "[{attribute: senior}]", "[{attribute: seniour}]"),
    "a policy behind another": ("SHADOWED_POLICY", "  - {name: rest,", "  - {name: wide, targets: []}\n  - {name: rest,"),
    "order of nothing": ("ORDERS_NOTHING", "order: deadline, ", ""),
    "a priority without a warning": ("NO_SUCH_WARNING", "warn_at: [0.75], escalate", "escalate"),
    "closed and open": ("CONTRADICTING_DATES", "2026-02-11", "2026-03-19"),
    "a minute before midnight": ("CLOSES_AT_23_59", 'to: "17:00"', 'to: "23:59"'),
    "a minute before midnight, on one date": ("CLOSES_AT_23_59", 'to: "10:00"', 'to: "23:59"'),
}  # fmt: skip


@pytest.mark.parametrize(("code", "old", "new"), ERRORS.values(), ids=ERRORS)
def test_each_error_has_its_code_and_is_refused_by_the_service(tmp_path: Path, code: str, old: str, new: str) -> None:
    """The finding shows its place and how to fix it."""
    document = checked(tmp_path, edited(old, new))
    found = [f for f in document.findings if f.code == code]
    assert found, f"only {[f.code for f in document.findings]}"
    assert all(len(f.message) > 20 and f.severity == "error" for f in found)
    with pytest.raises(ConfigurationRefused):
        policies_of(document.configuration)


@pytest.mark.parametrize(("code", "old", "new"), WARNINGS.values(), ids=WARNINGS)
def test_the_service_accepts_what_is_only_a_warning(tmp_path: Path, code: str, old: str, new: str) -> None:
    """Only lint reports it."""
    document = checked(tmp_path, edited(old, new))
    assert code in {f.code for f in document.findings}, [f.code for f in document.findings]
    policies_of(document.configuration)


def test_a_finding_names_its_line(tmp_path: Path) -> None:
    document = checked(tmp_path, edited("warn_after: [20s]", "warn_after: [60s]"))
    (finding,) = document.findings
    assert f"{finding.file}:{SOUND[: SOUND.index('warn_after')].count(chr(10)) + 1}: error: " in str(finding)


SHADOWS = {
    "asks for nothing": ("", "queues: [sales], when: priority > 3", True),
    "has more of the same": ("queues: [sales, rescue]", "queues: [sales]", True),
    "has less": ("queues: [sales]", "queues: [sales, rescue]", False),
    "is for any, the other for some": ("queues: [sales]", "", False),
    "a language and its variety": ("languages: [fa]", "languages: [fa-IR]", True),
    "a variety and its language": ("languages: [fa-IR]", "languages: [fa]", False),
    "a wider range": ("priority_at_least: 1", "priority_at_least: 2, priority_at_most: 5", True),
    "a range beside it": ("priority_at_most: 5", "priority_at_least: 2", False),
    "the same condition": ("when: priority > 3", "when: priority > 3, channels: [email]", True),
    "another condition": ("when: priority > 3", "when: priority > 4", False),
}


@pytest.mark.parametrize(("first", "second", "shadowed"), SHADOWS.values(), ids=SHADOWS)
def test_a_policy_that_is_never_chosen(tmp_path: Path, first: str, second: str, shadowed: bool) -> None:
    one, two = (f"{{name: {name}, targets: [], {keys}}}" for name, keys in (("one", first), ("two", second)))
    head = SOUND[: SOUND.index("sla_policies:")]
    document = checked(tmp_path, f"{head}sla_policies: [{one}, {two}]\n")
    assert ("SHADOWED_POLICY" in {f.code for f in document.findings}) is shadowed
