"""The metrics of a real broker, by the exporter and the ConfigMap that the Strimzi manifests use."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Final

import httpx
from ruamel.yaml import YAML

from services.cli.local.broker.cache import Cache
from services.cli.local.broker.fetch import Fetcher
from services.cli.local.broker.jvm import Jvm
from services.cli.local.broker.lock import Jar
from services.cli.local.broker.ports import free_port
from services.cli.local.broker.server import BrokerServer
from services.cli.local.broker.settings import BrokerSettings
from tests.alerts.exposition import recorded
from tests.alerts.shipped import ROOT

MANIFEST: Final = ROOT / "deploy/strimzi/metrics.yaml"
EXPORTER: Final = Jar(
    path="io/prometheus/jmx/jmx_prometheus_javaagent/1.0.1/jmx_prometheus_javaagent-1.0.1.jar",
    size=2_886_599,
    sha256="7d61f737fd661610ccc14aea79764faa1ea94a340cbc8f0029b3d2edea3d80c1",
)
"""The exporter as a Java agent. Strimzi's images contain it."""
IDLE: Final = "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_ratio"
_IDLE: Final = 0.5
_SETTLED_S: Final = 30.0


def exporter_configuration() -> str:
    """Return the exporter's configuration from the ConfigMap."""
    documents = YAML(typ="safe").load_all(MANIFEST.read_text(encoding="utf-8"))
    found: str = next(each["data"]["kafka-metrics.yaml"] for each in documents if each["kind"] == "ConfigMap")
    return found


@dataclasses.dataclass(frozen=True)
class _JvmWithAgent(Jvm):
    agent: str = ""

    def command(self, main: str, *arguments: str, scratch: Path, record: Path | None = None) -> list[str]:
        """Return the command with the agent; tools of the broker run without it."""
        java, *rest = super().command(main, *arguments, scratch=scratch, record=None)
        return [java, *([f"-javaagent:{self.agent}"] if main == "kafka.Kafka" else []), *rest]


class _Broker(BrokerServer):
    def __init__(self, settings: BrokerSettings, agent: str) -> None:
        super().__init__(settings)
        self._agent = agent

    def fetch(self) -> Jvm:
        """Find or download everything that a start needs, the exporter too."""
        jvm = super().fetch()
        cache = Cache(self.settings.cache)
        if not cache.has(EXPORTER):
            Fetcher(cache, self.settings.maven_url).fetch([EXPORTER])
        agent = self._agent.format(jar=cache.path_of(EXPORTER))
        return _JvmWithAgent(**{each.name: getattr(jvm, each.name) for each in dataclasses.fields(jvm)}, agent=agent)


async def record_broker(directory: Path) -> str:
    """Run a broker for some seconds. Returns the exposition of its exporter."""
    directory.mkdir(parents=True)  # noqa: ASYNC240 - once, before anything runs
    configuration = directory / "exporter.yaml"
    configuration.write_text(exporter_configuration(), encoding="utf-8")
    port = free_port()
    broker = _Broker(BrokerSettings(home=directory), f"{{jar}}=127.0.0.1:{port}:{configuration}")
    await asyncio.to_thread(broker.start)
    try:
        async with httpx.AsyncClient(timeout=10) as client, asyncio.timeout(_SETTLED_S):
            while True:
                text = (await client.get(f"http://127.0.0.1:{port}/metrics")).raise_for_status().text
                # The share of the last minute begins at 0: a broker is idle as soon as it was measured once.
                if any(name == IDLE and value > _IDLE for (name, _), value in recorded(text).items()):
                    return text
                await asyncio.sleep(0.5)  # polling: the exporter is asked
    finally:
        await asyncio.to_thread(broker.stop)
