"""Installs, upgrades, rolls back and uninstalls the chart, and compares the API server's objects with the release's own manifest each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kube.cluster import Cluster
from tests.kube.helm import RELEASE, Helm
from tests.kube.hooks import completed
from tests.kube.objects import Object, Objects

SELECTOR = f"app.kubernetes.io/instance={RELEASE}"
HOOK = "helm.sh/hook"


class WrongError(Exception):
    """The objects on the server are not those of the release."""


@dataclass(frozen=True, slots=True)
class Releases:
    """The life of a release in one namespace, by one version of Helm."""

    cluster: Cluster
    objects: Objects
    helm: Helm
    namespace: str

    def change(self, verb: str, values: Path) -> str:
        """Install or upgrade; the hook's Job must have run. Returns a summary. Raises HelmError, WrongError, RefusedError."""
        with completed(self.cluster, self.namespace) as jobs:
            self.helm.change(verb, self.namespace, values)
        rendered = self.helm.template(self.namespace, [values])
        expected = [each["metadata"]["name"] for each in rendered if each["kind"] == "Job" and _is_hook(each)]
        if jobs != expected or not jobs:
            raise WrongError(f"the hooks {jobs} ran, {expected} are in the chart")
        return f"{self._compare()} objects, hooks: {', '.join(jobs)}"

    def test(self) -> str:
        """Run the chart's test; its pod must have been admitted and must have ended well."""
        with completed(self.cluster, self.namespace) as pods:
            self.helm.run("test", RELEASE, "--namespace", self.namespace, "--timeout", "60s")
        if not pods:
            raise WrongError("no pod ran")
        return f"pods: {', '.join(pods)}"

    def rollback(self) -> str:
        """Return to the first revision; its hook must have run, and its manifest must be in force again."""
        with completed(self.cluster, self.namespace) as jobs:
            self.helm.run("rollback", RELEASE, "1", "--namespace", self.namespace, "--timeout", "60s")
        first = self.helm.manifest(self.namespace, "--revision", "1")
        if not jobs:
            raise WrongError("the rollback ran no hook, so the configuration of the later revision is still in force")
        if _ids(first) != _ids(self.helm.manifest(self.namespace)):
            raise WrongError("the manifest after the rollback is not that of the first revision")
        return f"{self._compare()} objects"

    def uninstall(self) -> str:
        """Remove the release; no object of it may remain, except those of hooks, which Helm leaves by design."""
        self.helm.run("uninstall", RELEASE, "--namespace", self.namespace, "--timeout", "60s")
        left = [each for each in self.objects.labelled(self.namespace, SELECTOR) if not _is_hook(each)]
        if left:
            raise WrongError(f"{len(left)} objects remain: {sorted(_ids(left))[:5]}")
        return "no object remains"

    def _compare(self) -> int:
        """Compare manifest and server, in both directions. Returns the number of objects."""
        manifest = self.helm.manifest(self.namespace)
        found = self.objects.labelled(self.namespace, SELECTOR)
        live = _ids([each for each in found if not _is_hook(each)])
        if more := live - _ids(manifest):
            raise WrongError(f"on the server, but not in the release: {sorted(more)[:5]}")
        for document in manifest:
            before = self.objects.get(document, self.namespace)
            if before is None or _id(document) not in live:
                raise WrongError(f"not on the server, or without the release's labels: {_id(document)}")
            # Applying the manifest again must change nothing. The server itself compares, so 0.5 and 500m are equal.
            after = self.objects.apply(document, self.namespace, dry_run=True)
            for part in before.keys() | after.keys():
                if part not in {"apiVersion", "kind", "metadata", "status"} and before.get(part) != after.get(part):
                    raise WrongError(f"{_id(document)} differs from the manifest in {part}")
        return len(manifest)


def _is_hook(found: Mapping[str, Any]) -> bool:
    return HOOK in found["metadata"].get("annotations", {})


def _id(document: Mapping[str, Any]) -> str:
    # The group without its version: the server lists a kind in each version that it serves.
    group = document["apiVersion"].rpartition("/")[0]
    return f"{group}/{document['kind']}/{document['metadata']['name']}"


def _ids(documents: list[Object]) -> set[str]:
    return {_id(document) for document in documents}
