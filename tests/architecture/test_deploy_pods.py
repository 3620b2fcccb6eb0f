"""What an operator adds to pods reaches them: variables, volumes, labels, accounts, security contexts, spread and disruption budgets."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.architecture.deployed import SETTINGS, containers
from tests.fixtures.helm import Render

EVERYTHING: Mapping[str, Any] = {"toolbox": {"enabled": True}, "apply": {"tenants": {"a.yaml": "tenant: a"}}}
COMPONENT = "app.kubernetes.io/component"
BUDGET: Mapping[str, Any] = {"enabled": True, "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"}


def _pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the templates of all pods, by component."""
    found = [d for d in documents if d["kind"] in {"Deployment", "StatefulSet", "Job"}]
    return {d["metadata"]["labels"][COMPONENT]: d["spec"]["template"] for d in found}


def _variables(pod: dict[str, Any], container: int = -1) -> list[str]:
    return [each["name"] for each in pod["spec"]["containers"][container]["env"]]


def test_what_is_for_every_pod_reaches_every_pod(render: Render) -> None:
    """Labels, annotations and variables reach the hook and the toolbox too: a mesh or a proxy concerns each pod."""
    added = {
        "podLabels": {"mesh": "on"},
        "podAnnotations": {"a.b/c": "d"},
        "extraEnv": [{"name": "ADDED", "value": "1"}],
    }
    pods = _pods(render({**EVERYTHING, **added}))
    assert pods.keys() == {*SETTINGS, "toolbox", "apply"}
    for pod in pods.values():
        assert pod["metadata"]["labels"]["mesh"] == "on"
        assert pod["metadata"]["annotations"]["a.b/c"] == "d"
        for container in containers({"spec": {"template": pod}}):
            assert "ADDED" in [each["name"] for each in container["env"]]


@pytest.mark.parametrize("service", SETTINGS)
def test_what_is_for_one_service_reaches_only_its_pods(render: Render, service: str) -> None:
    """A service's own values win over those for all pods. Variables come last: Kubernetes uses the last one of a name."""
    own = {
        "podLabels": {"mesh": "own"},
        "podAnnotations": {"a.b/c": "own"},
        "extraEnv": [{"name": "KAFKA_BOOTSTRAP_SERVERS", "value": "other:1"}],
        "extraEnvFrom": [{"secretRef": {"name": "more-variables"}}],
        "extraVolumes": [{"name": "more", "configMap": {"name": "more"}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/etc/more"}],
    }
    pods = _pods(render({**EVERYTHING, "podLabels": {"mesh": "on"}, service: own}))
    for component, pod in pods.items():
        mine = component == service
        container = pod["spec"]["containers"][0]
        assert pod["metadata"]["labels"]["mesh"] == ("own" if mine else "on")
        assert pod["metadata"].get("annotations", {}).get("a.b/c") == ("own" if mine else None)
        assert (_variables(pod).count("KAFKA_BOOTSTRAP_SERVERS") == 2) == mine
        assert ("more" in {volume["name"] for volume in pod["spec"]["volumes"]}) == mine
        assert ("more" in {mount["name"] for mount in container["volumeMounts"]}) == mine
        assert ({"secretRef": {"name": "more-variables"}} in container.get("envFrom", [])) == mine
    assert _variables(pods[service])[-1] == "KAFKA_BOOTSTRAP_SERVERS"


def test_parts_of_ingest_have_what_ingest_has(render: Render) -> None:
    """The three Deployments of a split ingest share its additions; a part can have its own instead."""
    split = {"enabled": True, "history": {"podLabels": {"part": "history"}}}
    values = {
        "database": {"existingSecret": "a"},
        "files": {"url": "s3://f"},
        "split": split,
        "podLabels": {"part": "any"},
    }
    pods = _pods(render({"ingest": values}))
    assert {name: pod["metadata"]["labels"].get("part") for name, pod in pods.items() if name.startswith("ingest")} == {
        "ingest": "any",
        "ingest-lanes": "any",
        "ingest-history": "history",
    }


@pytest.mark.parametrize(
    ("values", "name", "made"),
    [
        ({}, "chapar", True),
        ({"create": True, "name": "contact", "annotations": {"iam.example/role": "r"}}, "contact", True),
        ({"create": False, "name": "contact"}, "contact", False),
        ({"create": False}, "default", False),
    ],
)
def test_the_service_account(render: Render, values: Mapping[str, Any], name: str, made: bool) -> None:
    """The chart creates the account or uses one that exists; the hook runs before it is created, with the namespace's own."""
    documents = render({**EVERYTHING, "serviceAccount": values})
    accounts = [d["metadata"] for d in documents if d["kind"] == "ServiceAccount"]
    assert [account["name"] for account in accounts] == ([name] if made else [])
    assert [account.get("annotations") for account in accounts] == ([values.get("annotations")] if made else [])
    used = {component: pod["spec"].get("serviceAccountName") for component, pod in _pods(documents).items()}
    assert used == {**dict.fromkeys([*SETTINGS, "toolbox"], name), "apply": None}


def test_security_contexts_can_be_changed(render: Render) -> None:
    """A given key replaces the chart's, null removes it, and the others remain."""
    changed = {
        "podSecurityContext": {"runAsUser": None, "fsGroup": 7},
        "containerSecurityContext": {"privileged": False},
    }
    for pod in _pods(render({**EVERYTHING, **changed})).values():
        context = pod["spec"]["securityContext"]
        assert "runAsUser" not in context
        assert (context["fsGroup"], context["runAsNonRoot"]) == (7, True)
        for container in containers({"spec": {"template": pod}}):
            assert container["securityContext"]["privileged"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_spread_can_be_changed(render: Render) -> None:
    """A service's own constraints replace the common ones, an empty list removes them, and each selects the service's own pods."""
    rack = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    values = {"router": {"topologySpreadConstraints": [rack]}, "sla": {"topologySpreadConstraints": []}}
    pods = _pods(render(values))
    (router,) = pods["router"]["spec"]["topologySpreadConstraints"]
    assert router.items() >= rack.items()
    assert router["labelSelector"]["matchLabels"].items() <= pods["router"]["metadata"]["labels"].items()
    assert router["labelSelector"]["matchLabels"][COMPONENT] == "router"
    assert "topologySpreadConstraints" not in pods["sla"]["spec"]
    assert len(pods["feedback"]["spec"]["topologySpreadConstraints"]) == 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"maxUnavailable": 1}),
        ({"router": {"podDisruptionBudget": {"minAvailable": 3}}}, {"minAvailable": 3}),
        ({"router": {"podDisruptionBudget": {"maxUnavailable": "25%"}}}, {"maxUnavailable": "25%"}),
        ({"router": {"podDisruptionBudget": {"maxUnavailable": 0}}}, {"maxUnavailable": 0}),
        ({"podDisruptionBudget": {**BUDGET, "minAvailable": "50%"}}, {"minAvailable": "50%"}),
        (
            {"podDisruptionBudget": {**BUDGET, "minAvailable": "50%"}, "router": {"podDisruptionBudget": {"maxUnavailable": 2}}},
            {"maxUnavailable": 2},
        ),
        ({"router": {"podDisruptionBudget": {"enabled": False}}}, None),
        ({"podDisruptionBudget": {"enabled": False}}, None),
        ({"podDisruptionBudget": {"enabled": False}, "router": {"podDisruptionBudget": {"enabled": True}}}, {"maxUnavailable": 1}),
    ],
)  # fmt: skip
def test_disruption_budgets(render: Render, values: Mapping[str, Any], expected: Mapping[str, Any] | None) -> None:
    """A service's own values replace those for all, 0 and false included; one of the two limits is rendered, never both."""
    found = {
        d["metadata"]["labels"][COMPONENT]: d["spec"] for d in render(values) if d["kind"] == "PodDisruptionBudget"
    }
    limits = {
        name: spec[name] for spec in [found.get("router", {})] for name in spec if name.startswith(("min", "max"))
    }
    assert limits == (expected or {})
    assert ("router" in found) == (expected is not None)


def test_a_part_of_ingest_has_its_own_budget(render: Render) -> None:
    """Without its own values a part has those of ingest."""
    history: Mapping[str, Any] = {"podDisruptionBudget": {"enabled": False}}
    values = {
        "database": {"existingSecret": "a"},
        "files": {"url": "s3://f"},
        "split": {"enabled": True, "history": history},
    }
    documents = render({"ingest": {**values, "podDisruptionBudget": {"maxUnavailable": 3}}})
    budgets = [d for d in documents if d["kind"] == "PodDisruptionBudget"]
    found = {d["metadata"]["labels"][COMPONENT]: d["spec"]["maxUnavailable"] for d in budgets}
    assert found == {"ingest": 3, "ingest-lanes": 3, "router": 1, "sla": 1, "feedback": 1}
