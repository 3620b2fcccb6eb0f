"""Asks the coordinators of all transactions, and knows whether all of them can answer.

A broker that has just been started lists only the ids that it has read from the log so far. So silence about an id means nothing until
every partition of the log has a coordinator that has read it.
"""

import itertools
from collections.abc import Iterable, Mapping
from typing import Final

from aiokafka.errors import for_code

from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka.transactions.coordinator_log import TOPIC
from services.chassis.kafka.transactions.hanging_requests import Described, DescribeTransactions, ListTransactions
from services.chassis.kafka.transactions.verdicts import NO_ERROR

_NO_SUCH_ID: Final = 105
_BITS: Final = 0xFFFFFFFF
_POSITIVE: Final = 0x7FFFFFFF


async def all_loaded(cluster: Cluster, prefix: str) -> None:
    """Return when every coordinator can answer about its ids. Raises one of UNREACHABLE.

    `prefix`: of transactional ids that the caller may describe. Asks for an id that no one has in each partition of the log.
    """
    count = await cluster.partitions_of(TOPIC)
    names = {(TOPIC, partition): id_in(partition, count, prefix) for partition in range(count)}
    for leader, topics in (await cluster.by_leader(names)).items():
        asked = [names[TOPIC, partition] for partition in topics[TOPIC]]
        for each in await cluster.ask(leader, DescribeTransactions(asked)):
            if each.error not in (NO_ERROR, _NO_SUCH_ID):
                raise for_code(each.error)(f"coordinator of {each.transactional_id}")


def id_in(partition: int, count: int, prefix: str) -> str:
    """Return a transactional id whose coordinator is the leader of this partition of the log, of `count` partitions."""
    names = (f"{prefix}nobody-{number}" for number in itertools.count())
    return next(name for name in names if (java_hash(name) & _POSITIVE) % count == partition)


def java_hash(text: str) -> int:
    """Return Java's `String.hashCode`, as an unsigned number of 32 bits. For texts in ASCII."""
    value = 0
    for each in text:
        value = (31 * value + ord(each)) & _BITS
    return value


async def describe(cluster: Cluster, producers: Iterable[int]) -> Mapping[int, Described]:
    """Return what coordinators know of producers, by their ids; unknown ones are left out. Raises one of UNREACHABLE."""
    wanted = sorted(producers)
    found: dict[int, Described] = {}
    for broker in cluster.brokers() if wanted else ():
        names = await _listed(cluster, broker, ListTransactions(wanted))
        for each in await cluster.ask(broker, DescribeTransactions(names)):
            if each.error == NO_ERROR:
                found[each.identity.producer_id] = each
            elif each.error != _NO_SUCH_ID:
                raise for_code(each.error)(f"transaction of {each.transactional_id}")
    return found


async def unfinished(cluster: Cluster) -> list[str]:
    """Return the transactional ids whose coordinators are writing markers now. Raises one of UNREACHABLE."""
    writing = ListTransactions(states=("PrepareCommit", "PrepareAbort"))
    return [name for broker in cluster.brokers() for name in await _listed(cluster, broker, writing)]


async def _listed(cluster: Cluster, broker: int, request: ListTransactions) -> list[str]:
    answer = await cluster.ask(broker, request)
    if answer.error != NO_ERROR:
        raise for_code(answer.error)(f"transactions of broker {broker}")
    return [each.transactional_id for each in answer.listed]
