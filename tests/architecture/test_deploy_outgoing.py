"""Destinations other than public addresses: one list for the services that send and for lint.

If two lists differed, the hook would fail a release, or apply a configuration that the services then refuse to carry out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.chassis.destinations import destinations
from services.chassis.outgoing_settings import OutgoingSettings
from services.cli.__main__ import app
from tests.architecture.deployed import SETTINGS, composed, containers, environment
from tests.fixtures.helm import Render

ALLOWED = ["relay.shop.internal", "10.9.0.0/16", "fd00:9::/32", "crm"]
HOOK: Mapping[str, Any] = {"apply": {"tenants": {"demo.yaml": "tenant: demo"}}, "toolbox": {"enabled": True}}
SENDERS = {name for name, settings in SETTINGS.items() if issubclass(settings, OutgoingSettings)}
PRIVATE = """\
tenant: shop
channels:
  - {channel: email, account: main, settings: {address: a@shop.example, smtp_url: 'smtp://relay.shop.internal:25'}}
  - {channel: telegram, account: main, settings: {base_url: 'http://10.9.3.4:8080'}}
webhooks:
  - {name: crm, url: 'https://crm/hook', secrets: {signing: 'env:CHAPAR_SECRET_SHOP__CRM'}}
"""


def _component(documents: list[dict[str, Any]], name: str) -> dict[str, str]:
    """Return the environment of the last container in a component's pod."""
    (workload,) = [
        d
        for d in documents
        if d["kind"] in {"Deployment", "StatefulSet", "Job"}
        and d["metadata"]["labels"]["app.kubernetes.io/component"] == name
    ]
    return environment(containers(workload)[-1])


def _refused(tmp_path: Path, variables: Mapping[str, str]) -> list[str]:
    """Return the findings of `chapar config lint` about private destinations, in this environment."""
    file = tmp_path / "shop.yaml"
    file.write_text(PRIVATE, encoding="utf-8")
    given = {name: value for name, value in variables.items() if name.startswith("CHAPAR_OUTGOING")}
    done = CliRunner().invoke(app, ["config", "lint", str(file)], env={"CHAPAR_OUTGOING_ALLOW": None, **given})
    return [line for line in done.output.splitlines() if "the operator must allow it" in line or "without TLS" in line]


@pytest.mark.parametrize("service", SETTINGS)
def test_each_service_that_sends_has_the_list(render: Render, service: str) -> None:
    """Only services that send to tenants' addresses get the variable: an unknown setting would stop a service."""
    variables = _component(render({**HOOK, "outgoingAllow": ALLOWED}), service)
    loaded = SETTINGS[service].load(env=variables)
    if service in SENDERS:
        assert isinstance(loaded, OutgoingSettings)
        assert loaded.destinations == destinations(ALLOWED, development=False)
    else:
        assert "OUTGOING_ALLOW" not in str(variables)


@pytest.mark.parametrize("component", ["apply", "toolbox"])
def test_lint_accepts_what_the_services_may_reach(render: Render, tmp_path: Path, component: str) -> None:
    """With the rendered environment of the hook and of the toolbox, lint accepts the file; without the value it refuses the file."""
    assert _refused(tmp_path, _component(render({**HOOK, "outgoingAllow": ALLOWED}), component)) == []
    assert len(_refused(tmp_path, _component(render(HOOK), component))) >= 2


def test_without_the_value_nothing_is_allowed(render: Render) -> None:
    """No variable is set, so the services' own default holds."""
    assert "OUTGOING_ALLOW" not in str(render(HOOK))


@pytest.mark.parametrize("service", sorted(SENDERS))
def test_one_service_alone_cannot_be_allowed_more(render: Render, service: str) -> None:
    """The hook would not see the setting of one service and would refuse destinations that the service accepts."""
    with pytest.raises(AssertionError, match="write outgoingAllow instead"):
        render({service: {"settings": {"OUTGOING_ALLOW": "10.9.0.0/16"}}})


def test_compose_passes_the_lists_on(tmp_path: Path) -> None:
    """The lists pass from the shell to the three services and to the container that applies the configuration; default: empty."""
    given = {f"CHAPAR_{name.upper()}_OUTGOING_ALLOW": ",".join(ALLOWED) for name in SENDERS}
    services = composed({**given, "CHAPAR_OUTGOING_ALLOW": ",".join(ALLOWED)})["services"]
    bare = composed({})["services"]
    for name in SENDERS:
        for found, wanted in ((services, ALLOWED), (bare, [])):
            loaded = SETTINGS[name].load(env=found[name]["environment"])
            assert isinstance(loaded, OutgoingSettings)
            assert loaded.destinations == destinations(wanted, development=False)
    assert _refused(tmp_path, services["apply"]["environment"]) == []
    assert len(_refused(tmp_path, bare["apply"]["environment"])) >= 2
