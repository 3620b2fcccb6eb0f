"""Quotas of tenants before the log, with a publisher that is as slow as the test needs."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence

import pytest

from chapar.ingest.v1 import records_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.pacing import Rate
from services.ingest.adapters.edges.tenant_quota import (
    UNIT_BYTES,
    FairPublisher,
    QuotaSettings,
    TenantQuota,
    ways_in,
)
from services.ingest.ports import Publisher


class SlowLog:
    """Publishes one call at a time, when the test acknowledges it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, asyncio.Event]] = []
        self.taken: Counter[str] = Counter()

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        acknowledged = asyncio.Event()
        self.waiting.append((records[0][1].tenant, acknowledged))
        await acknowledged.wait()
        self.taken[records[0][1].tenant] += len(records)

    async def acknowledge(self) -> None:
        """Make the oldest publish in flight durable."""
        self.waiting.pop(0)[1].set()
        for _ in range(5):
            await asyncio.sleep(0)


_customers = itertools.count()


def record(tenant: str, text: str = "") -> tuple[str, records_pb2.InboundRecord]:
    """Of a new customer."""
    message = records_pb2.CustomerMessage(text=text)
    return f"customer-{next(_customers)}", records_pb2.InboundRecord(tenant=tenant, message=message)


def publisher(log: SlowLog, pace: Rate | None = None, *, wait_s: float = 2, on_the_way: int = 2) -> FairPublisher:
    settings = QuotaSettings(pace or Rate(0, 1), wait_s=wait_s, on_the_way=on_the_way)
    return FairPublisher(log, TenantQuota(settings))


async def begun(publisher_: Publisher, tenant: str, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(publisher_.publish([record(tenant)])) for _ in range(count)]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_quiet_tenant_overtakes_a_flood_that_waits() -> None:
    """With two places to the broker, its message is among the next two."""
    log = SlowLog()
    fair = publisher(log)
    flood = await begun(fair, "flood", 100)
    assert [tenant for tenant, _ in log.waiting] == ["flood", "flood"]
    quiet = await begun(fair, "quiet", 1)
    await log.acknowledge()
    await log.acknowledge()
    assert "quiet" in [tenant for tenant, _ in log.waiting]
    await ended(flood + quiet)


async def test_a_flood_alone_gets_everything() -> None:
    """Free places are always used."""
    log = SlowLog()
    flood = await begun(publisher(log), "flood", 20)
    for _ in range(20):
        assert log.waiting
        await log.acknowledge()
    assert log.taken == {"flood": 20}
    await ended(flood)


async def test_cancelled_callers_give_back_their_places() -> None:
    """Whether they wait, are in flight, or were just admitted."""
    log = SlowLog()
    fair = publisher(log)
    flood = await begun(fair, "flood", 50)
    await ended(flood)
    quiet = await begun(fair, "quiet", 2)
    assert [tenant for tenant, _ in log.waiting[-2:]] == ["quiet", "quiet"]
    await ended(quiet)
    again = await begun(fair, "again", 2)
    assert [tenant for tenant, _ in log.waiting[-2:]] == ["again", "again"]
    await ended(again)


async def test_beyond_the_wait_a_tenant_is_refused_and_others_are_not() -> None:
    """With a time after which it may try again."""
    log = SlowLog()
    fair = publisher(log, Rate(per_s=10, burst=3), wait_s=0.0)
    tasks = await begun(fair, "flood", 10)
    refused = [task.exception() for task in tasks if task.done()]
    assert len(refused) >= 6
    for error in refused:
        assert isinstance(error, ChaparError)
        assert (error.kind, error.reason) == (ErrorKind.EXHAUSTED, "TENANT_RATE")
        assert error.retry_after_s is not None
    quiet = await begun(fair, "quiet", 1)
    assert not quiet[0].done()
    await ended(tasks + quiet)


async def test_a_large_message_costs_as_much_as_many_small_ones() -> None:
    """Bytes are shared too."""
    log = SlowLog()
    fair = publisher(log, Rate(per_s=1, burst=31), wait_s=0.0, on_the_way=100)
    large = [asyncio.create_task(fair.publish([record("acme", "x" * (40 * UNIT_BYTES))]))]
    small = [*await begun(fair, "acme", 40), *await begun(fair, "other", 40)]
    let_in = [sum(not task.done() for task in tasks) for tasks in (small[:40], small[40:])]
    assert let_in[1] - let_in[0] == pytest.approx(9, abs=1)
    await ended(large + small)


async def test_too_many_that_wait_are_refused() -> None:
    """Also when a tenant has no rate limit: memory is bounded."""
    log = SlowLog()
    flood = await begun(publisher(log, on_the_way=1), "flood", 400)
    refused = [task for task in flood if task.done()]
    assert len(refused) == 400 - 1 - 256
    await ended(flood)


@pytest.mark.parametrize(("flooded", "other"), [("callers", "customers"), ("customers", "callers")])
async def test_customers_and_callers_of_a_tenant_do_not_use_up_each_others_quota(flooded: str, other: str) -> None:
    """Many sends refuse no customer, a flood of customers refuses no agent, and erasures are always accepted."""
    log = SlowLog()
    ways = ways_in(log, QuotaSettings(Rate(per_s=1, burst=3), wait_s=0.0, on_the_way=100))
    flood = await begun(getattr(ways, flooded), "acme", 20)
    assert sum(task.done() for task in flood) >= 16
    rest = [*await begun(getattr(ways, other), "acme", 3), *await begun(ways.erasures, "acme", 100)]
    assert not any(task.done() for task in rest)
    while log.waiting:
        await log.acknowledge()
    assert log.taken["acme"] >= 103 + 3
    await asyncio.gather(*rest)
    for task in flood:
        assert task.done()
        task.exception()
