"""The controller of the garbage collector: pools are not visited while they live, and are freed when they are lost."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from services.chassis.kafka.heap import Heap


class Pool:
    """A state with a reference cycle, as in engines."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def own_collector() -> Iterator[None]:
    """Nothing is frozen, and only the object under test collects."""
    gc.collect()
    yield
    gc.unfreeze()
    gc.enable()


async def test_the_collector_is_off_while_any_partition_restores() -> None:
    heap = Heap()
    with heap.ownership() as first, heap.ownership() as second:
        assert not gc.isenabled()
        second.live()
        assert not gc.isenabled(), "the first still restores"
        first.live()
        assert gc.isenabled()


async def test_a_live_pool_is_frozen() -> None:
    heap = Heap()
    with heap.ownership() as ownership:
        frozen = gc.get_freeze_count()
        ownership.live()
        assert gc.get_freeze_count() > frozen


@pytest.mark.parametrize("takeovers", [1, 2, 5])
async def test_a_lost_pool_is_freed_by_the_next_takeover(takeovers: int) -> None:
    """However often a partition is lost, at most the pool of the current ownership is alive."""
    heap = Heap(soon=3600)
    pools: list[weakref.ref[Pool]] = []
    for _ in range(takeovers):
        with heap.ownership() as ownership:
            pool = Pool()
            pools.append(weakref.ref(pool))
            ownership.live()
            assert [each() for each in pools if each() is not None] == [pool]
        del pool


async def test_a_lost_pool_is_freed_without_another_takeover() -> None:
    """A process that only loses partitions frees them too, and keeps the pools frozen that it still owns."""
    heap = Heap(soon=0)
    with heap.ownership() as kept:
        kept.live()
        with heap.ownership() as lost:
            pool = Pool()
            gone = weakref.ref(pool)
            lost.live()
        del pool
        assert gone() is not None
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert gone() is None
        assert gc.get_freeze_count() > 0


async def test_a_restore_that_is_broken_off_is_freed() -> None:
    """The restored half of a pool is not frozen when another partition becomes live."""
    heap = Heap(soon=3600)
    with heap.ownership() as neighbour:
        with heap.ownership():
            half = Pool()
            gone = weakref.ref(half)
        del half
        neighbour.live()
        assert gone() is None
    assert gc.isenabled()


async def test_a_pool_that_was_frozen_by_another_owner_is_freed() -> None:
    """Lanes that do not share a controller do not keep each other's lost pools for ever."""
    one, other = Heap(soon=3600), Heap(soon=3600)
    with one.ownership() as first:
        pool = Pool()
        gone = weakref.ref(pool)
        first.live()
    del pool
    with other.ownership() as second:
        second.live()
        with one.ownership() as again:
            again.live()
            assert gone() is None
