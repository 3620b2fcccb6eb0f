"""The audit trail of one service, written to Kafka. A composition root passes it to its gRPC server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from services.chassis.audit import AuditTrail
from services.chassis.audit_refusals import WINDOW_MS
from services.chassis.kafka.producer import DurableProducer
from services.chassis.lifecycle import Service

_LOOK_S: Final = WINDOW_MS / 1000 / 4


@asynccontextmanager
async def audit_trail(service: Service[Any]) -> AsyncIterator[AuditTrail]:
    """Provide a trail with its own producer, so that a flood of messages does not delay the audit."""
    producer = DurableProducer(
        service.settings.kafka, client_id=f"{service.name}-audit@{service.settings.instance}", timeout=2.0
    )
    async with producer:
        trail = AuditTrail(service.name, producer, service.clock, service.metrics)
        async with service.background(_record_refusals(trail), "audit of refusals"):
            yield trail
        await trail.record_refusals(all_windows=True)


async def _record_refusals(trail: AuditTrail) -> None:
    while True:
        await asyncio.sleep(_LOOK_S)
        await trail.record_refusals()
