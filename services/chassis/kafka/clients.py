"""The one place that builds and closes aiokafka's clients, and where its defaults are overridden on purpose.

aiokafka ships no types; what leaves this module is `Any` at worst, and its callers say what they expect.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import aiokafka.producer.sender
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, ProducerFenced

from services.chassis.kafka.abandoned import close_abandoned
from services.chassis.kafka.closing import close_all
from services.chassis.kafka.dead_connections import notice_dead_brokers
from services.chassis.kafka.log_throttle import calm_logs
from services.chassis.kafka.records import Record
from services.chassis.kafka.shared_answer import retrieved

FENCED: Final = ProducerFenced
BrokerError: Final = KafkaError
FETCH_WAIT_MS: Final = 200
"""How long an idle fetch waits at the broker, for readers on which callers wait. A record ends the wait; but a fetch in flight
delays the first fetch of a partition that is resumed meanwhile, by this much at most."""
WATCHER_FETCH_WAIT_MS: Final = 500
"""The same for readers on which no caller waits: an idle process spends most of its CPU on such fetches."""
QUIET_FETCH_WAIT_MS: Final = 2_000
"""The same for such a reader when nothing has come for a while (`Patience`)."""
LONE_FETCH_WAIT_MS: Final = 5_000
"""The same for a reader of one partition, which is never paused: there is no other partition whose fetch could be delayed."""

_ADMIN_CLOSE: Final = 3.0

FIRST_SEND_BACKOFF: Final = 0.002
"""Seconds that aiokafka sleeps when the first send after a commit meets the markers of that commit. Its own 20 ms cost more than the
whole transaction. There is no setting for it; tests/contract/lane/test_backoff_override.py guards the name and the effect."""


class KafkaAccess(Protocol):
    """What the lanes need of `KafkaSettings`."""

    @property
    def topic_prefix(self) -> str:
        """Put before every topic, group and transactional id, so that copies share a cluster."""

    def client_options(self) -> dict[str, Any]:
        """bootstrap_servers and security, as aiokafka's keyword arguments."""


def lower_backoff() -> None:
    """Applies FIRST_SEND_BACKOFF. Raises AttributeError if aiokafka no longer has the name."""
    _ = aiokafka.producer.sender.BACKOFF_OVERRIDE
    aiokafka.producer.sender.BACKOFF_OVERRIDE = FIRST_SEND_BACKOFF


def prepare_library() -> None:
    """Applies what holds for every client. Each function that builds one calls it."""
    calm_logs()
    close_abandoned()
    notice_dead_brokers()


def record_of(topic: str, message: Any) -> Record:
    """An aiokafka message, under its logical topic name."""
    headers = message.headers
    return Record(
        topic,
        message.partition,
        message.offset,
        message.timestamp,
        message.key,
        message.value,
        tuple([(name, content or b"") for name, content in headers]) if headers else (),
    )


def group_consumer(
    kafka: KafkaAccess,
    *,
    group: str,
    client_id: str,
    session_timeout_ms: int,
    heartbeat_interval_ms: int,
    rebalance_timeout_ms: int,
    on_unknown_position: str,
    group_instance: str | None = None,
    fetch_wait_ms: int = FETCH_WAIT_MS,
) -> Any:
    """A member of a consumer group: eager range assignment, read_committed, nothing committed automatically.

    `group_instance`: its name, for static membership.
    """
    prepare_library()
    return AIOKafkaConsumer(
        **kafka.client_options(),
        client_id=client_id,
        group_id=kafka.topic_prefix + group,
        group_instance_id=group_instance,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset=on_unknown_position,
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=heartbeat_interval_ms,
        rebalance_timeout_ms=rebalance_timeout_ms,
        fetch_max_wait_ms=fetch_wait_ms,
        max_partition_fetch_bytes=2 << 20,
        retry_backoff_ms=50,
    )


def plain_reader(
    kafka: KafkaAccess, *, client_id: str, on_lost_position: str = "earliest", fetch_wait_ms: int = FETCH_WAIT_MS
) -> Any:
    """Create a read_committed consumer without a group; the caller assigns partitions and seeks.

    `on_lost_position` "none": a position that the topic does not have any more raises OffsetOutOfRangeError.
    """
    prepare_library()
    return AIOKafkaConsumer(
        **kafka.client_options(),
        client_id=client_id,
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset=on_lost_position,
        fetch_max_wait_ms=fetch_wait_ms,
        max_partition_fetch_bytes=4 << 20,
        retry_backoff_ms=50,
    )


def assign(reader: Any, partitions: Sequence[Any]) -> None:
    """Give a plain reader its partitions. If there is only one, its fetches may wait longer at the broker."""
    if len(partitions) == 1:
        # aiokafka reads this for each fetch; there is no public way to change it.
        _ = reader._fetcher._fetch_max_wait_ms
        reader._fetcher._fetch_max_wait_ms = LONE_FETCH_WAIT_MS
    reader.assign(partitions)


class Patience:
    """Lets the fetches of a reader on which no caller waits wait longer at the broker while nothing comes.

    For readers that are never paused. A partition that the group assigns meanwhile is read up to QUIET_FETCH_WAIT_MS later.
    """

    def __init__(self, reader: Any) -> None:
        """`reader`: started, with its partitions if it has no group."""
        self._fetcher = reader._fetcher
        self._busy_ms: int = self._fetcher._fetch_max_wait_ms

    def note(self, found: Any) -> None:
        """Say after each `getmany` what it returned."""
        self._fetcher._fetch_max_wait_ms = self._busy_ms if found else max(self._busy_ms, QUIET_FETCH_WAIT_MS)


def transactional_producer(
    kafka: KafkaAccess,
    *,
    transactional_id: str,
    client_id: str,
    transaction_timeout_ms: int,
    request_timeout_ms: int,
    max_batch_bytes: int,
) -> Any:
    """Not started: starting it fences every other holder of the id and waits for its last transaction."""
    lower_backoff()
    prepare_library()
    return AIOKafkaProducer(
        **kafka.client_options(),
        client_id=client_id,
        transactional_id=transactional_id,
        transaction_timeout_ms=transaction_timeout_ms,
        request_timeout_ms=request_timeout_ms,
        max_batch_size=max_batch_bytes,
        max_request_size=max_batch_bytes,
        linger_ms=0,
        retry_backoff_ms=50,
    )


def idempotent_producer(
    kafka: KafkaAccess, *, client_id: str, request_timeout_ms: int, max_record_bytes: int, linger_ms: int
) -> Any:
    """acks=all, each record once per attempt to publish it."""
    prepare_library()
    return AIOKafkaProducer(
        **kafka.client_options(),
        client_id=client_id,
        enable_idempotence=True,
        acks="all",
        request_timeout_ms=request_timeout_ms,
        max_request_size=max_record_bytes,
        max_batch_size=256 << 10,
        linger_ms=linger_ms,
        retry_backoff_ms=50,
    )


async def discard_producer(producer: Any, timeout: float) -> None:  # noqa: ASYNC109 - a deadline for giving up politely, not for the result
    """Close a producer whose records no longer matter. Never raises, never waits for an absent broker longer than `timeout` seconds a step.

    `stop()` flushes first, which without a broker never ends: so what is still queued is failed beforehand.
    """

    async def fail_queued() -> None:
        sender = producer._sender
        if sender.sender_task is not None:
            # It would fail the queue again when the sender ends, and raise AttributeError for an idempotent producer.
            sender.sender_task.remove_done_callback(sender._fail_all)
        queued = producer._message_accumulator
        queued.fail_all(KafkaError("producer discarded"))
        for batch in (*(each for batches in queued._batches.values() for each in batches), *queued._pending_batches):
            # The callers that waited for them may have given up, and then no caller reads the exception.
            for future in (batch.future, batch._drain_waiter, *(each for each, _ in batch._msg_futures)):
                retrieved(future)

    await close_all(
        (
            ("producer's queue", fail_queued),
            ("producer", producer.stop),
            ("producer's sender", producer._sender.close),
            ("producer's connections", producer.client.close),
        ),
        timeout,
    )


async def close_consumer(consumer: Any, timeout: float) -> None:  # noqa: ASYNC109 - as above
    """Leave the group and close. Never raises, never waits longer than `timeout` seconds a step for an absent broker."""
    await close_all((("consumer", consumer.stop), ("consumer's connections", consumer._client.close)), timeout)


@asynccontextmanager
async def admin_client(kafka: KafkaAccess, *, client_id: str, request_timeout_ms: int = 20_000) -> AsyncIterator[Any]:
    """A started AIOKafkaAdminClient for the time of the block. Raises KafkaError or OSError when the broker can't be reached."""
    prepare_library()
    admin: Any = AIOKafkaAdminClient(
        **kafka.client_options(), client_id=client_id, request_timeout_ms=request_timeout_ms
    )
    try:
        await admin.start()
        yield admin
    finally:
        await close_all(
            (("admin client", admin.close), ("admin client's connections", admin._client.close)), _ADMIN_CLOSE
        )
