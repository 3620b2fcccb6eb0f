"""Builds the programs of the check from Go modules, pinned by `go/go.mod` and `go/go.sum`: API server, etcd, Helm 3 and Helm 4.

They are kept in the user's cache directory under a hash of these files and of Go's version. The first build takes about ten minutes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.cli.local.broker.settings import BrokerSettings

MODULE: Final = Path(__file__).parent / "go"
PACKAGES: Final[Mapping[str, str]] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "helm3": "helm.sh/helm/v3/cmd/helm",
    "helm4": "helm.sh/helm/v4/cmd/helm",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
}
"""Names of the programs, and the `main` packages they are built from."""
OLDEST_GO: Final = (1, 25)


class ToolError(Exception):
    """A program cannot be had here; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Go:
    """The Go toolchain of this machine."""

    executable: str
    version: str

    def run(self, *arguments: str, directory: Path, **variables: str) -> str:
        """Run `go` and return its output. Raises ToolError with the end of its errors."""
        environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", **variables}
        done = subprocess.run(
            [self.executable, *arguments], cwd=directory, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ToolError(f"go {' '.join(arguments[:2])} failed:\n{(done.stderr or done.stdout)[-2000:]}")
        return done.stdout


def find_go() -> Go:
    """Return the Go of the PATH, or of the place where its installer puts it. Raises ToolError."""
    executable = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if executable is None:
        raise ToolError("Go is not installed (1.25 or later): the API server and Helm are built with it")
    version = subprocess.run(
        [executable, "env", "GOVERSION"], capture_output=True, text=True, check=True
    ).stdout.strip()
    found = re.match(r"go(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GO:
        raise ToolError(f"{executable} is {version}; 1.25 or later is needed")
    return Go(executable, version)


def kubernetes_version() -> str:
    """Return the release of Kubernetes in go.mod, e.g. `v1.35.4`."""
    (version,) = re.findall(r"^\s*k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    return str(version)


def build(go: Go, *, parallel: int = 2) -> Mapping[str, Path]:
    """Return the path of each program, and build those that the cache lacks. Raises ToolError."""
    pins = b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum"))
    key = hashlib.sha256(pins + go.version.encode()).hexdigest()[:16]
    directory = BrokerSettings().cache / "kube-check" / key
    directory.mkdir(parents=True, exist_ok=True)
    version = kubernetes_version()
    _, major, minor, _ = re.split(r"[v.]", version)
    stamped = "k8s.io/component-base/version"
    flags = f"-s -w -X {stamped}.gitVersion={version} -X {stamped}.gitMajor={major} -X {stamped}.gitMinor={minor}"
    built = {}
    for name, package in PACKAGES.items():
        built[name] = directory / name
        if built[name].exists():
            continue
        print(f"building {name} (once)", flush=True)
        part = directory / f"{name}.part-{os.getpid()}"
        go.run(
            *("build", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-p={parallel}", "-ldflags", flags),
            *("-o", str(part), package),
            directory=MODULE,
            CGO_ENABLED="0",
            GOFLAGS="",
        )
        part.replace(built[name])
    return built
