"""Rules, alerts, their runbooks and the dashboards fit the metrics of the code."""

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from services.chassis.metrics_catalogue import CATALOGUE
from tests.architecture.deployed import CHART, DEPLOY, yaml_documents

RULES = DEPLOY / "prometheus/rules/chapar.yaml"
RULE_TESTS = sorted((DEPLOY / "prometheus/tests").glob("*.yaml"))
RUNBOOKS = DEPLOY / "runbooks/README.md"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
# What Prometheus and the scrape add to what the code gives.
SCRAPED_LABELS = {"namespace", "job", "instance", "le"}
SELECTOR = re.compile(r"(?<![\w:])(chapar_[a-z0-9_]+)(?:\{([^}]*)\})?")
RECORDED = re.compile(r"(?<![\w:])[a-z]+:[a-z0-9_:]+")


def _series() -> dict[str, set[str]]:
    """Every series that the code can give, with its labels."""
    found: dict[str, set[str]] = {}
    for spec in CATALOGUE:
        endings = ("_bucket", "_sum", "_count") if spec.kind == "histogram" else ("",)
        for ending in endings:
            found[spec.name + ending] = {*spec.labels, *SCRAPED_LABELS}
    return found


def _misnamed(expression: str, recorded: set[str]) -> list[str]:
    """Names of metrics, labels and recorded series in a PromQL expression that nothing gives."""
    known, wrong = _series(), []
    for name, matchers in SELECTOR.findall(expression):
        if name not in known:
            wrong.append(name)
            continue
        wrong += [f"{name}{{{label}}}" for label in re.findall(r"(\w+)\s*[=!]~?", matchers) if label not in known[name]]
    labels = set().union(*known.values()) | {"service"}
    for group in re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", expression):
        wrong += [label for label in re.findall(r"\w+", group) if label not in labels]
    return wrong + [name for name in RECORDED.findall(expression) if name not in recorded]


def _rules() -> list[dict[str, Any]]:
    return [rule for group in yaml_documents(RULES)[0]["groups"] for rule in group["rules"]]


def _recorded() -> set[str]:
    return {rule["record"] for rule in _rules() if "record" in rule}


def _rule_tests() -> list[dict[str, Any]]:
    return [test for path in RULE_TESTS for test in yaml_documents(path)[0]["tests"]]


def _alerts() -> list[dict[str, Any]]:
    return [rule for rule in _rules() if "alert" in rule]


def test_rules_use_metrics_and_labels_that_exist() -> None:
    """A misspelt metric is an alert that never fires."""
    wrong = {str(r.get("alert") or r.get("record")): _misnamed(r["expr"], _recorded()) for r in _rules()}
    assert {name: names for name, names in wrong.items() if names} == {}
    assert _misnamed('rate(chapar_router_waitin{shop="x"}[5m])', set()) == ["chapar_router_waitin"]
    assert _misnamed('chapar_router_waiting{agent="x"}', set()) == ["chapar_router_waiting{agent}"]


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    """Severity, summary, description, and a section of the runbooks; no section without an alert."""
    sections = set(re.findall(r"^## (\w+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE))
    assert sections == {alert["alert"] for alert in _alerts()}
    for alert in _alerts():
        assert alert["labels"]["severity"] in {"page", "ticket"}, alert["alert"]
        assert {"summary", "description", "runbook_url"} <= alert["annotations"].keys(), alert["alert"]
        assert alert["annotations"]["runbook_url"].endswith(f"deploy/runbooks/README.md#{alert['alert'].lower()}")


def test_each_alert_has_a_test_that_it_is_quiet_and_that_it_fires() -> None:
    """promtool runs them; here it is looked at that none is missing."""
    told: dict[str, set[bool]] = {}
    for case in itertools.chain.from_iterable(test["alert_rule_test"] for test in _rule_tests()):
        told.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    assert told == {alert["alert"]: {True, False} for alert in _alerts()}


def test_rule_tests_feed_series_that_exist() -> None:
    """A test over invented series would prove nothing."""
    series = [entry["series"] for test in _rule_tests() for entry in test["input_series"]]
    assert [each for each in series if _misnamed(each, set())] == []


def test_the_chart_carries_the_same_rules() -> None:
    """One file of rules; the chart's copy is byte for byte the same."""
    assert (CHART / "files/rules.yaml").read_bytes() == RULES.read_bytes()


def _panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_dashboards_show_metrics_that_exist(path: Path) -> None:
    """Names and labels are the catalogue's; each panel explains itself, in a unit, from the chosen Prometheus."""
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    assert dashboard["uid"]
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    panels = _panels(dashboard)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    wrong: list[str] = []
    for panel in panels:
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        for target in panel["targets"]:
            wrong += _misnamed(target["expr"], _recorded())
            windows = re.findall(r"\[([^\]]+)\]", target["expr"])
            assert set(windows) <= {"$__rate_interval"}, panel["title"]
    assert wrong == []


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_do_not_lie_over_each_other(path: Path) -> None:
    """Each cell of the grid belongs to one panel at most."""
    seen: dict[tuple[int, int], str] = {}
    for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for cell in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])):
            assert seen.setdefault(cell, panel["title"]) == panel["title"]


def _read_by(expression: str) -> set[str]:
    """The metrics of the code that an expression reads, by recorded series too."""
    records = {rule["record"]: rule["expr"] for rule in _rules() if "record" in rule}
    found = {name for name, _ in SELECTOR.findall(RECORDED.sub("", expression))}
    for name in set(RECORDED.findall(expression)):
        found |= _read_by(records[name])
    return found


def test_each_alert_is_tried_without_each_series_that_it_reads() -> None:
    """Absent, or born in the middle: a counter that begins at one, a ratio of which one side is not there. Each case says which answer is right."""
    tried = {
        (result["alertname"], metric)
        for test in _rule_tests()
        for result in test["alert_rule_test"]
        for metric in _series()
        if all(
            str(each["values"]).startswith("_")
            for each in test["input_series"]
            if each["series"].partition("{")[0] == metric
        )
    }
    wanted = {(alert["alert"], metric) for alert in _alerts() for metric in _read_by(alert["expr"])}
    assert len(wanted) > len(_alerts())
    assert wanted - tried == set()


def test_no_counter_is_looked_at_in_a_way_that_misses_its_birth() -> None:
    """`increase` sees nothing of a counter's first value: where an alert counts single events, what was not there before the window counts whole."""
    for rule in _rules():
        for metric, matchers, window, offset in INCREASE.findall(rule["expr"]):
            selector = metric + matchers
            before = f" offset {offset}" if offset else ""
            ago = _minutes(window) + (_minutes(offset) if offset else 0)
            birth = re.compile(re.escape(f"({selector}{before} unless {selector} offset ") + r"(\w+)\)")
            assert [_minutes(found) for found in birth.findall(rule["expr"])] == [ago], rule


INCREASE = re.compile(r"increase\((chapar_\w+)((?:\{[^}]*\})?)\[(\w+)\](?: offset (\w+))?\)")


def _minutes(text: str) -> int:
    return int(text[:-1]) * {"m": 1, "h": 60, "d": 1440}[text[-1]]


def test_installations_do_not_answer_for_each_other() -> None:
    """One Prometheus may scrape several namespaces: whatever is added up is added up within one."""
    for rule in _rules():
        adds_up = re.findall(r"\b(?:sum|max|min|avg|count|group)\b\s*(?:by\s*\(([^)]*)\))?", rule["expr"])
        assert adds_up or RECORDED.search(rule["expr"]), rule
        assert [labels for labels in adds_up if "namespace" not in labels] == [], rule


def test_alerts_keep_a_cause_within_its_installation() -> None:
    """What silences what: only of the same namespace."""
    alertmanager = yaml_documents(DEPLOY / "alertmanager/alertmanager.yaml")[0]
    assert all("namespace" in rule["equal"] for rule in alertmanager["inhibit_rules"])
    assert "namespace" in alertmanager["route"]["group_by"]
