"""Finds transactions that hang: open in a partition, although their coordinator has ended them, or does not know them.

Readers of committed records never get beyond the first record of such a transaction. Kafka 4.3.1 leaves them when the only
broker of a cluster is killed and started again: it records a transaction as complete whose markers it could not send
(docs/faults.md).

For example: a router wrote `router.state.v1/1` at offset 347 and asked for the commit, then the broker was killed. After its
start the coordinator says CompleteCommit, and the partition's leader says that the transaction from 347 on is open. The order
of the questions makes that certain: first the partition, then the coordinator, then the partition again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple, TypeVar

from aiokafka.errors import for_code

from services.chassis.kafka.transactions.cluster import UNREACHABLE, Cluster
from services.chassis.kafka.transactions.contents import Place
from services.chassis.kafka.transactions.coordinators import all_loaded, describe
from services.chassis.kafka.transactions.hanging_requests import Described, DescribeProducers
from services.chassis.kafka.transactions.verdicts import NO_ERROR

T = TypeVar("T")

UNKNOWN: Final = "unknown"
_PATIENCE: Final = 10.0
_LOOK_AGAIN: Final = 0.1


class OpenTransaction(NamedTuple):
    """A transaction that is open in one partition, as the partition's leader shows it. Times are of its writer's clock, in ms."""

    place: Place
    first_offset: int
    producer_id: int
    epoch: int
    coordinator_epoch: int
    last_ms: int
    """The time of its newest record here."""


class Found(NamedTuple):
    """An open transaction, and what its coordinator says."""

    open: OpenTransaction
    transactional_id: str
    """Empty when no coordinator knows the producer."""
    state: str
    """The coordinator's word for the newest transaction of the id; `unknown` when no coordinator knows the producer."""
    hangs: bool
    """Whether no coordinator will end it."""


async def ends_of(cluster: Cluster, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
    """Return for each partition the end of what readers of committed records see, and the end. Raises one of UNREACHABLE.

    The first is asked for first: it may be behind only because a transaction has begun since.
    """
    stable = await cluster.ends(places, committed=True)
    end = await cluster.ends(stable, committed=False)
    return {place: (stable[place], end[place]) for place in end}


async def open_transactions(cluster: Cluster, places: Iterable[Place]) -> list[OpenTransaction]:
    """Return the transactions that are open in some partitions, the oldest of a partition first. Raises one of UNREACHABLE.

    Needs the right to read their topics.
    """
    found: list[OpenTransaction] = []
    for leader, group in (await cluster.by_leader(places)).items():
        answer = await cluster.ask(leader, DescribeProducers(group))
        for place, (error, producers) in answer.items():
            if error != NO_ERROR:
                raise for_code(error)(f"producers of {place[0]}/{place[1]}")
            found += (
                OpenTransaction(
                    place, each.first_offset, each.producer_id, each.epoch, each.coordinator_epoch, each.last_ms
                )
                for each in producers
                if each.first_offset >= 0
            )
    return sorted(found, key=lambda each: (each.place, each.first_offset))


async def until_answered(cluster: Cluster, ask: Callable[[], Awaitable[T]], within: float) -> T:
    """Return the answer. Asks again for `within` seconds when a broker can't answer yet, because it has just been started, for example.

    Raises one of UNREACHABLE.
    """
    until = time.monotonic() + within
    while True:
        try:
            return await ask()
        except UNREACHABLE as error:
            if time.monotonic() > until or not getattr(error, "retriable", True):
                raise
        await asyncio.sleep(_LOOK_AGAIN)
        await cluster.refresh()


async def find(cluster: Cluster, places: Iterable[Place], prefix: str, *, within: float = _PATIENCE) -> list[Found]:
    """Return the transactions that are open in some partitions, and which of them hang. Raises as `until_answered`.

    `prefix`: of the transactional ids, which the caller may describe. Needs the rights to read the topics, and to describe them.
    """
    wanted = list(places)
    return await until_answered(cluster, lambda: _find(cluster, wanted, prefix), within)


async def _find(cluster: Cluster, places: Iterable[Place], prefix: str) -> list[Found]:
    ends = await ends_of(cluster, places)
    behind = [place for place, (stable, end) in ends.items() if stable < end]
    before = await open_transactions(cluster, behind)
    if before:
        await all_loaded(cluster, prefix)
    words = await describe(cluster, {each.producer_id for each in before})
    after = {_key(each): each for each in await open_transactions(cluster, {each.place for each in before})}
    return [_found(still, words.get(still.producer_id)) for each in before if (still := after.get(_key(each)))]


def _key(each: OpenTransaction) -> tuple[Place, int, int]:
    return each.place, each.first_offset, each.producer_id


def _found(each: OpenTransaction, word: Described | None) -> Found:
    """Judge an open transaction. Partitions of a transaction are with its coordinator before anything is written to them, and until
    their markers are written."""
    if word is None:
        return Found(each, "", UNKNOWN, True)
    return Found(each, word.transactional_id, word.state, each.place not in word.places)
