"""The broker's own image takes its settings as the image does whose name it has, and the provider finds its ports."""

import runpy
from collections.abc import Callable, Mapping
from pathlib import Path

from services.cli.local.broker.properties import TEMPLATE
from tests.fixtures.broker_in_docker import Listeners, environment
from tests.image.broker_suite import PLACE

properties: Callable[[Mapping[str, str]], str] = runpy.run_path(str(PLACE / "start.py"))["properties"]


def _read(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_every_setting_of_the_embedded_broker_arrives() -> None:
    """The properties are those of deploy/kafka/server.properties; the image chooses the directory of its data."""
    found = _read(properties({**environment("127.0.0.1:1"), "PATH": "/bin"}))
    template = _read("\n".join(line for line in TEMPLATE.read_text().splitlines() if line and not line.startswith("#")))
    assert found.keys() == template.keys()
    assert Path(found["log.dirs"]).name == "data"
    assert "path" not in found


def test_a_container_on_the_hosts_network_listens_on_free_ports() -> None:
    """All three differ, and everything is on loopback: the host's network is the machine's own."""
    values = environment("127.0.0.1:19999", Listeners.on_host(19999))
    listeners = [each.split("://")[1] for each in values["KAFKA_LISTENERS"].split(",")]
    assert len(set(listeners)) == 3
    assert {each.partition(":")[0] for each in listeners} == {"127.0.0.1"}
    assert "127.0.0.1:19999" in listeners
    assert values["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"1@{listeners[2]}"
