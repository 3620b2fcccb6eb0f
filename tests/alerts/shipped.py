"""The shipped files of Prometheus and Alertmanager, as one run of the check uses them: other addresses, shorter durations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from tests.alerts.scaling import shorter, shorter_file

ROOT: Final = Path(__file__).parents[2]
PROMETHEUS: Final = ROOT / "deploy/prometheus/prometheus.yaml"
RULES: Final = tuple(sorted((ROOT / "deploy/prometheus/rules").glob("*.yaml")))
ALERTMANAGER: Final = ROOT / "deploy/alertmanager/alertmanager.yaml"
BROKERS: Final = "kafka"
"""The job of the brokers. On Kubernetes the PodMonitor of deploy/strimzi scrapes them; compose has no exporter."""
LOOKBACK: Final = "5m"
"""For how long Prometheus uses the newest value of a series that is not scraped any more: its default."""


@dataclass(frozen=True, slots=True)
class Target:
    """One process to scrape. Kubernetes adds the namespace and the pod's name (`instance`)."""

    address: str
    namespace: str
    instance: str
    path: str = "/metrics"
    labels: Mapping[str, str] = field(default_factory=dict)


def read(path: Path) -> Any:
    """Return the content of a YAML file."""
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def alerts() -> dict[str, dict[str, Any]]:
    """Return the shipped alerts by name."""
    rules = [rule for path in RULES for group in read(path)["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def metrics_read() -> frozenset[str]:
    """Return the names of the series that the shipped rules read."""
    text = "".join(path.read_text(encoding="utf-8") for path in RULES)
    return frozenset(re.findall(r"(?<![\w:])(?:chapar|kafka|kubelet)_\w+", text))


def write_prometheus(directory: Path, targets: Mapping[str, Sequence[Target]], alertmanager: str, factor: int) -> Path:
    """Write configuration and rules for a run. `targets`: by job. `alertmanager`: host:port, or empty. Returns the file."""
    content = shorter_file(read(PROMETHEUS), factor)
    shipped = {each["job_name"]: each for each in content["scrape_configs"]}
    for job in targets:
        if job not in shipped and job != BROKERS:
            raise ValueError(f"the shipped configuration does not scrape {job}")
    content["scrape_configs"] = [
        {**shipped.get(job, {"job_name": job}), "static_configs": [_static(target) for target in found]}
        for job, found in targets.items()
    ]
    if alertmanager:
        content["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    (directory / "rules").mkdir(parents=True, exist_ok=True)
    for path in RULES:
        _write(directory / "rules" / path.name, shorter_file(read(path), factor))
    return _write(directory / "prometheus.yaml", content)


def write_alertmanager(directory: Path, url: Mapping[str, str], factor: int) -> Path:
    """Write the configuration of Alertmanager with the shipped routes; each receiver calls the `url` of its name instead.

    It reports what has resolved only where all services of the shipped receiver do so.
    """
    content = shorter_file(read(ALERTMANAGER), factor)
    content["receivers"] = [
        {
            "name": each["name"],
            "webhook_configs": [{"url": url[each["name"]], "send_resolved": _reports_resolved(each)}],
        }
        for each in content["receivers"]
    ]
    return _write(directory / "alertmanager.yaml", content)


def receivers() -> list[str]:
    """Return the names of the shipped receivers."""
    return [each["name"] for each in read(ALERTMANAGER)["receivers"]]


def lookback(factor: int) -> str:
    """Return the lookback of a run: Prometheus takes it from its command line."""
    return shorter(LOOKBACK, factor)


def _static(target: Target) -> dict[str, Any]:
    labels = {"namespace": target.namespace, "instance": target.instance, **target.labels}
    return {"targets": [target.address], "labels": {**labels, "__metrics_path__": target.path}}


def _reports_resolved(receiver: Mapping[str, Any]) -> bool:
    services = [each for name, found in receiver.items() if name.endswith("_configs") for each in found]
    return bool(services) and all(each.get("send_resolved", False) for each in services)


def _write(path: Path, content: Any) -> Path:
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(content, file)
    return path
