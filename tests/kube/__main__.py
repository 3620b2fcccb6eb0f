"""`python -m tests.kube`: the chart and the Strimzi manifests on a real API server. Prints a table; the exit code is 1 after a failure."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.kube import cluster as clusters
from tests.kube import definitions, strimzi
from tests.kube.agreement import disagreement
from tests.kube.agreement_cases import CASES
from tests.kube.guide import Guide
from tests.kube.helm import CHART, ROOT, Helm, HelmError, documents
from tests.kube.objects import Object, Objects, RefusedError
from tests.kube.releases import Releases, WrongError
from tests.kube.strict import judge, make_namespace
from tests.kube.tools import ToolError, build, find_go, kubernetes_version

VALUES: Final = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
UPGRADES: Final = (("minimal", "large"), ("small", "company"))
"""Pairs of values files: installed with the first, upgraded to the second, rolled back."""
DIRECTORY: Final = ROOT / "build/kube-check"
CANNOT_RUN: Final = 2


@dataclass(slots=True)
class Table:
    """The results, printed line by line as they come."""

    failed: int = 0
    lines: int = 0

    def check(self, name: str, work: Callable[[], str]) -> None:
        """Run one check: its summary is printed, or the reason why it failed."""
        started = time.monotonic()
        self.lines += 1
        try:
            word, said = "ok", work()
        except (RefusedError, WrongError, HelmError) as error:
            self.failed += 1
            word, said = "FAILED", str(error)
        print(f"{word:7} {name:44} {time.monotonic() - started:5.1f} s  {said}", flush=True)


def main() -> int:
    """Run all checks. Returns the exit code: 0, 1 after a failure, 2 when the check cannot run on this machine."""
    try:
        go = find_go()
        tools = build(go)
        definitions_ = [*definitions.operators(go), *strimzi.definitions()]
    except ToolError as error:
        print(f"kube-check cannot run here: {error}", file=sys.stderr)
        return CANNOT_RUN
    table = Table()
    with clusters.running(tools, DIRECTORY) as cluster, cluster.client() as client:
        print(
            f"Kubernetes {kubernetes_version()}: {len(VALUES)} values files, {len(definitions_)} definitions",
            flush=True,
        )
        objects = Objects(client)
        table.check("definitions of five operators", lambda: _defined(objects, definitions_))
        helms = {name: Helm(tools[name], cluster.kubeconfig, DIRECTORY / name) for name in ("helm3", "helm4")}
        _strict(table, objects, helms["helm3"])
        _agreement(table, objects, helms["helm3"])
        for name, helm in helms.items():
            for index, (first, second) in enumerate(UPGRADES):
                namespace = f"{name}-{index}"
                make_namespace(objects, namespace)
                _life(table, Releases(cluster, objects, helm, namespace), name, first, second)
        table.check("commands of docs/operating", Guide(cluster, objects, helms["helm3"], DIRECTORY / "guide").follow)
    print(f"{table.lines - table.failed} passed, {table.failed} failed")
    return 1 if table.failed else 0


def _defined(objects: Objects, found: list[Object]) -> str:
    objects.define(found)
    return f"{len(found)} established"


def _strict(table: Table, objects: Objects, helm: Helm) -> None:
    sources: Mapping[str, Callable[[], list[Object]]] = {
        **{f"values {name}": partial(helm.template, "contact", [VALUES[name]]) for name in VALUES},
        "Strimzi manifests": lambda: list(_strimzi()),
    }
    for index, (name, read) in enumerate(sources.items()):
        namespace = f"strict-{index}"
        make_namespace(objects, namespace)
        table.check(f"strict apply: {name}", partial(_applied, objects, namespace, read))


def _strimzi() -> Iterator[Object]:
    for path in sorted((ROOT / "deploy/strimzi").glob("*.yaml")):
        yield from documents(path.read_text(encoding="utf-8"))


def _applied(objects: Objects, namespace: str, read: Callable[[], list[Object]]) -> str:
    found = read()
    for document in found:
        document["metadata"]["namespace"] = namespace
    verdict = judge(objects, namespace, found)
    if verdict.refused:
        raise WrongError("\n".join(verdict.refused))
    return f"{verdict.accepted} documents"


def _agreement(table: Table, objects: Objects, helm: Helm) -> None:
    make_namespace(objects, "agreement")
    for case in CASES:
        table.check(f"schema: {case.name}", partial(disagreement, objects, helm, "agreement", case))


def _life(table: Table, releases: Releases, name: str, first: str, second: str) -> None:
    table.check(f"{name}: install {first}", lambda: releases.change("install", VALUES[first]))
    table.check(f"{name}: test", releases.test)
    table.check(f"{name}: upgrade to {second}", lambda: releases.change("upgrade", VALUES[second]))
    table.check(f"{name}: rollback", releases.rollback)
    table.check(f"{name}: uninstall", releases.uninstall)


if __name__ == "__main__":
    sys.exit(main())
