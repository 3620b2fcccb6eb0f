"""Paths and readers that the tests of `deploy/` share."""

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
    """Return the documents of a file without empty ones."""
    return [document for document in YAML(typ="safe").load_all(path.read_text(encoding="utf-8")) if document]


def composed(given: Mapping[str, str]) -> dict[str, Any]:
    """Return compose.yaml with these variables of a shell: each `${NAME:-default}` is replaced as Compose replaces it."""

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
    """Return the objects that run pods: Deployments, StatefulSets, Jobs, and single pods in the same form."""
    documents = yaml_documents(path)
    pods = [{**d, "spec": {"template": d}} for d in documents if d["kind"] == "Pod"]
    return [d for d in documents if d["kind"] in {"Deployment", "StatefulSet", "Job"}] + pods


def containers(workload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the init containers of a workload, then its other containers."""
    spec = workload["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a container; a variable from a secret has a fixed value."""
    return {each["name"]: each.get("value", "from-elsewhere") for each in container.get("env", [])}
