"""The configuration that the Docker provider passes to its image, checked on a real broker where no Docker engine is available.

The image turns each KAFKA_A_B into the property a.b; this test does the same, and replaces the ports by free ones.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.local.broker.ports import free_port
from services.cli.local.broker.properties import TEMPLATE
from services.cli.local.broker.server import BrokerServer
from services.cli.local.broker.settings import BrokerSettings
from tests.fixtures.broker import plain_settings
from tests.fixtures.broker_in_docker import environment
from tests.integration.broker.test_broker_suite import producer_of, read, topic


def properties_of(variables: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in variables.items()}


def test_it_differs_from_the_embedded_brokers_in_listeners_alone() -> None:
    """Both behave alike: the image gets every other setting of the template."""
    embedded = dict(
        line.split("=", 1) for line in TEMPLATE.read_text().splitlines() if line and not line.startswith("#")
    )
    image = properties_of(environment("host:1"))

    differing = {key for key in embedded.keys() | image.keys() if embedded.get(key) != image.get(key)}
    assert differing == {
        "advertised.listeners",
        "controller.quorum.voters",  # its port
        "inter.broker.listener.name",
        "listener.security.protocol.map",
        "listeners",
        "log.dirs",  # the image's own
    }


@pytest.mark.kafka
@pytest.mark.slow
async def test_transactions_work_with_it(tmp_path: Path, prefix: str) -> None:
    """The broker reaches itself by its internal listener: it sends a transaction's markers over the network, even to itself."""
    values = properties_of(environment("127.0.0.1:${port}")) | {"log.dirs": "${data}"}
    text = "\n".join(f"{key}={value}" for key, value in values.items())
    for fixed, free in (
        ("0.0.0.0:9092", "127.0.0.1:${port}"),
        (":9093", ":${controller_port}"),
        (":9094", f":{free_port()}"),
    ):
        assert fixed in text
        text = text.replace(fixed, free)
    template = tmp_path / "server.properties"
    template.write_text(text)
    server = BrokerServer(BrokerSettings(home=tmp_path / "home", kafka_port=None), template=template)
    running, _ = server.start(tethered=True)
    try:
        settings = plain_settings(running.bootstrap, prefix)
        async with topic(settings, "marked") as name:
            async with producer_of(settings, "writer") as producer, producer.transaction():
                await producer.send_and_wait(name, b"committed")
            assert await read(settings, name, "read_committed") == [b"committed"]
    finally:
        server.reset()
