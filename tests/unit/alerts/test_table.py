"""The table of alerts is complete, and the check notices what is missing."""

from docs.generate.metrics import CATALOGUE
from tests.alerts.check import missing_rows, namespace_of
from tests.alerts.demo import panel_expressions, without_sample
from tests.alerts.page import table
from tests.alerts.rows import ROWS, Real
from tests.alerts.shipped import ROOT, metrics_read, receivers


def test_every_shipped_alert_has_a_row() -> None:
    """A new alert needs a fault or a replay that provokes it."""
    assert missing_rows() == []


def test_the_documented_table_is_the_one_of_the_check() -> None:
    """`python -m tests.alerts.page` prints it."""
    assert table() in (ROOT / "docs/alerts.md").read_text(encoding="utf-8")


def test_an_alert_without_a_row_is_noticed() -> None:
    rows = [row for row in ROWS if row.alert != "ChaparLaneLag"]
    assert missing_rows(rows) == ["ChaparLaneLag has no row"]


def test_each_replay_has_a_namespace_of_its_own() -> None:
    replayed = [namespace_of(row) for row in ROWS if not isinstance(row.how, Real)]
    assert len(set(replayed)) == len(replayed)


def test_a_severity_names_its_receiver() -> None:
    """The check expects a page at `pages`, and a ticket at `tickets`."""
    assert sorted(receivers()) == ["pages", "tickets"]


def test_a_replay_serves_what_the_rules_read() -> None:
    """A series that is left out could not fire."""
    assert {"chapar_ready", "chapar_lane_lag_seconds", "kubelet_volume_stats_capacity_bytes"} <= metrics_read()
    changes = {change.name for row in ROWS if not isinstance(row.how, Real) for change in row.how.replay.changes}
    assert changes <= metrics_read()


def test_a_metric_without_a_sample_is_named() -> None:
    """A histogram is seen by its count."""
    names = {f"{spec.name}_count" if spec.kind == "histogram" else spec.name for spec in CATALOGUE}
    assert without_sample(names) == []
    assert without_sample(names - {"chapar_ready"}) == ["chapar_ready"]


def test_the_variables_of_a_panel_are_filled_in() -> None:
    panel = {"title": "P", "targets": [{"expr": 'rate(x{queue=~"$queue"}[$__rate_interval])'}]}
    assert panel_expressions({"panels": [{"title": "row"}, panel]}) == [("P", 'rate(x{queue=~".*"}[10s])')]
