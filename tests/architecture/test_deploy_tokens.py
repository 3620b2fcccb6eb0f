"""A service that verifies tokens cannot sign them, in every kind of deployment."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

DEPLOY = Path(__file__).parents[2] / "deploy"
RENDERED = sorted((DEPLOY / "helm/chapar/rendered").glob("*.yaml"))
SERVICES = ("ingest", "router", "sla", "feedback")


def _pods(path: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for document in YAML(typ="safe").load_all(path.read_text(encoding="utf-8")):
        if document and document["kind"] in {"Deployment", "StatefulSet"}:
            pod = document["spec"]["template"]["spec"]
            found[pod["containers"][0]["name"]] = pod
    return found


def _secret_keys(volume: dict[str, Any]) -> set[tuple[str, str]]:
    sources = volume.get("projected", {}).get("sources") or [{"secret": volume.get("secret", {})}]
    return {
        (source["secret"].get("name") or source["secret"].get("secretName", ""), item["key"])
        for source in sources
        for item in source["secret"].get("items", [{"key": "*"}])
    }


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_a_pod_mounts_public_parts_of_others_and_its_own_signing_key_alone(path: Path) -> None:
    """Each Secret of a key pair gives its private part only to the service that signs with it."""
    pods = _pods(path)
    pods.pop("toolbox", None)  # runs the CLI with its user's token
    assert pods.keys() == set(SERVICES)
    for name, pod in pods.items():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert all(
            key.endswith((".pem", ".json"))
            for _, key in _secret_keys(volumes.get("auth", {"secret": {}})) - {("", "*")}
        )
        assert not any("private" in key for _, key in _secret_keys(volumes.get("auth", {"secret": {}})))
        if "signing" in volumes:
            ((secret, _),) = _secret_keys(volumes["signing"])
            assert name in secret
        assert ("signing" in volumes) == (name in {"sla", "feedback"})
        for variable in pod["containers"][0]["env"]:
            assert not variable["name"].endswith("JWT__SECRET_FILE")


def test_a_company_with_a_provider_has_that_provider_alone() -> None:
    """No service needs a key file beside the issuers, none holds a private key, and each client asks for its own scopes."""
    scopes = {"sla": "routing.escalate", "feedback": "outbound.send ingest.follow_up"}
    pods = _pods(DEPLOY / "helm/chapar/rendered/company.yaml")
    pods.pop("toolbox", None)
    assert pods.keys() == set(SERVICES)
    for name, pod in pods.items():
        variables = {
            each["name"].removeprefix(f"CHAPAR_{name.upper()}_"): each.get("value", "")
            for each in pod["containers"][0]["env"]
        }
        issuers = json.loads(variables["JWT__ISSUERS"])
        assert all(issuer.get("discovery") and "public_key_file" not in issuer for issuer in issuers)
        assert not {"JWT__PUBLIC_KEY_FILE", "JWT__JWKS_FILE", "SERVICE_TOKEN__KEY_FILE"} & variables.keys()
        assert variables.get("SERVICE_TOKEN__SCOPE") == scopes.get(name)


def test_compose_gives_private_keys_to_signing_services_only() -> None:
    """The services share one development volume, but no service's settings name the key of another service."""
    services = YAML(typ="safe").load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name in SERVICES:
        environment = services[name]["environment"]
        private = [value for value in environment.values() if str(value).endswith(".pem") and ".pub." not in str(value)]
        assert private == ([f"/run/chapar/secrets/keys/{name}.pem"] if name in {"sla", "feedback"} else [])
        for issuer in json.loads(environment.get(f"CHAPAR_{name.upper()}_JWT__ISSUERS", "[]")):
            assert issuer["scopes"], "a service's key may do what its calls need, not everything"
