"""Applies rendered documents on the server with strict validation of fields, and admits the pods that they would start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.kube.objects import Object, Objects, RefusedError

RESTRICTED: Final = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
"""Labels of a namespace that admits only pods of the strictest of Kubernetes' Pod Security Standards."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the API server says to a set of documents."""

    accepted: int
    refused: Sequence[str]
    """One line for each refused document."""


def make_namespace(objects: Objects, name: str) -> None:
    """Create a namespace that enforces Pod Security `restricted`, with the service account that a controller would add."""
    labels = RESTRICTED | {"kubernetes.io/metadata.name": name}
    objects.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}, "")
    objects.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}, name)


def judge(objects: Objects, namespace: str, documents: Sequence[Object], *, dry_run: bool = False) -> Verdict:
    """Apply each document, and create the pod of each workload without storing it."""
    refused = []
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        try:
            objects.apply(document, namespace, dry_run=dry_run)
            template = document.get("spec", {}).get("template", {})
            if "containers" in template.get("spec", {}):
                objects.create_dry(_pod(template, document["metadata"]["name"], dry_run=dry_run), namespace)
        except RefusedError as error:
            refused.append(f"{name}: {error}")
    return Verdict(len(documents) - len(refused), refused)


def _pod(template: Object, name: str, *, dry_run: bool) -> Object:
    metadata = {**template["metadata"], "name": f"{name}-0"}
    spec = dict(template["spec"])
    if dry_run:
        # Service accounts and priority classes of a dry run do not exist.
        spec.pop("serviceAccountName", None)
    # Priority classes belong to the cluster, so the chart only refers to them.
    spec.pop("priorityClassName", None)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
