"""Rules, alerts, their runbooks and the dashboards match the metrics of the code."""

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from docs.generate.metrics import CATALOGUE
from services.chassis.metrics_catalogue import TENANT
from tests.architecture.deployed import CHART, DEPLOY, yaml_documents

RULES = DEPLOY / "prometheus/rules/chapar.yaml"
RULE_TESTS = sorted((DEPLOY / "prometheus/tests").glob("*.yaml"))
RUNBOOKS = DEPLOY / "runbooks/README.md"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
# Labels that Prometheus adds at the scrape to the labels of the code.
SCRAPED_LABELS = {"namespace", "job", "instance", "le"}
# Labels of the kubelet's metrics of volumes, which the alerts on brokers read.
OTHER_LABELS = {"persistentvolumeclaim"}
SELECTOR = re.compile(r"(?<![\w:])(chapar_[a-z0-9_]+)(?:\{([^}]*)\})?")
RECORDED = re.compile(r"(?<![\w:])[a-z]+:[a-z0-9_:]+")


def _series() -> dict[str, set[str]]:
    """Return every series that the code can export, with its labels."""
    found: dict[str, set[str]] = {}
    for spec in CATALOGUE:
        endings = ("_bucket", "_sum", "_count") if spec.kind == "histogram" else ("",)
        for ending in endings:
            found[spec.name + ending] = {*spec.labels, *SCRAPED_LABELS, *({TENANT} if spec.by_tenant else ())}
    return found


BY_TENANT = {name for name, labels in _series().items() if TENANT in labels}


def _misnamed(expression: str, recorded: set[str]) -> list[str]:
    """Return the metrics, labels and recorded series of a PromQL expression that do not exist."""
    known, wrong = _series(), []
    for name, matchers in SELECTOR.findall(expression):
        if name not in known:
            wrong.append(name)
            continue
        wrong += [f"{name}{{{label}}}" for label in re.findall(r"(\w+)\s*[=!]~?", matchers) if label not in known[name]]
    labels = set().union(*known.values()) | {"service"} | OTHER_LABELS
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
    """An alert on a misspelt metric would never fire."""
    wrong = {str(r.get("alert") or r.get("record")): _misnamed(r["expr"], _recorded()) for r in _rules()}
    assert {name: names for name, names in wrong.items() if names} == {}
    assert _misnamed('rate(chapar_router_waitin{shop="x"}[5m])', set()) == ["chapar_router_waitin"]
    assert _misnamed('chapar_router_waiting{agent="x"}', set()) == ["chapar_router_waiting{agent}"]


def test_each_alert_has_a_severity_and_a_runbook() -> None:
    """Each alert has a severity, a summary, a description and a section of the runbooks; each section has an alert."""
    sections = set(re.findall(r"^## (\w+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE))
    assert sections == {alert["alert"] for alert in _alerts()}
    for alert in _alerts():
        assert alert["labels"]["severity"] in {"page", "ticket"}, alert["alert"]
        assert {"summary", "description", "runbook_url"} <= alert["annotations"].keys(), alert["alert"]
        assert alert["annotations"]["runbook_url"].endswith(f"deploy/runbooks/README.md#{alert['alert'].lower()}")


def test_each_alert_has_a_test_that_it_is_quiet_and_that_it_fires() -> None:
    """promtool runs the rule tests; this test checks that none is missing."""
    told: dict[str, set[bool]] = {}
    for case in itertools.chain.from_iterable(test["alert_rule_test"] for test in _rule_tests()):
        told.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    assert told == {alert["alert"]: {True, False} for alert in _alerts()}


def test_rule_tests_feed_series_that_exist() -> None:
    """A rule test with series that do not exist would prove nothing."""
    series = [entry["series"] for test in _rule_tests() for entry in test.get("input_series") or ()]
    assert [each for each in series if _misnamed(each, set())] == []


def test_the_chart_has_the_same_rules() -> None:
    """The chart's copy of the file of rules is identical, byte for byte."""
    assert (CHART / "files/rules.yaml").read_bytes() == RULES.read_bytes()


def _panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_dashboards_show_metrics_that_exist(path: Path) -> None:
    """Names and labels are in the catalogue. Each panel has a description and a unit and reads the chosen Prometheus."""
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
def test_panels_do_not_overlap(path: Path) -> None:
    """Each cell of the grid belongs to at most one panel."""
    seen: dict[tuple[int, int], str] = {}
    for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for cell in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])):
            assert seen.setdefault(cell, panel["title"]) == panel["title"]


def _read_by(expression: str) -> set[str]:
    """Return the metrics of the code that an expression reads, also through recorded series."""
    records = {rule["record"]: rule["expr"] for rule in _rules() if "record" in rule}
    found = {name for name, _ in SELECTOR.findall(RECORDED.sub("", expression))}
    for name in set(RECORDED.findall(expression)):
        found |= _read_by(records[name])
    return found


def test_each_alert_is_tried_without_each_series_that_it_reads() -> None:
    """Each series is once absent, or begins in the middle of a rule test: a counter that begins at one, a ratio with one side
    missing. The expected result is part of each rule test.
    """
    tried = {
        (result["alertname"], metric)
        for test in _rule_tests()
        for result in test["alert_rule_test"]
        for metric in _series()
        if all(
            str(each["values"]).startswith("_")
            for each in test.get("input_series") or ()
            if each["series"].partition("{")[0] == metric
        )
    }
    wanted = {(alert["alert"], metric) for alert in _alerts() for metric in _read_by(alert["expr"])}
    assert len(wanted) > len(_alerts())
    assert wanted - tried == set()


def test_no_rule_misses_the_first_value_of_a_counter() -> None:
    """`increase` does not count the first value of a new counter. Where an alert counts single events, a counter that did not
    exist before the window counts with its full value.
    """
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


def test_rules_do_not_mix_installations() -> None:
    """One Prometheus may scrape several namespaces, so every aggregation keeps the namespace."""
    for rule in _rules():
        adds_up = re.findall(r"\b(?:sum|max|min|avg|count|group)\b\s*(?:by\s*\(([^)]*)\))?", rule["expr"])
        assert adds_up or RECORDED.search(rule["expr"]), rule
        assert [labels for labels in adds_up if "namespace" not in labels] == [], rule


def test_rules_and_panels_do_not_mix_tenants() -> None:
    """Queues of two tenants may have one name. Without the label `tenant`, an aggregation that keeps it changes nothing."""
    panels = [panel for path in DASHBOARDS for panel in _panels(json.loads(path.read_text(encoding="utf-8")))]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    for expression in (rule["expr"] for rule in _rules()):
        if _read_by(expression) & BY_TENANT:
            groups = re.findall(r"\bby\s*\(([^)]*)\)", expression)
            assert [labels for labels in groups if TENANT not in re.findall(r"\w+", labels)] == [], expression
    for expression in shown:
        groups = [set(re.findall(r"\w+", labels)) for labels in re.findall(r"\bby\s*\(([^)]*)\)", expression)]
        assert all(TENANT in labels for labels in groups if "queue" in labels), expression
        for name, matchers in SELECTOR.findall(expression):
            assert ('tenant=~"$tenant"' in matchers) == (name in BY_TENANT), expression


def test_each_alert_on_a_queue_or_a_channel_is_tried_with_two_tenants() -> None:
    """Only one of them is in trouble, so the alert names it and no other one."""
    tried = {
        result["alertname"]
        for test in _rule_tests()
        for result in test["alert_rule_test"]
        if [alert["exp_labels"].get("tenant") for alert in result["exp_alerts"]] == ["acme"]
        and all(f'tenant="{name}"' in str(test["input_series"]) for name in ("acme", "best"))
    }
    assert tried == {alert["alert"] for alert in _alerts() if _read_by(alert["expr"]) & BY_TENANT}


def test_an_alert_inhibits_only_alerts_of_its_own_installation() -> None:
    """Inhibition rules and groups of alerts compare the namespace."""
    alertmanager = yaml_documents(DEPLOY / "alertmanager/alertmanager.yaml")[0]
    assert all("namespace" in rule["equal"] for rule in alertmanager["inhibit_rules"])
    assert "namespace" in alertmanager["route"]["group_by"]
