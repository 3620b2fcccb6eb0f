"""Network policies and mounted secrets match what each service does. One table of destinations is compared with code and chart."""

import ipaddress
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.deployed import RENDERED, ROOT, SETTINGS, containers, environment, yaml_documents
from tests.fixtures.helm import Render

REACHES: Mapping[str, frozenset[str]] = {
    # Providers' APIs and mail servers, the history's database, the files' bucket and scanner. It calls no other service.
    "ingest": frozenset({"providers", "database", "bucket", "scanner"}),
    # Other replicas, for the owner of a shard.
    "router": frozenset({"grpc:router"}),
    # Raises priorities at the router; sends webhooks about breaches.
    "sla": frozenset({"grpc:router", "webhooks"}),
    # Sends invitations through ingest; sends webhooks about answers.
    "feedback": frozenset({"grpc:ingest", "webhooks"}),
}
"""The destinations of each service, besides DNS, Kafka and the collector of traces, which every pod reaches."""
EVIDENCE: Mapping[str, str] = {
    r"services\.webhooks\.retries": "webhooks",
    r"services\.ingest\.adapters\.out\.http|import aiosmtplib": "providers",
    r"sqlalchemy": "database",
    r"import obstore": "bucket",
    r"class Clamd": "scanner",
    r"grpc_channel\(": "grpc",
}
"""Patterns in a service's code that show that it reaches a destination."""
SECRETS: Mapping[str, str] = {"ingest": "channels", "sla": "webhooks", "feedback": "webhooks"}
"""The tenants' secrets that a service reads: those of channels, or those that sign webhooks."""

WEB = {"ports": [{"port": 443, "protocol": "TCP"}]}
VALUES: Mapping[str, Any] = {
    "ingest": {
        "database": {"existingSecret": "history", "key": "url"},
        "files": {"url": "s3://files", "scanner": "clamav:3310"},
        "channelSecretsEnv": ["channels-env"],
        "channelSecretsFiles": [{"tenant": "shop", "secret": "channels-file"}],
    },
    "webhooks": {"secretsEnv": ["hooks-env"], "secretsFiles": [{"tenant": "shop", "secret": "hooks-file"}]},
    "toolbox": {"enabled": True},
    "tracing": {"endpoint": "http://collector:4317"},
    "auth": {"issuers": [{"issuer": "https://login.example", "discovery": True, "tenants": ["shop"]}]},
}


def _sources(service: str) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "services" / service).rglob("*.py"))


@pytest.mark.parametrize("service", SETTINGS)
def test_the_table_matches_the_code(service: str) -> None:
    """A new destination in the code must be added to the table, and then to the policies."""
    source = _sources(service)
    found = {what for pattern, what in EVIDENCE.items() if re.search(pattern, source)}
    assert found == {reached.partition(":")[0] for reached in REACHES[service]}
    assert ("SecretReferences(" in source) == (service in SECRETS)


PARTS: Mapping[str, frozenset[str]] = {
    "ingest": frozenset({"database", "bucket", "scanner"}),
    "ingest-lanes": frozenset({"providers", "bucket", "scanner"}),
    "ingest-history": frozenset({"database"}),
}
"""What each part of ingest reaches when it has a Deployment of its own."""


def _policies(documents: list[dict[str, Any]], service: str) -> Iterator[dict[str, Any]]:
    """Yield the network policies that select the pods of a service."""
    for document in documents:
        if document["kind"] == "NetworkPolicy":
            selector = document["spec"]["podSelector"]
            labels = {"app.kubernetes.io/component": service}
            own = selector["matchLabels"].get("app.kubernetes.io/component", service)
            terms = selector.get("matchExpressions", ())
            assert all(term["operator"] == "In" for term in terms)
            if own == service and all(labels[term["key"]] in term["values"] for term in terms):
                yield document


def _reached(documents: list[dict[str, Any]], service: str) -> set[str]:
    """Return the destinations that the policies allow to a service's pods."""
    found: set[str] = set()
    for policy in _policies(documents, service):
        for rule in policy["spec"].get("egress", ()):
            ports = {port["port"] for port in rule["ports"]}
            components = {
                peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
                for peer in rule.get("to", ())
                if "podSelector" in peer
            }
            if components:
                assert ports == {9000}
                found |= {f"grpc:{component}" for component in components}
            elif ports == {53}:
                found.add("dns")
            elif ports == {4317}:
                found.add("traces")
            elif ports == {9093}:
                found.add("kafka")
            elif ports == {5432}:
                found.add("database")
            elif ports == {3310}:
                found.add("scanner")
            else:
                for block in [peer["ipBlock"] for peer in rule["to"]]:
                    _keeps_private_networks_shut(block)
                name = policy["metadata"]["name"]
                calls = "bucket" if service.startswith("ingest") else "webhooks"
                web = "issuers" if name.endswith("-issuers") else calls
                found.add({443: web}[ports.pop()] if len(ports) == 1 else "providers")
    return found


def _keeps_private_networks_shut(block: Mapping[str, Any]) -> None:
    """Assert that a block, unless the operator chose it, excludes private networks and metadata services."""
    if ipaddress.ip_network(block["cidr"]).is_private:
        return
    shut = {ipaddress.ip_network(each) for each in block["except"]}
    for address in ("169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.0.1"):
        assert any(ipaddress.ip_address(address) in network for network in shut), (block, address)


@pytest.mark.parametrize("service", SETTINGS)
def test_policies_let_out_what_the_table_says_and_no_more(render: Render, service: str) -> None:
    """The default policies allow a service exactly the destinations of the table: a blocked webhook reaches no receiver."""
    assert _reached(render(VALUES), service) == {*REACHES[service], "dns", "kafka", "traces", "issuers"}


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_the_rendered_examples_agree_with_the_table(path: Any) -> None:
    """No example allows a destination that the table lacks, and each allows all that is not optional."""
    optional = {"database", "bucket", "scanner"}
    documents = list(yaml_documents(path))
    split = any(document["metadata"]["name"].endswith("-ingest-lanes") for document in documents)
    table = {**REACHES, **PARTS} if split else REACHES
    for component, reaches in table.items():
        found = _reached(documents, component) - {"dns", "kafka", "traces", "issuers"}
        assert reaches - optional <= found <= reaches, component


def test_the_parts_of_ingest_are_reached_as_one_service(render: Render) -> None:
    """Split into three Deployments, it reaches what it reaches as one; only the edges take calls and customers' connections."""
    split = {
        "split": {"enabled": True},
        "database": {"existingSecret": "chapar-history"},
        "files": {"url": "s3://files", "scanner": "clamav:3310"},
    }
    documents = render({**VALUES, "ingest": split})
    common = {"dns", "kafka", "traces", "issuers"}
    found = {component: _reached(documents, component) - common for component in PARTS}
    assert found == PARTS
    assert set().union(*found.values()) == REACHES["ingest"]
    for component in ("ingest-lanes", "ingest-history"):
        rules = [rule for policy in _policies(documents, component) for rule in policy["spec"].get("ingress", ())]
        assert {port["port"] for rule in rules for port in rule["ports"]} == {"ops"}
        pod = _workload(documents, component)["spec"]["template"]["spec"]["containers"][0]
        assert [port["name"] for port in pod["ports"]] == ["ops"]
        assert {"name": "CHAPAR_INGEST_ROLE", "value": component.removeprefix("ingest-")} in pod["env"]


def test_a_called_service_admits_its_callers(render: Render) -> None:
    """The pods of a called service accept each gRPC call of the table; a list of agents' addresses does not exclude services."""
    documents = render({**VALUES, "networkPolicy": {"agentsFrom": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}})
    calls = {
        (name, reached.partition(":")[2]) for name, all_ in REACHES.items() for reached in all_ if "grpc:" in reached
    }
    for _, callee in calls:
        rules = itertools.chain.from_iterable(
            policy["spec"].get("ingress", ()) for policy in _policies(documents, callee)
        )
        (grpc,) = [rule for rule in rules if any(port["port"] == "grpc" for port in rule["ports"])]
        peers = [peer["podSelector"]["matchLabels"] for peer in grpc["from"] if "podSelector" in peer]
        assert all("app.kubernetes.io/component" not in labels for labels in peers)
        assert peers


def _workload(documents: list[dict[str, Any]], component: str) -> dict[str, Any]:
    return next(
        d
        for d in documents
        if d["kind"] in {"Deployment", "StatefulSet", "Job"}
        and d["metadata"]["labels"]["app.kubernetes.io/component"] == component
    )


@pytest.mark.parametrize("component", [*SETTINGS, "toolbox"])
def test_tenants_secrets_are_mounted_where_they_are_read(render: Render, component: str) -> None:
    """Channels' secrets are mounted in ingest, webhooks' secrets in sla and feedback, and none in any other pod."""
    workload = _workload(render(VALUES), component)
    (container,) = containers(workload)
    pod = workload["spec"]["template"]["spec"]
    sources = {each["secretRef"]["name"] for each in container.get("envFrom", ())}
    mounts = {m["mountPath"] for m in container["volumeMounts"] if m["mountPath"].startswith("/etc/chapar/secrets/")}
    volumes = {v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    kinds = {"channels": ("channels-env", "channels-file"), "webhooks": ("hooks-env", "hooks-file")}
    if component in SECRETS:
        kind = SECRETS[component]
        env, file = kinds.pop(kind)
        assert sources == {env}
        assert mounts == {f"/etc/chapar/secrets/shop/{file}"}
        assert SETTINGS[component].load(env=environment(container)).secrets_dir == Path("/etc/chapar/secrets")
        assert file in volumes
    else:
        assert sources == set()
        assert mounts == set()
    for _, file in kinds.values():
        assert file not in volumes


@pytest.mark.parametrize(
    ("value", "ports", "reached"),
    [
        ("webhooksTo", {"webhookPorts": [443, 8443]}, "webhooks"),
        ("providersTo", {"providerPorts": [25, 8443]}, "providers"),
        ("bucketTo", {"bucketPorts": [9000]}, "bucket"),
        ("scannerTo", {}, "scanner"),
    ],
)
def test_private_receivers_can_be_named(render: Render, value: str, ports: dict[str, list[int]], reached: str) -> None:
    """`webhooksTo` allows sla and feedback, and the others allow ingest, to reach the operator's peers; no other pod may."""
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "crm"}}}
    documents = render({**VALUES, "networkPolicy": {value: [peer], **ports}})
    for service in [*SETTINGS, "toolbox", "apply"]:
        rules = [
            r for p in _policies(documents, service) for r in p["spec"].get("egress", ()) if peer in r.get("to", ())
        ]
        assert [{port["port"] for port in rule["ports"]} for rule in rules] == (
            [set(*ports.values()) or {3310}] if reached in REACHES.get(service, ()) else []
        )


@pytest.mark.parametrize(
    ("egress", "cidr"),
    [({}, None), ({"cidr": None}, None), ({"cidr": "0.0.0.0/0"}, None), ({"cidr": "10.4.0.7/32"}, "10.4.0.7/32")],
)
@pytest.mark.parametrize("by", ["issuers", "client credentials"])
def test_the_way_to_an_identity_provider_opens_no_private_network(
    render: Render, egress: dict[str, str | None], cidr: str | None, by: str
) -> None:
    """The policy allows public addresses only, or only the private address that the operator names."""
    auth: dict[str, Any] = {"egress": egress}
    if by == "issuers":
        auth |= VALUES["auth"]
    else:
        client = {"existingSecret": "", "clientId": "sla", "clientSecret": "client"}
        auth |= {"clientCredentials": {"tokenUrl": "https://login.example/token"}, "services": {"sla": client}}
    documents = render({"auth": auth})
    (policy,) = [d for d in documents if d["kind"] == "NetworkPolicy" and d["metadata"]["name"].endswith("-issuers")]
    ((block,),) = [[peer["ipBlock"] for peer in rule["to"]] for rule in policy["spec"]["egress"]]
    if cidr is not None:
        assert block == {"cidr": cidr}
    else:
        assert block["cidr"] == "0.0.0.0/0"
        _keeps_private_networks_shut(block)


def test_trusted_proxies_reach_both_services_that_customers_reach(render: Render) -> None:
    """One value sets the proxies of both services. Without it, forwarded addresses are not trusted and the default holds."""
    documents = render({"trustedProxies": ["10.1.0.0/16", "2001:db8::/32"]})
    for service in ("ingest", "feedback"):
        variables = environment(containers(_workload(documents, service))[0])
        assert variables[f"CHAPAR_{service.upper()}_HTTP_PROXIES"] == "10.1.0.0/16,2001:db8::/32"
        SETTINGS[service].load(env=variables)
    for service in ("router", "sla"):
        assert "PROXIES" not in str(environment(containers(_workload(documents, service))[0]))
    assert "HTTP_PROXIES" not in str(render({}))


def test_the_toolbox_has_every_address_and_only_the_rights_of_the_operators_user(render: Render) -> None:
    """In the toolbox pod, used by `kubectl exec`, `chapar` finds services, cluster and authority; users bring their own token."""
    documents = render(VALUES)
    workload = _workload(documents, "toolbox")
    variables = environment(containers(workload)[0])
    assert variables["KAFKA_SASL_USERNAME"] == "chapar-operator"
    assert {f"CHAPAR_ADDRESS_{name.upper()}" for name in SETTINGS} <= variables.keys()
    assert "CHAPAR_TOKEN" not in variables
    volumes = {v["secret"]["secretName"] for v in workload["spec"]["template"]["spec"]["volumes"] if "secret" in v}
    assert "chapar-tokens" not in volumes
    services = {d["metadata"]["name"] for d in documents if d["kind"] == "Service"}
    for name in SETTINGS:
        address = variables[f"CHAPAR_ADDRESS_{name.upper()}"]
        assert address.removeprefix("dns:///").partition(".")[0] in services
    assert _reached(documents, "toolbox") == {"dns", "kafka", "traces", *(f"grpc:{name}" for name in SETTINGS)}
    assert not [d for d in render({}) if d["metadata"]["labels"]["app.kubernetes.io/component"] == "toolbox"]
