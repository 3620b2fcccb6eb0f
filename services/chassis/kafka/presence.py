"""Whether Kafka is available for this service: one part of its readiness, which does not depend on traffic.

Checked as long as the process runs: does the cluster answer within a bounded time, and does it have the topics of this
service. A start waits for both (`first`). A cluster that is away makes a service not ready after a short delay, and never
ends the service: a restart does not bring a cluster back. The same connection measures open transactions.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.protocol.metadata import MetadataRequest

from services.chassis.health import Component
from services.chassis.kafka.clients import BrokerError, admin_client
from services.chassis.kafka.open_transactions import OpenTransactions
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lifecycle import Service
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.settings import ServiceSettings

COMPONENT: Final = "kafka"
_EVERY_S: Final = 2.0
_RETRY_S: Final = 0.5
_ANSWER_S: Final = 5.0
_PATIENCE_S: Final = 10.0
log = get_logger(__name__)


class KafkaPresence:
    """Checks Kafka; see the module. `topics` are logical names."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: Iterable[str],
        component: Component,
        metrics: Metrics,
        *,
        client_id: str,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """`patience_s`: how long a cluster that was available may be silent before the service is not ready."""
        self._kafka = kafka
        self._topics = {kafka.topic_prefix + topic: topic for topic in topics}
        self._component = component
        self._reachable = metrics.gauge("chapar_kafka_reachable").labels()
        self._open = OpenTransactions(self._topics, metrics)
        self._client_id = client_id
        self._patience_s = patience_s
        self._seen_at: float | None = None
        self._there = asyncio.Event()
        self._said = ""
        component.set(False, self._waiting)

    async def first(self) -> None:
        """Return when Kafka has answered and has the topics. Waits without a limit."""
        await self._there.wait()

    async def run(self) -> None:
        """Check for ever."""
        while True:
            try:
                async with admin_client(self._kafka, client_id=self._client_id) as admin:
                    while True:
                        await self._look(admin)
                        await asyncio.sleep(_EVERY_S if self._component.ready else _RETRY_S)
            except (BrokerError, OSError, TimeoutError) as error:
                self._away(error)
            await asyncio.sleep(_RETRY_S)

    @property
    def _waiting(self) -> str:
        return f"waiting for Kafka at {self._kafka.bootstrap_servers}"

    async def _look(self, admin: Any) -> None:
        request = MetadataRequest(list(self._topics), allow_auto_topic_creation=False)
        async with asyncio.timeout(_ANSWER_S):
            answer = (await admin._send_request(request)).to_object()
        found = {each["topic"] for each in answer["topics"] if not each["error_code"] and each["partitions"]}
        missing = sorted(topic for name, topic in self._topics.items() if name not in found)
        self._seen_at = time.monotonic()
        self._reachable.set(0 if missing else 1)
        if missing:
            self._say(f"waiting for topics {', '.join(missing)}: has `chapar topics apply` run?")
            return
        if self._said:
            self._said = ""
            log.info("Kafka is available")
        self._component.set(True)
        self._there.set()
        async with asyncio.timeout(_ANSWER_S):
            await self._open.look(admin, answer)

    def _away(self, error: Exception) -> None:
        if self._seen_at is not None and time.monotonic() - self._seen_at < self._patience_s:
            return
        self._reachable.set(0)
        self._say(self._waiting, error=type(error).__name__)

    def _say(self, reason: str, **details: str) -> None:
        if reason != self._said:
            self._said = reason
            log.warning("not ready", waiting_for=reason, **details)
        self._component.set(False, reason)


@asynccontextmanager
async def kafka_presence(service: Service[Any], topics: Iterable[str]) -> AsyncIterator[KafkaPresence]:
    """Check the service's cluster for the time of the block."""
    settings: ServiceSettings = service.settings
    presence = KafkaPresence(
        settings.kafka,
        topics,
        service.health.component(COMPONENT),
        service.metrics,
        client_id=f"{service.name}-presence@{settings.instance}",
    )
    async with service.background(presence.run(), "Kafka's presence"):
        yield presence
