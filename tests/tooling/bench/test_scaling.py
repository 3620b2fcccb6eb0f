"""The bench of scaling: its pools, its windows, and the reference that it writes."""

from pathlib import Path

import pytest

from chapar.config.v1 import config_pb2
from services.chassis.topics import LANE_PARTITIONS
from services.cli.config.files import load
from services.cli.sizing.costs import PROCESSES
from tests.bench import scaling
from tests.bench.scaling_load import configuration, pools
from tests.bench.scaling_reference import of_page


def a_window(interactions: int, **cpu_s: float) -> scaling.Window:
    """Return a window of ten seconds in which each process used half a second, except those given."""
    return scaling.Window(10.0, interactions, {name: cpu_s.get(name, 0.5) for name in PROCESSES}, {})


def figures() -> dict[str, float]:
    """Return costs of one millisecond idle and five above it, at two rates."""
    found = {f"idle_cpu_ms{{{name}}}": 1.0 for name in PROCESSES}
    found |= {f"exchange_cpu_ms{{{name}}}": 1.0 for name in PROCESSES}
    return found | {f"interaction_cpu_ms{{{name} at {rate:g}/s}}": 5.0 for name in PROCESSES for rate in (2, 4)}


def test_each_partition_has_one_pool() -> None:
    """Otherwise a router replica would have no work, and the run would not show its cost."""
    assert len({*pools()}) == LANE_PARTITIONS


def test_the_configuration_is_one_that_the_services_take(tmp_path: Path) -> None:
    """Read as `chapar run` reads it."""
    file = tmp_path / "bench.yaml"
    file.write_text(configuration())
    document = load(file)
    assert document.findings == []
    assert isinstance(document.configuration, config_pb2.TenantConfiguration)
    assert [queue.pool for queue in document.configuration.queues] == pools()


def test_a_window_with_a_backlog_does_not_count() -> None:
    """Fewer than 80 % of the interactions were completed."""
    assert scaling.completed(a_window(interactions=80), 10.0)
    assert not scaling.completed(a_window(interactions=79), 10.0)


def test_a_ratio_outside_the_goal_fails_the_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Measured 5 ms an interaction and 1 ms idle a second, as predicted; then one and a half times as much."""
    monkeypatch.chdir(tmp_path)  # where the figures go
    expected = (10 * 10 * 5 + 10 * 1) / 1000
    assert scaling.compare(a_window(100, **dict.fromkeys(PROCESSES, expected)), figures(), 1)
    assert not scaling.compare(a_window(100, **dict.fromkeys(PROCESSES, 1.5 * expected)), figures(), 1)
    assert "1.50" in capsys.readouterr().out


def test_only_rates_that_were_measured_are_in_the_cost() -> None:
    """A machine that is too busy for the highest rate leaves it out."""
    assert scaling.cost_from(figures(), "router").at == ((2.0, 5.0), (4.0, 5.0))


def test_figures_are_read_from_the_page() -> None:
    """By name, with their values."""
    page = "| `path_interactions_per_s` | 2670 | 1/s | >=3000 | no | 3.8 | 2026-11-28 |\n| `x` | method |\n"
    assert of_page(page) == {"path_interactions_per_s": 2670.0}
