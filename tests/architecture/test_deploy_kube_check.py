"""The pins of `make kube-check` belong together; the check itself needs minutes and is not a test."""

import re

from tests.architecture.deployed import CHART, DEPLOY
from tests.kube.agreement_cases import CASES
from tests.kube.helm import documents
from tests.kube.tools import MODULE, kubernetes_version


def test_every_part_of_kubernetes_has_the_release_of_the_server() -> None:
    """Kubernetes requires its own parts as v0.0.0, so each is replaced by the version of the same release, v0.MINOR.PATCH."""
    text = (MODULE / "go.mod").read_text(encoding="utf-8")
    replaced = dict(re.findall(r"^\t(k8s\.io/\S+) => \S+ (v\S+)$", text, re.MULTILINE))
    assert len(replaced) > 25
    assert set(replaced.values()) == {kubernetes_version().replace("v1.", "v0.")}


def test_both_checks_are_of_one_minor_version() -> None:
    """`deploy/check` validates by the schemas of a minor version, `make kube-check` by its server."""
    (minor,) = re.findall(r"^KUBERNETES=(\S+)$", (DEPLOY / "check").read_text(encoding="utf-8"), re.MULTILINE)
    assert kubernetes_version().startswith(f"v{minor}.")


def test_manifests_are_read_as_kubernetes_reads_them() -> None:
    """In YAML 1.1 0440 is octal, in every document of a stream."""
    assert documents("a: 0440\n---\n---\nb: 0440\n") == [{"a": 0o440}, {"b": 0o440}]


def test_cases_have_names_of_their_own_and_change_known_values() -> None:
    """A case about a value that does not exist would be refused, and look as if it were agreed."""
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    known = documents((CHART / "values.yaml").read_text(encoding="utf-8"))[0]
    for case in CASES:
        assert case.values.keys() <= known.keys(), case.name
