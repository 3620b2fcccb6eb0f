"""What `deploy/` says fits the code: metrics, alerts and their runbooks, settings, rights on topics, certificates.

These tests need neither a cluster nor a tool; `deploy/check` runs them beside helm, promtool and the schemas.
"""

import itertools
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from ruamel.yaml import YAML

from services.chassis.grpc.client import ClientTls, grpc_channel
from services.chassis.grpc.tls import CertificateFiles
from services.chassis.metrics_catalogue import CATALOGUE
from services.chassis.settings import ServiceSettings
from services.chassis.topics import TOPICS
from services.feedback.settings import FeedbackSettings
from services.ingest.settings import IngestSettings
from services.router.settings import RouterSettings
from services.sla.settings import SlaSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus/rules/chapar.yaml"
RULE_TESTS = DEPLOY / "prometheus/tests/chapar.yaml"
RUNBOOKS = DEPLOY / "runbooks/README.md"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
CHART = DEPLOY / "helm/chapar"
RENDERED = sorted((CHART / "rendered").glob("*.yaml"))
SETTINGS: Mapping[str, type[ServiceSettings]] = {
    "ingest": IngestSettings,
    "router": RouterSettings,
    "sla": SlaSettings,
    "feedback": FeedbackSettings,
}
# What Prometheus and the scrape add to what the code gives.
SCRAPED_LABELS = {"job", "instance", "le"}
SELECTOR = re.compile(r"(?<![\w:])(chapar_[a-z0-9_]+)(?:\{([^}]*)\})?")
RECORDED = re.compile(r"(?<![\w:])[a-z]+:[a-z0-9_:]+")


def _yaml(path: Path) -> list[Any]:
    return [document for document in YAML(typ="safe").load_all(path.read_text(encoding="utf-8")) if document]


def _series() -> dict[str, set[str]]:
    """Every series that the code can give, with its labels."""
    found: dict[str, set[str]] = {}
    for spec in CATALOGUE:
        endings = ("_bucket", "_sum", "_count") if spec.kind == "histogram" else ("",)
        for ending in endings:
            found[spec.name + ending] = {*spec.labels, *SCRAPED_LABELS}
    return found


def _misnamed(expression: str, recorded: set[str]) -> list[str]:
    """Names of metrics, labels and recorded series in a PromQL expression that nothing gives."""
    known, wrong = _series(), []
    for name, matchers in SELECTOR.findall(expression):
        if name not in known:
            wrong.append(name)
            continue
        wrong += [f"{name}{{{label}}}" for label in re.findall(r"(\w+)\s*[=!]~?", matchers) if label not in known[name]]
    labels = set().union(*known.values()) | {"service"}
    for group in re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", expression):
        wrong += [label for label in re.findall(r"\w+", group) if label not in labels]
    return wrong + [name for name in RECORDED.findall(expression) if name not in recorded]


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _yaml(RULES)[0]["groups"] for rule in group["rules"]]


def _recorded() -> set[str]:
    return {rule["record"] for rule in _rules() if "record" in rule}


def _alerts() -> list[dict[str, Any]]:
    return [rule for rule in _rules() if "alert" in rule]


def test_rules_use_metrics_and_labels_that_exist() -> None:
    """A misspelt metric is an alert that never fires."""
    wrong = {str(r.get("alert") or r.get("record")): _misnamed(r["expr"], _recorded()) for r in _rules()}
    assert {name: names for name, names in wrong.items() if names} == {}
    assert _misnamed('rate(chapar_router_waitin{shop="x"}[5m])', set()) == ["chapar_router_waitin"]
    assert _misnamed('chapar_router_waiting{agent="x"}', set()) == ["chapar_router_waiting{agent}"]


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    """Severity, summary, description, and a section of the runbooks; no section without an alert."""
    sections = set(re.findall(r"^## (\w+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE))
    assert sections == {alert["alert"] for alert in _alerts()}
    for alert in _alerts():
        assert alert["labels"]["severity"] in {"page", "ticket"}, alert["alert"]
        assert {"summary", "description", "runbook_url"} <= alert["annotations"].keys(), alert["alert"]
        assert alert["annotations"]["runbook_url"].endswith(f"deploy/runbooks/README.md#{alert['alert'].lower()}")


def test_each_alert_has_a_test_that_it_is_quiet_and_that_it_fires() -> None:
    """promtool runs them; here it is looked at that none is missing."""
    told: dict[str, set[bool]] = {}
    for case in itertools.chain.from_iterable(test["alert_rule_test"] for test in _yaml(RULE_TESTS)[0]["tests"]):
        told.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    assert told == {alert["alert"]: {True, False} for alert in _alerts()}


def test_rule_tests_feed_series_that_exist() -> None:
    """A test over invented series would prove nothing."""
    series = [entry["series"] for test in _yaml(RULE_TESTS)[0]["tests"] for entry in test["input_series"]]
    assert [each for each in series if _misnamed(each, set())] == []


def test_the_chart_carries_the_same_rules() -> None:
    """One file of rules; the chart's copy is byte for byte the same."""
    assert (CHART / "files/rules.yaml").read_bytes() == RULES.read_bytes()


def _panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_dashboards_show_metrics_that_exist(path: Path) -> None:
    """Names and labels are the catalogue's; each panel explains itself, in a unit, from the chosen Prometheus."""
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    assert dashboard["uid"]
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    panels = _panels(dashboard)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    wrong: list[str] = []
    for panel in panels:
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        for target in panel["targets"]:
            wrong += _misnamed(target["expr"], _recorded())
            windows = re.findall(r"\[([^\]]+)\]", target["expr"])
            assert set(windows) <= {"$__rate_interval"}, panel["title"]
    assert wrong == []


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_do_not_lie_over_each_other(path: Path) -> None:
    """Each cell of the grid belongs to one panel at most."""
    seen: dict[tuple[int, int], str] = {}
    for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for cell in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])):
            assert seen.setdefault(cell, panel["title"]) == panel["title"]


def _workloads(path: Path) -> list[dict[str, Any]]:
    return [d for d in _yaml(path) if d["kind"] in {"Deployment", "StatefulSet", "Job"}]


def _containers(workload: Mapping[str, Any]) -> list[dict[str, Any]]:
    spec = workload["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def _environment(container: Mapping[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "from-elsewhere") for each in container.get("env", [])}


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_services_accept_the_environment_that_the_chart_gives(path: Path) -> None:
    """Each variable is a setting, and together they are whole: a service would start with them."""
    seen = set()
    for workload in _workloads(path):
        for container in _containers(workload):
            if (settings := SETTINGS.get(container["name"])) is not None:
                seen.add(container["name"])
                loaded = settings.load(env=_environment(container))
                loaded.model_copy(update={"grpc_host": "0.0.0.0"}).require_secure_or_loopback()
                assert loaded.jwt.configured
    assert seen == SETTINGS.keys()


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_pods_ask_for_no_more_than_they_need(path: Path) -> None:
    """No root, no writable root, no capability, no token of the cluster's, no secret in plain text."""
    for workload in _workloads(path):
        pod = workload["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        mounted = {volume["name"] for volume in pod["volumes"]}
        for container in _containers(workload):
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert {mount["name"] for mount in container["volumeMounts"]} <= mounted
            for each in container["env"]:
                if "PASSWORD" in each["name"] or each["name"].endswith("DATABASE_URL"):
                    assert "secretKeyRef" in each["valueFrom"], each["name"]


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_selectors_find_the_pods_they_mean(path: Path) -> None:
    """Every Service, disruption budget and service's network policy selects exactly one workload's pods."""
    documents = _yaml(path)
    pods = {w["metadata"]["name"]: w["spec"]["template"]["metadata"]["labels"] for w in _workloads(path)}
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
    """A pod's advertised name is covered by the wildcard, and the headless Service that gives the name exists."""
    documents = _yaml(path)
    router = next(d for d in documents if d["kind"] == "StatefulSet" and d["metadata"]["name"].endswith("router"))
    advertised = _environment(_containers(router)[0])["CHAPAR_ROUTER_ADVERTISED_ADDRESS"]
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
    """preStop, drain, and twice the time for calls in progress (hooks, then servers)."""
    down = _yaml(CHART / "values.yaml")[0]["shutdown"]
    needed = down["preStopSeconds"] + down["drainSeconds"] + 2 * down["stopSeconds"]
    assert needed < down["terminationGracePeriodSeconds"]


def _compose() -> dict[str, Any]:
    loaded: dict[str, Any] = _yaml(DEPLOY / "compose.yaml")[0]
    return loaded


def test_services_accept_the_environment_that_compose_gives() -> None:
    """As on Kubernetes: every variable is a setting, TLS is whole, and all files lie in what is mounted."""
    services = _compose()["services"]
    for name, settings in SETTINGS.items():
        env = {key: str(value) for key, value in services[name]["environment"].items()}
        loaded = settings.load(env=env)
        loaded.model_copy(update={"grpc_host": "0.0.0.0"}).require_secure_or_loopback()
        mounts = {volume.split(":")[1] for volume in services[name]["volumes"]}
        for value in (value for value in env.values() if value.startswith("/")):
            assert any(value.startswith(mount) for mount in mounts), f"{name}: {value}"


def test_compose_waits_for_services_that_exist() -> None:
    """A misspelt dependency would only be found by starting it."""
    services = _compose()["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= services.keys(), name
    # The broker is the one that the tests run against.
    versions = re.findall(r"kafka_2\.13</artifactId>\s*<version>([\d.]+)<", (DEPLOY / "kafka/pom.xml").read_text())
    assert services["kafka"]["image"].endswith(f":-{versions[0]}}}")


def test_strimzi_manifests_are_drawn_from_the_table() -> None:
    """Topics with three replicas, counts and settings of services/chassis/topics.py; users with their rights."""
    run = subprocess.run(
        [sys.executable, "deploy/strimzi/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    named = [d["spec"]["topicName"] for d in _yaml(DEPLOY / "strimzi/topics.yaml")]
    assert sorted(named) == sorted(f"chapar.{name}" for name in TOPICS)


@pytest.mark.parametrize("service", SETTINGS)
def test_a_services_user_may_touch_the_topics_that_its_code_names(service: str) -> None:
    """A topic in the code without a right is a service that stops at its first record on a secured cluster."""
    rights = runpy.run_path(str(DEPLOY / "strimzi/generate.py"))["RIGHTS"][service]
    literal = re.compile(r'"((?:[a-z-]+\.)+v1)"')
    named = {
        name
        for file in (ROOT / "services" / service).rglob("*.py")
        for name in literal.findall(file.read_text(encoding="utf-8"))
        if name in TOPICS
    }
    assert named - {*rights.reads, *rights.writes} == set()
    assert {*rights.reads, *rights.writes} <= TOPICS.keys()


@pytest.mark.parametrize("service", SETTINGS)
def test_groups_of_a_service_start_with_its_name(service: str) -> None:
    """The users' rights on groups and transactional ids are by that prefix."""
    group = re.compile(r'(?:\b_?(?:group|GROUP)(?:: Final)?\s*=\s*|LaneSpec\()"([^"]+)"')
    files = (ROOT / "services" / service).rglob("*.py")
    found = [name for file in files for name in group.findall(file.read_text(encoding="utf-8"))]
    assert found
    assert [name for name in found if not name.startswith(service)] == []


def _made(directory: Path) -> Sequence[Path]:
    script = DEPLOY / "docker/dev_certificates.py"
    run = subprocess.run(
        [sys.executable, str(script), str(directory), *SETTINGS], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_development_secrets_are_made_once(tmp_path: Path) -> None:
    """A second start changes nothing; keys are for their owner; certificates about to end are made anew."""
    files = _made(tmp_path)
    before = {path: path.read_bytes() for path in files}
    assert len(before) == 1 + 3 + 2 * len(SETTINGS)
    assert {path.stat().st_mode & 0o777 for path in files if path.name != "ca.crt"} == {0o600}
    assert {path: path.read_bytes() for path in _made(tmp_path)} == before
    module = runpy.run_path(str(DEPLOY / "docker/dev_certificates.py"))
    module["make_certificates"](tmp_path, list(SETTINGS), datetime.now(UTC) - timedelta(days=84))
    old = (tmp_path / "router/tls.crt").read_bytes()
    _made(tmp_path)
    renewed = x509.load_pem_x509_certificate((tmp_path / "router/tls.crt").read_bytes())
    assert old != (tmp_path / "router/tls.crt").read_bytes()
    assert renewed.not_valid_after_utc - datetime.now(UTC) > timedelta(days=80)
    assert (tmp_path / "tokens").read_bytes() == before[tmp_path / "tokens"]


async def test_services_believe_each_other_by_development_certificates(tmp_path: Path) -> None:
    """A call with both sides' certificates succeeds by the compose name; another service's name is refused."""
    _made(tmp_path)
    place = tmp_path / "router"
    authority = tmp_path / "ca.crt"
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health_aio.HealthServicer(), server)
    files = CertificateFiles(place / "tls.crt", place / "tls.key", authority)
    port = server.add_secure_port("127.0.0.1:0", files.credentials())
    await server.start()
    try:
        own = (tmp_path / "sla/tls.crt", tmp_path / "sla/tls.key")
        async with grpc_channel(f"127.0.0.1:{port}", tls=ClientTls(authority, *own, "router")) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        async with grpc_channel(f"127.0.0.1:{port}", tls=ClientTls(authority, *own, "feedback")) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        await server.stop(0)


def _entrypoint(tmp_path: Path, arguments: Sequence[str], env: Mapping[str, str]) -> dict[str, str]:
    """Runs the image's entry point with a `python` that tells its environment instead of starting a service."""
    probe = tmp_path / "probe"
    probe.write_text(f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n")
    probe.chmod(0o755)
    code = (
        "import runpy, sys; sys.executable = sys.argv[1]; sys.argv = sys.argv[2:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(probe), str(DEPLOY / "docker/entrypoint.py"), *arguments]
    run = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=True)
    argv, environment = json.loads(run.stdout)
    assert argv == ["-m", f"services.{arguments[0]}"]
    return {str(key): str(value) for key, value in environment.items()}


@pytest.mark.parametrize("service", SETTINGS)
def test_the_image_listens_where_the_manifests_say(service: str, tmp_path: Path) -> None:
    """The entry point's ports are the container ports of the chart, and its variables are settings."""
    given = _entrypoint(tmp_path, [service], {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"})
    SETTINGS[service].load(env=given)
    set_ports = {int(value) for name, value in given.items() if name.endswith("_PORT")}
    for path in RENDERED:
        container = next(c for w in _workloads(path) for c in _containers(w) if c["name"] == service)
        assert {port["containerPort"] for port in container["ports"]} == set_ports


def test_the_image_takes_secrets_from_a_file_where_nothing_else_sets_them(tmp_path: Path) -> None:
    """CHAPAR_ENV_FILE: for secrets that are made when the containers start."""
    file = tmp_path / "channels.env"
    file.write_text("# secrets\nA_SECRET=with=equals\nGIVEN=from the file\n")
    given = _entrypoint(tmp_path, ["ingest"], {"CHAPAR_ENV_FILE": str(file), "GIVEN": "from outside"})
    assert (given["A_SECRET"], given["GIVEN"]) == ("with=equals", "from outside")
    assert "CHAPAR_ENV_FILE" not in given


def test_no_committed_file_names_a_mirror() -> None:
    """Packages come from where pip and npm are configured to look; addresses of registries are the machine's business."""
    registry = re.compile(r"registry\.npmjs|pypi\.org|files\.pythonhosted")
    assert [path for path in _text_files() if registry.search(path.read_text(encoding="utf-8"))] == []


def _text_files() -> Iterator[Path]:
    ours = ("check", "compose.yaml", "helm", "strimzi", "prometheus", "alertmanager", "grafana", "runbooks", "docker")
    for name in ours:
        place = DEPLOY / name
        yield from (p for p in place.rglob("*") if p.is_file() and p.suffix != ".pyc") if place.is_dir() else (place,)
