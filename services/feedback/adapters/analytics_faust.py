"""The Faust application that folds feedback.answers.v1 into feedback.scores.v1. The only module that knows Faust.

Faust brings the group, the stream and the commits, at least once. What makes the fold exact stands here, and why
(docs/decisions/0011-faust-analytics.md):

- Faust reads uncommitted records: ours reads committed ones, or what an aborted batch of the survey lane had written
  would count.
- No Faust table: with one, partitions that changed hands lost counts (measured). The state of a partition is read
  from feedback.scores.v1 itself, when its first event of a generation comes; state and output cannot part, because
  they are the same records.
- Every entry holds the offset behind it (`domain.scores.Fold`), so what comes again is not counted again.
- Events are taken in batches, one batch at a time: each entry that changed is written once and acknowledged by the
  broker before any event of the batch is acknowledged to Faust. A revoked partition waits for the batch under way, so
  that its next owner reads what we have written.
- An agent that raises is restarted by Faust behind the lost event: here the agent only queues, and a failure of the
  fold ends `run_analytics`, and with it the process, before an entry could move past what was lost.

Left open: an instance that was paused beyond its session time-out may, when it wakes up, write the entries of the
batch under way late, over newer ones; nothing fences it. The owner's next change of the entry mends it.
"""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

import faust
from faust.contrib.asgi import bind_to_running_loop
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport

from services.chassis.clock import Clock
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.logs import get_logger
from services.feedback.domain.scores import Dimension, Fold
from services.feedback.translate import Untranslatable, observation, parse_record, parse_score, score_key, score_record

INPUT: Final = "feedback.answers.v1"
OUTPUT: Final = "feedback.scores.v1"
_GROUP: Final = "feedback-analytics"
_BATCH: Final = 500
_QUEUED: Final = 1000
_RETRY_S: Final = 0.5
_STOP_S: Final = 10.0
log = get_logger(__name__)


class AnalyticsFailed(RuntimeError):  # noqa: N818 - reads as what happened
    """The fold cannot go on. Restarting the process is safe: nothing is lost or counted twice."""


async def run_analytics(
    kafka: KafkaSettings,
    clock: Clock,
    *,
    on_ready: Callable[[], None] | None = None,
    session_timeout_s: float = 10.0,
    fault: Callable[[str], None] | None = None,
) -> None:
    """Folds until cancelled. Raises AnalyticsFailed. `fault` is a test's seam: it is told the points that a batch passes."""
    with tempfile.TemporaryDirectory(prefix="chapar-faust-") as directory:
        async with DurableProducer(kafka, client_id=_GROUP) as producer:
            app = _application(kafka, directory, session_timeout_s)
            await _Analytics(app, kafka, producer, clock, fault or _no_fault).run(on_ready)


class _Analytics:
    def __init__(
        self, app: Any, kafka: KafkaSettings, producer: DurableProducer, clock: Clock, fault: Callable[[str], None]
    ) -> None:
        self._app = app
        self._kafka = kafka
        self._producer = producer
        self._clock = clock
        self._fault = fault
        self._queue: asyncio.Queue[Any] = asyncio.Queue(_QUEUED)
        self._busy = asyncio.Lock()
        self._generation = -1
        self._partitions: dict[int, dict[Dimension, Fold]] = {}
        raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
        answers = app.topic(kafka.topic_prefix + INPUT, internal=False, **raw)
        app.agent(answers, name="scores", concurrency=1)(self._agent)
        app.on_partitions_revoked.connect(self._revoked)

    async def run(self, on_ready: Callable[[], None] | None) -> None:
        bind_to_running_loop(self._app)
        self._app.finalize()
        starting = asyncio.ensure_future(self._app.maybe_start())
        try:
            # A start that is cancelled halfway leaves threads and connections that nobody stops: it is ended, then stopped.
            await asyncio.shield(starting)
            if on_ready is not None:
                on_ready()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._fold(), name="fold")
                tasks.create_task(self._watch(), name="faust")
        finally:
            await asyncio.wait({starting})
            async with asyncio.timeout(_STOP_S):
                await self._app.stop()

    async def _watch(self) -> None:
        await self._app.wait_until_stopped()
        cause = self._app.crash_reason
        raise AnalyticsFailed(f"Faust stopped: {cause!r}") from cause

    async def _agent(self, stream: Any) -> None:
        async for event in stream.noack().events():
            await self._queue.put(event)

    async def _revoked(self, _app: Any, _revoked: Any, **_: Any) -> None:
        # Whoever gets the partitions reads our entries first: they must all be there.
        async with self._busy:
            return

    async def _fold(self) -> None:
        while True:
            events = [await self._queue.get()]
            while len(events) < _BATCH and not self._queue.empty():
                events.append(self._queue.get_nowait())
            async with self._busy:
                await self._batch(events)

    async def _batch(self, events: list[Any]) -> None:
        generation = self._app.consumer_generation_id
        if generation != self._generation:
            # Even a partition that stayed ours is read again from its committed offset: so is its state.
            self._partitions.clear()
            self._generation = generation
        # Events of an earlier generation come again, in order; taking one now would move entries past those before it.
        ours = [event for event in events if event.message.generation_id == generation]
        changed: dict[tuple[int, Dimension], Fold] = {}
        for event in ours:
            folds = self._partitions.get(event.message.partition)
            if folds is None:
                folds = self._partitions[event.message.partition] = await self._restore(event.message.partition)
            self._take(event, folds, changed)
        self._fault("changed")
        await self._write(changed)
        self._fault("written")
        if self._app.consumer_generation_id == generation:
            for event in ours:
                event.ack()

    def _take(self, event: Any, folds: dict[Dimension, Fold], changed: dict[tuple[int, Dimension], Fold]) -> None:
        message = event.message
        try:
            seen = observation(parse_record(event.value))
        except Untranslatable as error:
            # The survey lane wrote it, so this is a bug of ours; it must not stop the figures of everybody else.
            log.error("answer not understood", partition=message.partition, offset=message.offset, why=str(error))
            return
        if seen is None:
            return
        for dimension in seen.dimensions():
            known = folds.get(dimension, _NOTHING)
            taken = known.take(seen, message.offset)
            if taken is not known:
                folds[dimension] = changed[message.partition, dimension] = taken

    async def _write(self, changed: dict[tuple[int, Dimension], Fold]) -> None:
        now_ms = self._clock()
        records = [
            (partition, score_key(dimension, partition), score_record(dimension, partition, fold, now_ms))
            for (partition, dimension), fold in changed.items()
        ]
        while records:
            results = await asyncio.gather(
                *(
                    self._producer.publish(OUTPUT, key, record.SerializeToString(), partition=partition)
                    for partition, key, record in records
                ),
                return_exceptions=True,
            )
            failed = []
            for each, result in zip(records, results, strict=True):
                if isinstance(result, BrokerUnavailable):
                    failed.append(each)
                elif isinstance(result, BaseException):
                    raise result
            if failed:
                # An entry is the whole fold, so writing it again is the same entry; nothing else is written meanwhile.
                log.warning("scores can't be written, trying again", entries=len(failed))
                await asyncio.sleep(_RETRY_S)
            records = failed

    async def _restore(self, partition: int) -> dict[Dimension, Fold]:
        """The newest entries of a partition, as they are in the log now."""
        folds: dict[Dimension, Fold] = {}
        done = asyncio.Event()

        async def read() -> None:
            entries = tail(self._kafka, OUTPUT, [partition], client_id=f"{_GROUP}-restore", caught_up=done.set)
            async with aclosing(entries):
                async for entry in entries:
                    if entry.value is not None:
                        dimension, _, fold = parse_score(entry.value)
                        folds[dimension] = fold

        reading = asyncio.create_task(read(), name=f"restore {partition}")
        finished = asyncio.create_task(done.wait())
        try:
            await asyncio.wait({reading, finished}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await reading  # it ends by failing only
        finally:
            for task in (reading, finished):
                task.cancel()
            await asyncio.wait({reading, finished})
        return folds


class _CommittedThread(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust reads committed records only in its own transactions; the client takes the level from here when it starts.
        consumer._isolation_level = "read_committed"
        return consumer


class _CommittedConsumer(Consumer):
    def _new_consumer_thread(self) -> Any:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)


class _CommittedTransport(Transport):
    Consumer = _CommittedConsumer


class _App(faust.App):
    def _new_transport(self) -> Any:
        return _CommittedTransport(self.conf.broker_consumer, self)


def _application(kafka: KafkaSettings, directory: str, session_timeout_s: float) -> Any:
    servers = ";".join(f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(","))
    return _App(
        kafka.topic_prefix + _GROUP,
        broker=servers,
        broker_credentials=_credentials(kafka),
        broker_client_id=_GROUP,
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=1.0,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        producer_linger_ms=0,
        store="memory://",
        datadir=directory,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        autodiscover=False,
    )


def _credentials(kafka: KafkaSettings) -> Any:
    options = kafka.client_options()
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


_NOTHING: Final = Fold()


def _no_fault(_point: str) -> None:
    """Production."""
