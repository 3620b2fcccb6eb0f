"""The chart's rendered examples match the services: settings, selectors, names in certificates, and only the rights they need."""

import re
from pathlib import Path

import pytest

from services.chassis.build import version
from tests.architecture.deployed import (
    CHART,
    RENDERED,
    SETTINGS,
    containers,
    environment,
    workloads,
    yaml_documents,
)


def test_the_chart_has_the_version_of_the_project() -> None:
    """The chart installs the image of its own version when the values do not set one."""
    stated = re.findall(
        r"^(version|appVersion): (\S+)$", (CHART / "Chart.yaml").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert stated == [("version", version()), ("appVersion", version())]


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_services_accept_the_environment_that_the_chart_gives(path: Path) -> None:
    """Each variable is a setting, and together they are complete: a service can start with them."""
    seen = set()
    for workload in workloads(path):
        for container in containers(workload):
            if (settings := SETTINGS.get(container["name"])) is not None:
                seen.add(container["name"])
                loaded = settings.load(env=environment(container))
                loaded.model_copy(update={"grpc_host": "0.0.0.0"}).require_secure_or_loopback()
                assert loaded.jwt.trusted
                loaded.require_keys_that_only_verify()
    assert seen == SETTINGS.keys()


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_all_services_show_tenants_in_metrics_or_none_does(path: Path) -> None:
    """`monitoring.tenants` is one value: an alert that compares metrics of two services finds the same labels."""
    wanted = "tenants: true" in (CHART / "ci" / f"{path.stem}-values.yaml").read_text(encoding="utf-8")
    shown = {
        container["name"]: settings.load(env=environment(container)).metrics.tenants
        for workload in workloads(path)
        for container in containers(workload)
        if (settings := SETTINGS.get(container["name"])) is not None
    }
    assert shown == dict.fromkeys(SETTINGS, wanted)


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_pods_request_only_the_rights_that_they_need(path: Path) -> None:
    """Pods have no root user, no writable root file system, no capability, no cluster token and no secret in plain text."""
    for workload in workloads(path):
        pod = workload["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        mounted = {volume["name"] for volume in pod["volumes"]}
        for container in containers(workload):
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert {mount["name"] for mount in container["volumeMounts"]} <= mounted
            for each in container.get("env", ()):
                if "PASSWORD" in each["name"] or each["name"].endswith("DATABASE_URL"):
                    assert "secretKeyRef" in each["valueFrom"], each["name"]


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_selectors_select_the_intended_pods(path: Path) -> None:
    """Every Service, every disruption budget and every service's network policy selects exactly one workload's pods."""
    documents = yaml_documents(path)
    pods = {w["metadata"]["name"]: w["spec"]["template"]["metadata"]["labels"] for w in workloads(path)}
    for document in documents:
        kind, spec = document["kind"], document.get("spec", {})
        if kind not in {"Service", "PodDisruptionBudget", "NetworkPolicy"}:
            continue
        selector = spec.get("selector") or spec["podSelector"]
        labels = selector.get("matchLabels", selector)
        found = [name for name, own in pods.items() if labels.items() <= own.items()]
        if "app.kubernetes.io/component" in labels:
            assert len(found) == 1, document["metadata"]["name"]
        else:
            assert sorted(found) == sorted(pods), document["metadata"]["name"]


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_the_router_is_reached_by_the_names_in_its_certificate(path: Path) -> None:
    """The wildcard covers a pod's advertised name, and the headless Service that provides the name exists."""
    documents = yaml_documents(path)
    router = next(d for d in documents if d["kind"] == "StatefulSet" and d["metadata"]["name"].endswith("router"))
    advertised = environment(containers(router)[0])["CHAPAR_ROUTER_ADVERTISED_ADDRESS"]
    name, port = advertised.replace("$(POD_NAME)", "chapar-router-0").rsplit(":", 1)
    headless = next(d for d in documents if d["kind"] == "Service" and d["spec"].get("clusterIP") == "None")
    assert router["spec"]["serviceName"] in {d["metadata"]["name"] for d in documents if d["kind"] == "Service"}
    assert name.split(".")[1] == router["spec"]["serviceName"]
    assert int(port) in {each["port"] for each in headless["spec"]["ports"]}
    for certificate in (
        d for d in documents if d["kind"] == "Certificate" and d["metadata"]["name"].endswith("router")
    ):
        assert "*." + name.split(".", 1)[1] in certificate["spec"]["dnsNames"]


def test_a_stop_fits_into_the_grace_period() -> None:
    """The grace period covers preStop, the drain, and twice the time for calls in progress (hooks, then servers)."""
    down = yaml_documents(CHART / "values.yaml")[0]["shutdown"]
    needed = down["preStopSeconds"] + down["drainSeconds"] + 2 * down["stopSeconds"]
    assert needed < down["terminationGracePeriodSeconds"]


def test_required_values_are_documented() -> None:
    """Each required value is listed at the head of values.yaml, and each required Secret in the operators' table."""
    templates = "\n".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").rglob("*.*"))
    required = re.findall(r'fail "([A-Za-z.]+) is required(?! when)', templates)
    assert {"kafka.bootstrapServers", "personal.masterKeySecret", "feedback.linkSecret"} <= {*required}
    (head,) = re.findall(r"^# Required: .*$", (CHART / "values.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in required if name not in head] == []
    page = (CHART.parents[2] / "docs/operating/install.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.splitlines() if line.lstrip().startswith("| `"))
    assert [name for name in required if name.endswith("Secret") and f"`{name}` (required)" not in rows] == []
