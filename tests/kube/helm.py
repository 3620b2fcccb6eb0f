"""Helm, version 3 or 4, against the API server of the check."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from tests.kube.objects import Object
from tests.kube.tools import kubernetes_version

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy/helm/chapar"
RELEASE: Final = "chapar"


class HelmError(Exception):
    """Helm failed; the message is its own."""


@dataclass(frozen=True, slots=True)
class Helm:
    """One version of Helm."""

    executable: Path
    kubeconfig: Path
    home: Path
    """Directory of its caches and settings."""

    def run(self, *arguments: str) -> str:
        """Run a command and return its output. Raises HelmError."""
        homes = {f"HELM_{name}_HOME": str(self.home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        environment = {**os.environ, **homes, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            [str(self.executable), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise HelmError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def template(self, namespace: str, values: Sequence[Path], *more: str) -> list[Object]:
        """Return the documents that the chart renders, hooks included."""
        files = [part for path in values for part in ("--values", str(path))]
        command = ("template", RELEASE, str(CHART), "--namespace", namespace, "--kube-version", kubernetes_version())
        return documents(self.run(*command, *files, *more))

    def manifest(self, namespace: str, *more: str) -> list[Object]:
        """Return the documents of the installed release, without hooks."""
        return documents(self.run("get", "manifest", RELEASE, "--namespace", namespace, *more))

    def change(self, verb: str, namespace: str, values: Path) -> None:
        """Install or upgrade the release."""
        self.run(verb, RELEASE, str(CHART), "--namespace", namespace, "--values", str(values), "--timeout", "60s")


def documents(text: str) -> list[Object]:
    """Return the documents of a stream of YAML 1.1, which Kubernetes reads (0440 is octal), without empty ones."""
    reader = YAML(typ="safe")
    reader.version = (1, 1)
    return [document for document in reader.load_all(text) if document]
