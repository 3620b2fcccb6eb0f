"""What the tests of `deploy/` share: where things are, and how they are read."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from services.chassis.settings import ServiceSettings
from services.feedback.settings import FeedbackSettings
from services.ingest.settings import IngestSettings
from services.router.settings import RouterSettings
from services.sla.settings import SlaSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/chapar"
RENDERED = sorted((CHART / "rendered").glob("*.yaml"))
SETTINGS: Mapping[str, type[ServiceSettings]] = {
    "ingest": IngestSettings,
    "router": RouterSettings,
    "sla": SlaSettings,
    "feedback": FeedbackSettings,
}
_VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


def yaml_documents(path: Path) -> list[Any]:
    """Documents of a file, the empty ones left out."""
    return [document for document in YAML(typ="safe").load_all(path.read_text(encoding="utf-8")) if document]


def composed(given: Mapping[str, str]) -> dict[str, Any]:
    """compose.yaml with the variables of a shell in it, each `${NAME:-default}` as Compose fills it in."""

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [filled(inner) for inner in value]
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: given.get(found[1]) or found[2], value)
        return value

    loaded: dict[str, Any] = filled(yaml_documents(DEPLOY / "compose.yaml")[0])
    return loaded


def workloads(path: Path) -> list[dict[str, Any]]:
    """What runs pods."""
    return [d for d in yaml_documents(path) if d["kind"] in {"Deployment", "StatefulSet", "Job"}]


def containers(workload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that prepare, then those that run."""
    spec = workload["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """Variables; those that come from secrets with some value."""
    return {each["name"]: each.get("value", "from-elsewhere") for each in container.get("env", [])}
