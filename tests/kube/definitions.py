"""The definitions of custom resources that the chart and the manifests use, from the operators' own published packages.

Four operators publish them in their Go modules; the checksum is that of Go's checksum database. Strimzi publishes classes only: see `strimzi`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from tests.kube.objects import Object
from tests.kube.tools import Go, ToolError


@dataclass(frozen=True, slots=True)
class Module:
    """A version of a Go module, with the files that hold definitions."""

    path: str
    version: str
    checksum: str
    """`h1:…`, as in a go.sum."""
    files: str
    """Pattern of file names, relative to the module."""


MODULES: Final[Sequence[Module]] = (
    Module(
        "github.com/cert-manager/cert-manager",
        "v1.21.2",
        "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        "deploy/crds/cert-manager.io_*.yaml",
    ),
    Module(
        "github.com/kedacore/keda/v2",
        "v2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        "config/crd/bases/keda.sh_*.yaml",
    ),
    Module(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        "example/prometheus-operator-crd/monitoring.coreos.com_p*.yaml",
    ),
    Module(
        "sigs.k8s.io/gateway-api",
        "v1.6.3",
        "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
        "config/crd/standard/gateway.networking.k8s.io_*.yaml",
    ),
)


def operators(go: Go) -> list[Object]:
    """Return the definitions of all modules. Raises ToolError when a module is not the pinned one."""
    return [each for module in MODULES for each in _definitions(go, module)]


def _definitions(go: Go, module: Module) -> list[Object]:
    with tempfile.TemporaryDirectory() as empty:
        answer = go.run("mod", "download", "-json", f"{module.path}@{module.version}", directory=Path(empty))
    downloaded = json.loads(answer)
    if downloaded["Sum"] != module.checksum:
        raise ToolError(f"{module.path} {module.version} has the checksum {downloaded['Sum']}, not {module.checksum}")
    reader = YAML(typ="safe")
    found = [
        document
        for file in sorted(Path(downloaded["Dir"]).glob(module.files))
        for document in reader.load_all(file.read_text(encoding="utf-8"))
        if document and document["kind"] == "CustomResourceDefinition"
    ]
    if not found:
        raise ToolError(f"{module.path} {module.version} has no definitions in {module.files}")
    return found
