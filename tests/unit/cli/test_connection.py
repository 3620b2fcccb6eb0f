"""The identity and the addresses that the command line uses: from what runs here, else from variables, never from defaults."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.chassis.errors import ChaparError
from services.chassis.tokens import mint
from services.cli.connection import address_of, channel_to, tenant_of, token_for
from services.cli.local.development import make_keys
from services.cli.local.workspace import SERVICES, Running, Workspace

VARIABLES = (
    "CHAPAR_TOKEN", "CHAPAR_TENANT", "CHAPAR_ADDRESS", "CHAPAR_TLS_CA_FILE", "CHAPAR_TLS_CERT_FILE", "CHAPAR_TLS_KEY_FILE",
    *(f"CHAPAR_ADDRESS_{service.upper()}" for service in SERVICES),
)  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return a home in which nothing runs, with no variable set."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return Workspace(tmp_path)


def start(workspace: Workspace) -> None:
    endpoints = {service: {"grpc": f"127.0.0.1:{7000 + at}"} for at, service in enumerate(SERVICES)}
    make_keys(workspace)
    workspace.directory("run")
    workspace.write_running(Running(os.getpid(), "127.0.0.1:9092", "chapar.", "demo", endpoints))


def test_without_anything_it_says_what_to_set_and_leaves_no_secret_behind(workspace: Workspace) -> None:
    """A secret generated now would sign tokens that no service accepts, and would remain for a later start."""
    with pytest.raises(ChaparError, match="CHAPAR_TOKEN") as error:
        token_for(workspace, "demo")
    assert error.value.reason == "NO_TOKEN"
    assert not (workspace.home / "secrets").exists()


@pytest.mark.parametrize("variable", [name for name in VARIABLES if "ADDRESS" in name])
def test_the_local_key_signs_no_token_for_other_servers(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """If a server is named, neither this copy's development secret nor its tenant is used."""
    start(workspace)
    assert token_for(workspace, "demo").count(".") == 2
    monkeypatch.setenv(variable, "router.example:9000")
    with pytest.raises(ChaparError, match="CHAPAR_TOKEN"):
        token_for(workspace, "demo")
    with pytest.raises(ChaparError, match="CHAPAR_TENANT"):
        tenant_of(workspace)
    monkeypatch.setenv("CHAPAR_TOKEN", "given")
    monkeypatch.setenv("CHAPAR_TENANT", "shop")
    assert (token_for(workspace, "shop"), tenant_of(workspace)) == ("given", "shop")


def test_each_service_has_its_own_address(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """CHAPAR_ADDRESS_<SERVICE> sets it; CHAPAR_ADDRESS applies to the services that are not named."""
    for service in SERVICES[1:]:
        monkeypatch.setenv(f"CHAPAR_ADDRESS_{service.upper()}", f"dns:///{service}.example:9000")
    monkeypatch.setenv("CHAPAR_ADDRESS", "one.example:9000")
    found = [address_of(workspace, service) for service in SERVICES]
    assert found == ["one.example:9000", *(f"dns:///{service}.example:9000" for service in SERVICES[1:])]


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("127.0.0.1:9000", True),
        ("ipv4:127.0.0.1:9000,127.0.0.1:9001", True),
        ("[::1]:9000", True),
        ("dns:///localhost:9000", True),
        ("ipv4:127.0.0.1:9000,10.0.0.1:9001", False),
        ("dns:///chapar-router-grpc.contact.svc.cluster.local:9000", False),
        ("localhost.example:9000", False),
        ("127.0.0.1.example:9000", False),
    ],
)
async def test_a_token_leaves_this_machine_by_tls_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, address: str, plain: bool
) -> None:
    """Without a trusted authority only loopback is called."""
    monkeypatch.setenv("CHAPAR_TOKEN", mint(b"k" * 32, "someone", "demo", (), "", 60))
    monkeypatch.setenv("CHAPAR_TENANT", "demo")
    monkeypatch.setenv("CHAPAR_ADDRESS", address)
    if plain:
        async with channel_to(workspace, "router"):
            return
    with pytest.raises(ChaparError, match="CHAPAR_TLS_CA_FILE"):
        async with channel_to(workspace, "router"):
            pass
