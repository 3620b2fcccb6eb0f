"""The audit trail of one service, written to Kafka: what a composition root hands to its gRPC server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.chassis.audit import AuditTrail
from services.chassis.kafka.producer import DurableProducer
from services.chassis.lifecycle import Service


@asynccontextmanager
async def audit_trail(service: Service[Any]) -> AsyncIterator[AuditTrail]:
    """A trail with a producer of its own, so that a flood of messages does not hold up the audit."""
    producer = DurableProducer(
        service.settings.kafka, client_id=f"{service.name}-audit@{service.settings.instance}", timeout=2.0
    )
    async with producer:
        yield AuditTrail(service.name, producer, service.clock, service.metrics)
