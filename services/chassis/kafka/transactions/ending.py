"""Ends transactions that hang, with the outcome that their coordinator recorded.

The outcome decides whether the work of a transaction exists exactly once:

- It was decided to commit: its records in other partitions are visible, and its writer may have confirmed its effects. An abort
  here would lose a part of it.
- It was decided to abort: its writer does the same work again. A commit here would make a part of it exist twice.

So the outcome is taken from the coordinator's log, which has the decision with its partitions. Only where nothing is recorded
does an operator decide, and can only abort: that is what Kafka does with a transaction that no one has decided.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from services.chassis.kafka.clients import KafkaAccess, close_consumer, plain_reader
from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka.transactions.coordinator_log import TOPIC, Logged, Status, decode_logged
from services.chassis.kafka.transactions.hanging import OpenTransaction, open_transactions
from services.chassis.kafka.transactions.hanging_requests import WriteTxnMarkers
from services.chassis.kafka.transactions.requests import Identity
from services.chassis.kafka.transactions.verdicts import Verdict, verdict_of
from services.chassis.kafka.transactions.wire import Malformed

_DECISIONS: Final = (Status.PREPARE_COMMIT, Status.PREPARE_ABORT)
_CLOSE: Final = 3.0
_POLL_MS: Final = 200
_LOOK_AGAIN: Final = 0.02


class Outcome(NamedTuple):
    """How a transaction ends. `epoch`: of its markers."""

    commit: bool
    epoch: int

    @property
    def word(self) -> str:
        """Return `commit` or `abort`."""
        return "commit" if self.commit else "abort"


class Recorded(NamedTuple):
    """What the log of the coordinators has about an open transaction. `ongoing`: its newest record says that it is open, so its
    coordinator will end it when it is available again."""

    outcome: Outcome | None
    ongoing: bool


def is_ongoing(hanging: OpenTransaction, log: Sequence[Logged]) -> bool:
    """Return whether the newest record about a producer says that this transaction is open."""
    newest = next((each for each in reversed(log) if each.producer_id == hanging.producer_id), None)
    return (
        newest is not None
        and newest.status is Status.ONGOING
        and newest.epoch == hanging.epoch
        and hanging.place in newest.places
    )


def outcome_of(hanging: OpenTransaction, log: Iterable[Logged]) -> Outcome | None:
    """Return the outcome that a coordinator recorded for a transaction, in the order of the log. None when it recorded none.

    In version 2 of transactions, the decision has the epoch after that of the records, and no other transaction has either. In
    the older one, several transactions have one epoch, so the decision must also not be older than the records.
    """
    found: Outcome | None = None
    for each in log:
        if each.producer_id != hanging.producer_id or each.status not in _DECISIONS or hanging.place not in each.places:
            continue
        following = each.epoch == hanging.epoch + 1
        if following if each.v2 else (following or each.epoch == hanging.epoch) and each.updated_ms >= hanging.last_ms:
            found = Outcome(each.status is Status.PREPARE_COMMIT, each.epoch)
    return found


async def recorded(
    kafka: KafkaAccess, hanging: Sequence[OpenTransaction], *, client_id: str
) -> dict[OpenTransaction, Recorded]:
    """Return what coordinators recorded for transactions that hang. Raises aiokafka's KafkaError.

    Reads the whole log of the coordinators. Needs the right to read it.
    """
    log = await read_log(kafka, {each.producer_id for each in hanging}, client_id=client_id) if hanging else []
    return {each: Recorded(outcome_of(each, log), is_ongoing(each, log)) for each in hanging}


async def end(cluster: Cluster, hanging: OpenTransaction, outcome: Outcome, within: float) -> None:
    """Write the marker of a transaction in its partition, and return when the partition's leader shows it as ended.

    Raises one of UNREACHABLE. Needs the right CLUSTER_ACTION on the cluster.
    """
    topic, partition = hanging.place
    identity = Identity(hanging.producer_id, outcome.epoch)
    request = WriteTxnMarkers(identity, max(0, hanging.coordinator_epoch), {topic: [partition]}, commit=outcome.commit)
    async with asyncio.timeout(within):
        while True:
            leader = await cluster.leader_of(hanging.place)
            if leader is None:
                raise KafkaError(f"{topic}/{partition} has no leader")
            error = (await cluster.ask(leader, request)).get(hanging.place, 0)
            if verdict_of(error) is Verdict.DONE:
                break
            if verdict_of(error) is not Verdict.RETRY:
                raise KafkaError(f"the marker for {topic}/{partition} was refused: error {error}")
            await cluster.refresh()
            await asyncio.sleep(_LOOK_AGAIN)
        while any(  # noqa: ASYNC110 - the leader sends no notification
            (each.first_offset, each.producer_id) == (hanging.first_offset, hanging.producer_id)
            for each in await open_transactions(cluster, [hanging.place])
        ):
            await asyncio.sleep(_LOOK_AGAIN)


async def read_log(kafka: KafkaAccess, producers: Collection[int], *, client_id: str) -> list[Logged]:
    """Return the records of some producers in the coordinators' log, in order per partition. Raises aiokafka's KafkaError."""
    reader: Any = plain_reader(kafka, client_id=client_id)
    found: list[Logged] = []
    try:
        await reader.start()
        places = [TopicPartition(TOPIC, each) for each in sorted(await reader._client._wait_on_metadata(TOPIC))]
        reader.assign(places)
        ends = await reader.end_offsets(places)
        for place, begin in (await reader.beginning_offsets(places)).items():
            reader.seek(place, begin)
        left = set(places)
        while left:
            for messages in (await reader.getmany(*left, timeout_ms=_POLL_MS)).values():
                for message in messages:
                    if message.key is None or message.value is None:
                        continue  # the id has expired
                    logged = decode_logged(message.key, message.value)
                    if logged is not None and logged.producer_id in producers:
                        found.append(logged)
            left = {place for place in left if await reader.position(place) < ends[place]}
    except Malformed as error:  # an outcome may be in what cannot be read: guess none
        raise KafkaError(f"the log of the coordinators cannot be read: {error}") from error
    finally:
        await close_consumer(reader, _CLOSE)
    return found
