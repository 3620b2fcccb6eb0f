"""The list of findings: what two readers report is one finding, and only errors refuse a configuration."""

import pytest

from services.policy.findings import ConfigurationRefused, Finding, Findings


def test_a_finding_that_two_readers_make_is_one() -> None:
    """The order in which findings were made stays."""
    findings = Findings()
    findings.find("A", "first", "queues", 1)
    findings.find("B", "second", "queues", 2, severity="warning")
    findings.find("A", "first", "queues", 1)
    assert findings.found == (Finding("A", "first", ("queues", 1)), Finding("B", "second", ("queues", 2), "warning"))


def test_only_errors_refuse_a_configuration() -> None:
    """The text is the first error's, and the exception has them all."""
    findings = Findings()
    findings.find("W", "a warning", severity="warning")
    findings.refuse_errors()
    findings.find("A", "first")
    findings.find("B", "second")
    with pytest.raises(ConfigurationRefused, match=r"^first$") as refused:
        findings.refuse_errors()
    assert [error.code for error in refused.value.errors] == ["A", "B"]


def test_an_unknown_name_is_shown_with_the_known_ones() -> None:
    """An empty name names nothing; without known names the message says so."""
    findings = Findings()
    findings.find_unknown("capacity profile", "", ["p"], "agents", 0)
    findings.find_unknown("capacity profile", "p", ["p"], "agents", 1)
    findings.find_unknown("capacity profile", "q", ["r", "p"], "agents", 2)
    findings.find_unknown("webhook", "q", [], "agents", 3)
    assert findings.found == (
        Finding("UNKNOWN_CAPACITY_PROFILE", "there is no capacity profile `q` (known: p, r)", ("agents", 2)),
        Finding("UNKNOWN_WEBHOOK", "there is no webhook `q` (known: none)", ("agents", 3)),
    )
