"""Ways from outside to the services: Services, Ingress, and routes of the Gateway API lead to ports that exist."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.architecture.deployed import CHART, DEPLOY, ROOT
from tests.fixtures.helm import Render

GATEWAY: Mapping[str, Any] = {
    "enabled": True,
    "parentRefs": [{"name": "public"}],
    "ingest": {"host": "contact.example"},
    "feedback": {"host": "ask.example"},
    "agents": {"host": "agents.example", "authorityConfigMap": "authority"},
    "smtp": {"enabled": True, "parentRefs": [{"name": "public", "sectionName": "smtp"}]},
}
INGRESS: Mapping[str, Any] = {
    "enabled": True,
    "className": "nginx",
    "annotations": {"a.b/c": "d"},
    "ingest": {"host": "contact.example", "tlsSecret": "contact-web"},
    "feedback": {"host": "ask.example"},
}


def _named(documents: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {d["metadata"]["name"]: d for d in documents if d["kind"] == kind}


def _ports(service: Mapping[str, Any]) -> dict[str, int]:
    return {port["name"]: port["port"] for port in service["spec"]["ports"]}


@pytest.mark.parametrize("name", ["ingest", "feedback", "router"])
def test_a_service_can_be_a_load_balancer(render: Render, name: str) -> None:
    """Type, annotations and the fields of load balancers reach the one Service that the values name."""
    given = {
        "type": "LoadBalancer",
        "annotations": {"a.b/c": "d"},
        "externalTrafficPolicy": "Local",
        "loadBalancerClass": "example.com/lb",
        "loadBalancerSourceRanges": ["203.0.113.0/24"],
    }
    services = _named(render({name: {"service": given}}), "Service")
    own = services.pop(f"chapar-{name}")
    assert own["metadata"]["annotations"] == given.pop("annotations")
    assert {key: own["spec"][key] for key in given} == given
    assert {service["spec"].get("type", "ClusterIP") for service in services.values()} == {"ClusterIP"}


def test_mail_can_have_a_service_of_its_own(render: Render) -> None:
    """An Ingress forwards no TCP. The Service for e-mail keeps senders' addresses, and the one for the web loses the port."""
    services = _named(render({"ingest": {"smtp": {"port": 2525, "service": {"enabled": True}}}}), "Service")
    mail = services["chapar-ingest-smtp"]
    assert (mail["spec"]["type"], mail["spec"]["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
    assert _ports(mail) == {"smtp": 2525}
    assert _ports(services["chapar-ingest"]) == {"http": 80}
    assert mail["spec"]["selector"] == services["chapar-ingest"]["spec"]["selector"]
    plain = _named(render({}), "Service")
    assert "chapar-ingest-smtp" not in plain
    assert _ports(plain["chapar-ingest"]) == {"http": 80, "smtp": 25}


@pytest.mark.parametrize("smtp_service", [False, True])
def test_routes_lead_to_services_and_ports_that_exist(render: Render, smtp_service: bool) -> None:
    """Each backend of an Ingress, an HTTPRoute, a GRPCRoute and a TCPRoute is a Service of the chart with this port."""
    smtp = {"smtp": {"service": {"enabled": smtp_service}}}
    documents = render({"gateway": GATEWAY, "ingress": INGRESS, "ingest": smtp})
    services = _named(documents, "Service")
    backends = []
    for document in documents:
        if document["kind"] == "Ingress":
            found = [path["backend"]["service"] for rule in document["spec"]["rules"] for path in rule["http"]["paths"]]
            backends += [(each["name"], _ports(services[each["name"]])[each["port"]["name"]]) for each in found]
        elif document["kind"].endswith("Route"):
            assert document["spec"]["parentRefs"][0]["name"] == "public"
            backends += [(b["name"], b["port"]) for rule in document["spec"]["rules"] for b in rule["backendRefs"]]
    assert len(backends) == 2 + 2 + 4 + 1
    for name, port in backends:
        assert port in _ports(services[name]).values()


def test_an_ingress_has_its_class_host_certificate_and_annotations(render: Render) -> None:
    """A host without tlsSecret has no certificate of its own; without a host there is no Ingress."""
    found = _named(render({"ingress": INGRESS}), "Ingress")
    contact, ask = found["chapar-ingest"], found["chapar-feedback"]
    assert contact["metadata"]["annotations"] == {"a.b/c": "d"}
    assert contact["spec"]["ingressClassName"] == "nginx"
    assert contact["spec"]["tls"] == [{"hosts": ["contact.example"], "secretName": "contact-web"}]
    assert "tls" not in ask["spec"]
    assert ask["spec"]["rules"][0]["host"] == "ask.example"
    assert _named(render({"ingress": {**INGRESS, "ingest": {"host": ""}}}), "Ingress").keys() == {"chapar-feedback"}


def test_agents_reach_every_service_of_the_contracts(render: Render) -> None:
    """The GRPCRoute names the gRPC services of each package, and the gateway checks the certificate that the pods have."""
    contracts: dict[str, set[str]] = {}
    for name in ("feedback", "ingest", "router", "sla"):
        text = (ROOT / f"protos/chapar/{name}/v1/{name}.proto").read_text(encoding="utf-8")
        contracts[f"chapar-{name}-grpc"] = {
            f"chapar.{name}.v1.{service}" for service in re.findall(r"^service (\w+)", text, re.MULTILINE)
        }
    certificates = {"certManager": {"enabled": True, "issuerRef": {"name": "ca"}}}
    documents = render({"gateway": GATEWAY, "tls": certificates})
    (route,) = _named(documents, "GRPCRoute").values()
    routed = {
        rule["backendRefs"][0]["name"]: {match["method"]["service"] for match in rule["matches"]}
        for rule in route["spec"]["rules"]
    }
    assert routed == contracts
    policies = _named(documents, "BackendTLSPolicy")
    assert policies.keys() == contracts.keys()
    names = {name for d in documents if d["kind"] == "Certificate" for name in d["spec"]["dnsNames"]}
    for name, policy in policies.items():
        assert policy["spec"]["targetRefs"][0]["name"] == name
        assert policy["spec"]["validation"]["hostname"] in names


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"ingress": INGRESS}, "https://ask.example"),
        ({"gateway": GATEWAY}, "https://ask.example"),
        ({"ingress": INGRESS, "feedback": {"publicUrl": "https://other.example"}}, "https://other.example"),
        ({"ingress": {**INGRESS, "enabled": False}}, None),
    ],
)
def test_survey_links_name_the_host_of_the_route(render: Render, values: Mapping[str, Any], url: str | None) -> None:
    """Otherwise links would name a pod although the route is there."""
    pod = _named(render(values), "Deployment")["chapar-feedback"]["spec"]["template"]["spec"]
    variables = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert variables.get("CHAPAR_FEEDBACK_PUBLIC_URL") == url


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ingress": {"enabled": True}}, "ingress.ingest.host or ingress.feedback.host"),
        ({"gateway": {"enabled": True}}, "gateway.enabled needs"),
        ({"gateway": {**GATEWAY, "parentRefs": []}}, "gateway.parentRefs is empty"),
        ({"gateway": {**GATEWAY, "smtp": {"enabled": True, "parentRefs": []}}}, "gateway.smtp.parentRefs is empty"),
        ({"gateway": GATEWAY, "ingest": {"smtp": {"enabled": False}}}, "gateway.smtp.enabled needs"),
        ({"gateway": GATEWAY, "tls": {"mutual": True}}, "Use router.service.type LoadBalancer"),
        ({"gateway": {**GATEWAY, "agents": {"host": "a.example"}}}, "authorityConfigMap"),
        ({"router": {"service": {"externalTrafficPolicy": "Local"}}}, "router.service.externalTrafficPolicy needs"),
        ({"ingest": {"service": {"loadBalancerClass": "a"}}}, "ingest.service: loadBalancerClass"),
        ({"networkPolicy": {"providerPorts": []}}, "providerPorts"),
    ],
)
def test_values_that_lead_nowhere_are_refused(render: Render, values: Mapping[str, Any], words: str) -> None:
    """The message names the value. An empty list of ports would open all ports."""
    with pytest.raises(AssertionError, match=re.escape(words)):
        render(values)


def test_dashboards_are_those_of_the_repository(render: Render) -> None:
    """Each dashboard is in a ConfigMap with the label that Grafana's sidecar looks for, unchanged."""
    files = {path.name: path.read_text(encoding="utf-8") for path in (DEPLOY / "grafana").glob("*.json")}
    assert {path.name for path in (CHART / "files/dashboards").iterdir()} == files.keys()
    values = {"monitoring": {"dashboards": {"enabled": True, "annotations": {"grafana_folder": "Contact"}}}}
    found = [d for name, d in _named(render(values), "ConfigMap").items() if "-dashboard-" in name]
    data: dict[str, str] = {}
    for each in found:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"] == {"grafana_folder": "Contact"}
        data |= each["data"]
    assert data == files
