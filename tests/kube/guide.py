"""The blocks `by=kube-check` of the operators' guide, on the API server, with the chart installed by the guide itself.

No kubelet runs. A pod is made from the template of each workload, as the controllers would, and commands that need a kubelet
(`exec`, `logs`, `port-forward`) must reach such a pod and fail there with the API server's own words.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from services.cli.local.broker.settings import CHECKOUT
from tests.architecture.guide import Block, blocks_by
from tests.fixtures.authority import Authority
from tests.kube.cluster import Cluster
from tests.kube.helm import CHART, Helm
from tests.kube.hooks import completed
from tests.kube.objects import Object, Objects
from tests.kube.releases import WrongError
from tests.kube.strict import make_namespace
from tests.kube.tools import ToolError

NAMESPACE: Final = "contact"
VALUES: Final = CHART / "ci/minimal-values.yaml"
TOOLBOX: Final = "\ntoolbox: {enabled: true, tenant: demo}\n"
POD: Final = "chapar-router-0"
KUBELET: Final = ("exec", "logs", "port-forward")
"""Commands of kubectl that need a kubelet."""
REACHED: Final = ("does not have a host assigned", "completed pod", "is not running", "current phase is Succeeded")
"""How the API server and kubectl say that the pod was found, and that no kubelet runs it."""
WITHIN_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Guide:
    """Runs the guide's commands in the namespace of its examples."""

    cluster: Cluster
    objects: Objects
    helm: Helm
    directory: Path

    @property
    def values(self) -> Path:
        """The values file of the installation."""
        return self.directory / "values.yaml"

    def follow(self) -> str:
        """Run every command of the blocks. Returns a summary. Raises WrongError, and ToolError without kubectl."""
        if shutil.which("kubectl") is None:
            raise ToolError("kubectl is not installed: the guide's commands are run with it")
        values = self._values()
        ran = 0
        with completed(self.cluster, NAMESPACE):
            for block in blocks_by("kube-check"):
                for command in block.commands():
                    self._run(block, command, values)
                    ran += 1
        return f"{ran} commands"

    def _values(self) -> Mapping[str, str]:
        programs = self.directory / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        (programs / "helm").unlink(missing_ok=True)
        (programs / "helm").symlink_to(self.helm.executable)
        self.values.write_text(VALUES.read_text(encoding="utf-8") + TOOLBOX)
        authority = Authority()
        leaf = authority.issue("chapar-router-grpc")
        written = {"CERTIFICATE": leaf.cert, "KEY": leaf.key, "AUTHORITY": authority.cert}
        for name, content in written.items():
            (self.directory / f"{name.lower()}.pem").write_bytes(content)
        files = {name: str(self.directory / f"{name.lower()}.pem") for name in written}
        return {"VALUES": str(self.values), "POD": POD, "REVISION": "1", **files}

    def _run(self, block: Block, command: str, values: Mapping[str, str]) -> None:
        needs_kubelet = command.startswith("kubectl ") and any(word in command.split() for word in KUBELET)
        if needs_kubelet:
            self._make_pods()
        homes = {f"HELM_{name}_HOME": str(self.helm.home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        path = f"{self.directory / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", replace(block, text=command).filled(values)],
            cwd=CHECKOUT,
            env={**os.environ, **homes, "KUBECONFIG": str(self.cluster.kubeconfig), "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        said = done.stdout + done.stderr
        if done.returncode and not (needs_kubelet and any(words in said for words in REACHED)):
            raise WrongError(f"{block}: `{command}` ended with {done.returncode}: {said.strip()}")
        if command == f"kubectl create namespace {NAMESPACE}":
            make_namespace(self.objects, NAMESPACE)  # with the labels and the account that controllers add

    def _make_pods(self) -> None:
        """Make the first pod of each workload, as its controller would; and the Job of the hook, as if it had failed."""
        rendered = self.helm.template(NAMESPACE, [self.values])
        for workload in rendered:
            template = workload.get("spec", {}).get("template", {})
            if "containers" not in template.get("spec", {}):
                continue
            if workload["kind"] == "Job":
                workload["metadata"].pop("annotations")
                workload["spec"]["backoffLimit"] = 0
                self.objects.apply(workload, NAMESPACE)
            name = f"{workload['metadata']['name']}-0"
            pod: Object = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {**template["metadata"], "name": name, "labels": self._labels(workload)},
                "spec": template["spec"],
            }
            if self.objects.get(pod, NAMESPACE) is None:
                self.objects.apply(pod, NAMESPACE)

    def _labels(self, workload: Object) -> Mapping[str, str]:
        """Return the labels by which the workload finds its pods. Those of a Job are added by the server."""
        labels = dict(workload["spec"]["template"]["metadata"].get("labels", {}))
        live = self.objects.get(workload, NAMESPACE)
        if live is None:
            raise WrongError(f"{workload['kind']} {workload['metadata']['name']} is not on the server")
        return {**labels, **live["spec"]["selector"]["matchLabels"]}
