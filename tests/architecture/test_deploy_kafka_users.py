"""How pods and KEDA log in to Kafka: each way that the chart offers is one that the services have."""

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from services.chassis.kafka_settings import Mechanism
from tests.architecture.deployed import CHART as CHART_DIRECTORY
from tests.architecture.deployed import SETTINGS, containers, environment, yaml_documents
from tests.fixtures.helm import Render

WAYS: Mapping[str, str | None] = {
    "none": None,
    "tls": None,
    "plain": "PLAIN",
    "scram-sha-256": "SCRAM-SHA-256",
    "scram-sha-512": "SCRAM-SHA-512",
}
"""Values of kafka.authentication, and the SASL mechanism that each means."""
KEDA: Mapping[str, str] = {
    "none": "none",
    "tls": "none",
    "plain": "plaintext",
    "scram-sha-256": "scram_sha256",
    "scram-sha-512": "scram_sha512",
}
"""The words of KEDA's Kafka scaler for them."""
SCALED: Mapping[str, Any] = {
    "ingest": {"autoscaling": {"enabled": True}},
    "feedback": {"autoscaling": {"enabled": True}},
}


def test_the_chart_offers_what_the_services_have() -> None:
    """A new mechanism of the services must be added to the chart."""
    schema = yaml_documents(CHART_DIRECTORY / "values.schema.json")[0]
    assert set(schema["properties"]["kafka"]["properties"]["authentication"]["enum"]) == WAYS.keys() == KEDA.keys()
    assert {way for way in WAYS.values() if way is not None} == {*get_args(Mechanism)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tls", [True, False])
def test_services_accept_each_way(render: Render, way: str, tls: bool) -> None:
    """The services' own settings read the variables, with and without TLS."""
    values = {"kafka": {"authentication": way, "tls": {"enabled": tls, "caSecret": "ca"}}}
    if way == "tls" and not tls:
        with pytest.raises(AssertionError, match=r"kafka\.authentication tls needs kafka\.tls\.enabled"):
            render(values)
        return
    seen = set()
    for workload in render(values):
        if workload["kind"] in {"Deployment", "StatefulSet"}:
            (container,) = containers(workload)
            kafka = SETTINGS[container["name"]].load(env=environment(container)).kafka
            assert kafka.sasl_mechanism == WAYS[way]
            assert kafka.uses_sasl == (WAYS[way] is not None)
            assert (kafka.ssl_cafile is not None) == tls
            seen.add(container["name"])
    assert seen == SETTINGS.keys()


@pytest.mark.parametrize("way", WAYS)
def test_keda_logs_in_as_the_service_that_it_scales(render: Render, way: str) -> None:
    """KEDA reads the lag with the user of the service, from the same Secrets, in the way that the cluster wants."""
    users = {"ingest": {"name": "u", "existingSecret": "own-ingest", "passwordKey": "pass"}}
    documents = render({**SCALED, "kafka": {"authentication": way, "users": users, "tls": {"caSecret": "ca"}}})
    made = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "TriggerAuthentication"}
    assert made.keys() == {"chapar-ingest-kafka", "chapar-feedback-kafka"}
    pods = {d["metadata"]["name"]: d for d in documents if d["kind"] == "Deployment"}
    for scaled in (d for d in documents if d["kind"] == "ScaledObject"):
        (container,) = containers(pods[scaled["spec"]["scaleTargetRef"]["name"]])
        for trigger in scaled["spec"]["triggers"]:
            assert trigger["metadata"]["sasl"] == KEDA[way]
            assert trigger["metadata"]["tls"] == "enable"
            spec = made[trigger["authenticationRef"]["name"]]
            secrets = {each["parameter"]: (each["name"], each["key"]) for each in spec["secretTargetRef"]}
            assert secrets.pop("ca") == ("ca", "ca.crt")
            for each in spec.get("env", []):
                assert each["containerName"] == container["name"]
                assert each["name"] in environment(container)
            by_password = WAYS[way] is not None
            assert [each["parameter"] for each in spec.get("env", [])] == (["username"] if by_password else [])
            assert secrets.keys() == ({"password"} if by_password else {"cert", "key"} if way == "tls" else set())
            if container["name"] == "ingest":
                own = {
                    "password": ("own-ingest", "pass"),
                    "cert": ("own-ingest", "user.crt"),
                    "key": ("own-ingest", "user.key"),
                }
                assert secrets.items() <= own.items()


def test_an_own_trigger_authentication_is_used_unchanged(render: Render) -> None:
    """Then the chart makes none and sets no mechanism, which would win over the one that the object names."""
    documents = render({**SCALED, "keda": {"authenticationRef": "mine"}})
    assert not [d for d in documents if d["kind"] == "TriggerAuthentication"]
    triggers = [t for d in documents if d["kind"] == "ScaledObject" for t in d["spec"]["triggers"]]
    assert {trigger["authenticationRef"]["name"] for trigger in triggers} == {"mine"}
    assert not any({"sasl", "tls"} & trigger["metadata"].keys() for trigger in triggers)


def test_an_open_cluster_needs_no_authentication(render: Render) -> None:
    """Without TLS and without a user there is nothing to log in with."""
    documents = render({**SCALED, "kafka": {"authentication": "none", "tls": {"enabled": False}}})
    assert not [d for d in documents if d["kind"] == "TriggerAuthentication"]
    assert all(
        "authenticationRef" not in t for d in documents if d["kind"] == "ScaledObject" for t in d["spec"]["triggers"]
    )
