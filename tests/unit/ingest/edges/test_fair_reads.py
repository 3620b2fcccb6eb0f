"""Reads of the history in turn, over a history that answers when the test wants."""

from __future__ import annotations

import asyncio
from typing import Any

from chapar.ingest.v1 import ingest_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.edges.fair_reads import FairReads
from services.ingest.domain.reach import Reach


class SlowHistory:
    """Each read waits until it is let go."""

    def __init__(self) -> None:
        self.reading: list[tuple[str, asyncio.Event]] = []

    async def search(self, reach: Reach, request: Any) -> ingest_pb2.SearchConversationsResponse:
        done = asyncio.Event()
        self.reading.append((reach.tenant, done))
        await done.wait()
        return ingest_pb2.SearchConversationsResponse()


async def begun(reads: FairReads, tenant: str, count: int) -> list[asyncio.Task[Any]]:
    request = ingest_pb2.SearchConversationsRequest(words="x")
    tasks = [asyncio.create_task(reads.search(Reach(tenant), request)) for _ in range(count)]
    for _ in range(6):
        await asyncio.sleep(0)
    return tasks


async def test_a_search_of_a_quiet_tenant_overtakes_a_flood() -> None:
    """It is among the next two reads, and the flood that waits too long is refused with a time to come back."""
    history = SlowHistory()
    reads = FairReads(history, at_a_time=2, most_waiting=10)  # type: ignore[arg-type]  # searches only
    flood = await begun(reads, "flood", 20)
    refused = [task.exception() for task in flood if task.done()]
    assert len(refused) == 8
    for error in refused:
        assert isinstance(error, ChaparError)
        assert (error.kind, error.reason, error.retry_after_s) == (ErrorKind.EXHAUSTED, "TENANT_READS", 1.0)
    quiet = await begun(reads, "quiet", 1)
    for _ in range(2):
        history.reading.pop(0)[1].set()
        for _ in range(6):
            await asyncio.sleep(0)
    assert "quiet" in [tenant for tenant, _ in history.reading]
    for task in (*flood, *quiet):
        task.cancel()
    await asyncio.gather(*flood, *quiet, return_exceptions=True)
