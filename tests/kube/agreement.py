"""values.schema.json and the API server say the same: a value that one refuses, the other refuses too.

Each case is a change to the smallest values. The schema is asked by `helm template`, the server by a dry run of the documents that are
rendered without the schema.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.kube.agreement_cases import Case
from tests.kube.helm import CHART, Helm, HelmError
from tests.kube.objects import Objects
from tests.kube.releases import WrongError
from tests.kube.strict import judge

MINIMAL: Final = CHART / "ci/minimal-values.yaml"


def disagreement(objects: Objects, helm: Helm, namespace: str, case: Case) -> str:
    """Ask both about a case. Returns a summary; raises WrongError when they differ, or when both differ from the case."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(case.values, file)
        file.flush()
        values = [MINIMAL, Path(file.name)]
        by_schema = _refused_by_schema(helm, namespace, values)
        try:
            rendered = helm.template(namespace, values, "--skip-schema-validation")
            by_server = "; ".join(judge(objects, namespace, rendered, dry_run=True).refused)
        except HelmError as error:
            by_server = str(error)
    if case.stricter and by_schema and not by_server:
        return f"the schema alone refuses: {case.stricter}"
    if bool(by_schema) != bool(by_server):
        raise WrongError(f"schema: {by_schema or 'accepts'}\n  server: {by_server or 'accepts'}")
    if bool(by_schema) == case.accepted:
        raise WrongError(f"both say: {by_server or 'accepted'}")
    return "both refuse" if by_schema else "both accept"


def _refused_by_schema(helm: Helm, namespace: str, values: Sequence[Path]) -> str:
    try:
        helm.template(namespace, values)
    except HelmError as error:
        return str(error).replace("\n", " ")[-200:]
    return ""
