"""Quotas of tenants before inbound.v1: how much each may publish, and whose turn it is when many publish at once.

There are two limits. First, a tenant's rate, with a short wait beyond its burst: one tenant can't fill the partitions
of inbound.v1 faster than the intake lanes read them, so that other tenants would wait. The customers of a tenant share
its rate: a customer who writes too much is refused before the others are. Second, a bounded number of messages may be
in flight to the broker; when that is reached, tenants take turns. A large message costs as much as several small ones,
which also bounds the bytes that wait.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chapar.ingest.v1 import records_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.pacing import Rate
from services.ingest.adapters.edges.turns import TooManyWaiting, Turns
from services.ingest.domain.reasons import Reason
from services.ingest.domain.shared_pace import SharedPace
from services.ingest.ports import Publisher

UNIT_BYTES = 8 << 10
"""A message costs one unit, plus one for each of these."""
_ON_THE_WAY = 256
_MOST_WAITING = 256


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """`pace`: units per second for a tenant of weight 1. `wait_s`: how long a message may wait for its turn."""

    pace: Rate
    wait_s: float = 2.0
    weights: Mapping[str, float] = field(default_factory=dict)
    on_the_way: int = _ON_THE_WAY


class TenantQuota:
    """The turns of one way into the log. All edges for customers share one: webhooks, SMTP, web chat and Submit."""

    def __init__(self, settings: QuotaSettings, now_s: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._now_s = now_s
        self._pace = SharedPace(settings.pace, settings.wait_s, settings.weights)
        self._turns = Turns(settings.on_the_way, _MOST_WAITING, settings.weights)

    async def enter(self, tenant: str, customer: str, messages: int, size_bytes: int) -> None:
        """Wait for the tenant's turn; the messages are in flight until `leave`. Raises EXHAUSTED TENANT_RATE."""
        units = self._pace.cost(tenant, messages, size_bytes / UNIT_BYTES)
        turn = self._pace.take(tenant, customer, units, self._now_s())
        if turn.refused:
            raise _too_much(turn.wait_s)
        if turn.wait_s > 0:
            await asyncio.sleep(turn.wait_s)
        try:
            await self._turns.enter(tenant, units)
        except TooManyWaiting as error:
            raise _too_much(self._settings.wait_s) from error

    async def hold(self) -> None:
        """Wait as long as `enter` lets a caller wait at most."""
        await asyncio.sleep(self._settings.wait_s)

    def leave(self) -> None:
        """End a turn that `enter` began."""
        self._turns.leave()


class FairPublisher:
    """A `ports.Publisher` that applies the tenants' quotas first. The records of one call belong to one tenant."""

    def __init__(self, publisher: Publisher, quota: TenantQuota) -> None:
        self._publisher = publisher
        self._quota = quota

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        """See `ports.Publisher.publish`. Also raises EXHAUSTED TENANT_RATE; then none was sent."""
        if not records:
            return
        size = sum(record.ByteSize() for _, record in records)
        customer, first = records[0]
        await self._quota.enter(first.tenant, customer, len(records), size)
        try:
            await self._publisher.publish(records)
        finally:
            self._quota.leave()


class PatientPublisher:
    """A `ports.Publisher` for providers, which slow down a whole account when they get an error: it never refuses for the quota.

    Records beyond the quota are held as long as a caller would wait at most, and then published: so a flood is as fast as the
    provider's connections allow, each held for this time.
    """

    def __init__(self, publisher: Publisher, quota: TenantQuota, beyond: Callable[[str], None]) -> None:
        """`beyond`: called with the tenant for each call beyond the quota."""
        self._publisher = publisher
        self._quota = quota
        self._beyond = beyond

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        """See `ports.Publisher.publish`."""
        if not records:
            return
        size = sum(record.ByteSize() for _, record in records)
        customer, first = records[0]
        try:
            await self._quota.enter(first.tenant, customer, len(records), size)
        except ChaparError:
            self._beyond(first.tenant)
            await self._quota.hold()
            await self._publisher.publish(records)
            return
        try:
            await self._publisher.publish(records)
        finally:
            self._quota.leave()


@dataclass(frozen=True, slots=True)
class WaysIn:
    """Publishers with separate quotas: for customers' messages, for providers' calls (same quota, never refused), for callers'
    requests (sends, links, follow-ups), for erasures."""

    customers: Publisher
    providers: Publisher
    callers: Publisher
    erasures: Publisher


def _uncounted(_tenant: str) -> None:
    """Count nothing."""


def ways_in(publisher: Publisher, settings: QuotaSettings, beyond: Callable[[str], None] = _uncounted) -> WaysIn:
    """Return publishers with one quota each for customers and callers, of the same size. `beyond`: called with the tenant for
    each call of a provider beyond the quota.

    Erasures have no quota: they are few, and must not wait behind a flood.
    """
    customers = TenantQuota(settings)
    return WaysIn(
        FairPublisher(publisher, customers),
        PatientPublisher(publisher, customers, beyond),
        FairPublisher(publisher, TenantQuota(settings)),
        publisher,
    )


def _too_much(wait_s: float) -> ChaparError:
    return ChaparError(
        ErrorKind.EXHAUSTED,
        Reason.TENANT_RATE,
        "this tenant sends more than its quota; send later, or ask for a higher quota",
        retry_after_s=max(1.0, wait_s),
    )
