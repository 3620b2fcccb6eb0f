"""Quotas of tenants before inbound.v1: how much each may let in, and whose turn it is when many want in at once.

Two things stand before the log. A tenant's pace, with a short wait beyond its burst, keeps one tenant from filling the
partitions of inbound.v1 faster than the intake lanes read them, where others would wait behind it. Its customers share
that pace: one of them who writes too much is refused before the others are. Then a bounded number
of messages is on the way to the broker at a time; when that is used up, tenants take turns. A large message costs as
much as several small ones, which also bounds the bytes that wait.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chapar.ingest.v1 import records_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.pacing import Pace
from services.ingest.adapters.edges.turns import TooManyWaiting, Turns
from services.ingest.domain.shared_pace import SharedPace
from services.ingest.ports import Publisher

UNIT_BYTES = 8 << 10
"""A message costs one unit, and one more for each of these."""
_ON_THE_WAY = 256
_MOST_WAITING = 256


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """`pace` in units a second of a tenant of weight 1; `wait_s`: how long a message may wait for its turn."""

    pace: Pace
    wait_s: float = 2.0
    weights: Mapping[str, float] = field(default_factory=dict)
    on_the_way: int = _ON_THE_WAY


class TenantQuota:
    """Turns of one way in. That of customers is one for all their edges: webhooks, SMTP, web chat and Submit."""

    def __init__(self, settings: QuotaSettings, now_s: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._now_s = now_s
        self._pace = SharedPace(settings.pace, settings.wait_s, settings.weights)
        self._turns = Turns(settings.on_the_way, _MOST_WAITING, settings.weights)

    @asynccontextmanager
    async def turn(self, tenant: str, customer: str, messages: int, size_bytes: int) -> AsyncIterator[None]:
        """Waits for the tenant's turn; the messages are on the way during the block. Raises EXHAUSTED TENANT_RATE."""
        units = self._pace.cost(tenant, messages, size_bytes / UNIT_BYTES)
        turn = self._pace.take(tenant, customer, units, self._now_s())
        if turn.refused:
            raise _too_much(turn.wait_s)
        if turn.wait_s > 0:
            await asyncio.sleep(turn.wait_s)
        try:
            async with self._turns.turn(tenant, units):
                yield
        except TooManyWaiting as error:
            raise _too_much(self._settings.wait_s) from error


class FairPublisher:
    """`ports.Publisher` with the tenants' quotas before it. The records of one call belong to one tenant."""

    def __init__(self, publisher: Publisher, quota: TenantQuota) -> None:
        self._publisher = publisher
        self._quota = quota

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        """As the port says. Raises EXHAUSTED TENANT_RATE too; then none was sent."""
        if not records:
            return
        size = sum(record.ByteSize() for _, record in records)
        customer, first = records[0]
        async with self._quota.turn(first.tenant, customer, len(records), size):
            await self._publisher.publish(records)


@dataclass(frozen=True, slots=True)
class WaysIn:
    """Ways to the log with separate quotas: for what customers write, for callers' requests (sends, links, follow-ups), for erasures."""

    customers: Publisher
    callers: Publisher
    erasures: Publisher


def ways_in(publisher: Publisher, settings: QuotaSettings) -> WaysIn:
    """A quota each for customers and callers, of the same size. Erasures have none: they are few, and must not wait for a flood."""
    return WaysIn(
        FairPublisher(publisher, TenantQuota(settings)), FairPublisher(publisher, TenantQuota(settings)), publisher
    )


def _too_much(wait_s: float) -> ChaparError:
    return ChaparError(
        ErrorKind.EXHAUSTED,
        "TENANT_RATE",
        "this tenant sends more than its quota: send later, or have the quota raised",
        retry_after_s=max(1.0, wait_s),
    )
