"""Tenants take turns in reading history: whichever read one tenant floods, another tenant's read is among the next."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chapar.audit.v1 import audit_pb2
from chapar.ingest.v1 import ingest_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.history.audit_reader import AuditReader
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.fair_reads import AT_A_TIME, MOST_WAITING, FairReads
from services.ingest.adapters.history.reader import HistoryReader
from services.ingest.domain.reach import Reach
from tests.contract.history.records import as_records, whole_life
from tests.contract.history.test_rows import fold

Read = Callable[[HistoryReader, AuditReader, str], Awaitable[Any]]


async def changed(_: float) -> None:
    """Report a change at once."""
    await asyncio.sleep(0)


async def watched(history: HistoryReader, tenant: str) -> Any:
    """Run a watch that ends with its first read, because the conversation does not exist."""
    return [each async for each in history.watch(lambda: Reach.whole(tenant), "c", 0)]


READS: dict[str, Read] = {
    "GetPerson": lambda history, _, tenant: history.identities(tenant, "p"),
    "SuggestIdentities": lambda history, _, tenant: history.same_addresses(tenant, "p", 10),
    "GetDelivery": lambda history, _, tenant: history.delivery(tenant, "d"),
    "ErasePerson": lambda history, _, tenant: history.traces(tenant, "p", ["i"]),
    "the owner of a conversation": lambda history, _, tenant: history.owner(tenant, "c"),
    "web chat, what is new": lambda history, _, tenant: history.after(tenant, "c", 0, 10),
    "web chat, a return": lambda history, _, tenant: history.newest(tenant, "i", "webchat", 10),
    "ListAudit": lambda _, audit, tenant: audit.list(tenant, audit_pb2.ListAuditRequest()),
    "WatchConversation": lambda history, _, tenant: watched(history, tenant),
    "SearchConversations": lambda history, _, tenant: history.search(
        Reach.whole(tenant), ingest_pb2.SearchConversationsRequest(words="x")
    ),
    "ListInteractions": lambda history, _, tenant: history.interactions(
        Reach.whole(tenant), ingest_pb2.ListInteractionsRequest()
    ),
}


@pytest.mark.parametrize("kind", READS)
async def test_a_tenant_that_floods_one_read_delays_no_other_tenant(database: Database, kind: str) -> None:
    """One tenant starts 200 reads at once; the other's read overtakes nearly all of them."""
    reads = FairReads(database, at_a_time=2)
    history, audit = HistoryReader(reads, changed), AuditReader(reads)
    ended: list[str] = []

    async def one(tenant: str, read: Read) -> None:
        try:
            await read(history, audit, tenant)
        except ChaparError as error:
            assert error.kind is ErrorKind.NOT_FOUND  # noqa: PT017 - some reads are for ids that are not known
        ended.append(tenant)

    flood = [asyncio.create_task(one("flood", READS[kind])) for _ in range(200)]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await one("quiet", READS["GetDelivery"])
    assert len(ended) < 20
    await asyncio.gather(*flood)
    assert len(ended) == 201


async def test_a_tenant_beyond_its_waiting_reads_is_told_when_to_come_back(database: Database) -> None:
    """And the database is not reported as unavailable: other tenants continue to read."""
    reader = HistoryReader(FairReads(database, at_a_time=1, most_waiting=10), changed)
    flood = [asyncio.create_task(reader.identities("flood", "p")) for _ in range(50)]
    quiet = asyncio.create_task(reader.identities("quiet", "p"))
    invitations = await asyncio.gather(*flood, return_exceptions=True)
    refused = [answer for answer in invitations if isinstance(answer, BaseException)]
    assert len(refused) == 50 - 11
    for error in refused:
        assert isinstance(error, ChaparError)
        assert (error.kind, error.reason, error.retry_after_s) == (ErrorKind.EXHAUSTED, "TENANT_READS", 1.0)
    assert await quiet == []


async def test_a_running_watch_survives_its_tenants_flood(database: Database) -> None:
    """It polls again later; a watch that begins during the flood is refused."""
    await fold(database, as_records(whole_life().log))
    reads = FairReads(database, at_a_time=1, most_waiting=1)
    looked, again = asyncio.Queue[None](), asyncio.Semaphore(0)

    async def next_look(_: float) -> None:
        looked.put_nowait(None)
        await again.acquire()

    reader, beyond = HistoryReader(reads, next_look), 10**12
    watch = asyncio.ensure_future(anext(reader.watch(lambda: Reach.whole("acme"), "one-c", beyond)))
    async with asyncio.timeout(20):
        await looked.get()
        async with reads._turns.turn("acme"):
            waiting = asyncio.create_task(reader.owner("acme", "one-c"))
            await asyncio.sleep(0)
            for _ in range(3):
                again.release()
                await looked.get()
            assert not watch.done()
            with pytest.raises(ChaparError, match="too many reads"):
                await anext(reader.watch(lambda: Reach.whole("acme"), "one-c", beyond))
        await waiting
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


def test_the_pool_has_room_for_all_reads_and_the_projection() -> None:
    """A turn never waits for a connection: the default pool of 5 grows to 15, and projection and retention use one each."""
    assert AT_A_TIME <= 15 - 4
    assert MOST_WAITING >= AT_A_TIME
