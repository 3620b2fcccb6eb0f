"""Events for watchers: the number of waiting events is bounded, and no watcher delays the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.errors import ChaparError
from services.chassis.kafka.poison import Poison
from services.chassis.metrics import Metrics
from services.sla.adapters.broadcast import Broadcast
from services.sla.metrics import METRICS


def everything(_event: sla.SlaEvent) -> bool:
    return True


async def collect(events: AsyncIterator[sla.SlaEvent], seen: list[sla.SlaEvent]) -> None:
    async for event in events:
        seen.append(event)  # noqa: PERF401 - what was seen before the error counts


async def test_a_slow_watcher_gets_an_error_and_the_others_continue() -> None:
    """1,000 events may wait; with the next one, the slow watcher gets the waiting events and then its error."""
    broadcast = Broadcast(Poison("watchers", Metrics(METRICS)))
    async with aclosing(broadcast.watch(everything)) as slow, aclosing(broadcast.watch(everything)) as quick:
        waiting = asyncio.ensure_future(anext(slow)), asyncio.ensure_future(anext(quick))
        await asyncio.sleep(0)
        for number in range(1_002):
            broadcast.publish(sla.SlaEvent(event_id=str(number)))
            if number:
                assert (await anext(quick)).event_id == str(number)
            else:
                assert (await waiting[1]).event_id == "0"
        seen = [await waiting[0]]
        with pytest.raises(ChaparError) as refused:
            await collect(slow, seen)
        assert refused.value.reason == "WATCHER_TOO_SLOW"
        assert len(seen) == 1 + 1_000, "the one that it had received, and the waiting ones"


async def test_a_replica_that_stops_ends_the_streams_of_its_watchers() -> None:
    broadcast = Broadcast(Poison("watchers", Metrics(METRICS)))
    async with aclosing(broadcast.watch(everything)) as events:
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        broadcast.close()
        with pytest.raises(ChaparError) as refused:
            await waiting
    assert refused.value.reason == "DRAINING"
