"""The Faust application that counts feedback.responses.v1 into feedback.scores.v1. The only module that imports Faust.

Faust provides the consumer group, the stream and the commits, at least once. `score_log` and this module make the counts exact, as
follows (reasons: docs/decisions/0011-faust-analytics.md, 0054-counting.md):

- Faust reads uncommitted records. This application reads committed ones only; otherwise the records of an aborted batch of the survey
  lane would count.
- No Faust table and no Faust windows: with a table, partitions that changed hands lost counts (measured; upstream #596), and windows are
  lost after rebalances (#193, #385). The state of a partition is read from feedback.scores.v1 itself, when its first event of a
  generation comes; state, output and position are one transaction there.
- Records that Faust skips are not lost: the position in the topic, not Faust's offset, says where counting continues, and the records
  between it and the first event of a generation are read from the log. Records that come again are not counted again.
- Events are taken in batches, one batch at a time; they are acknowledged to Faust after the broker has committed. A revoked partition
  waits a moment for the current batch; if that is too short, the next owner's opening fences this process.
- If an agent raises, Faust restarts it behind the lost event. So the agent here only queues, and a failure of counting ends
  `run_analytics`, and with it the process.
- A consumer that dies slowly (#175, #640) gives no sign but silence: if there are committed records beyond the position of an owned
  partition and no event comes for `stall_s`, `run_analytics` ends, and with it the process.
- A member that the group leaves without partitions, though some have no owner, joins again (`analytics_assignment`).
"""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

import faust
from faust.contrib.asgi import bind_to_running_loop
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from mode.threads import WorkerThread

from services.chassis.clock import Clock
from services.chassis.kafka.clients import BrokerError
from services.chassis.kafka.contract import NO_METRICS, LaneMetrics
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.logs import get_logger
from services.feedback.adapters.analytics_assignment import AssignmentWatch
from services.feedback.adapters.score_log import INPUT, NAME, NotWritten, ScoreLog, committed_between, end_of

_BATCH: Final = 1000
_QUEUED: Final = 2000
_RETRY_S: Final = 0.5
_STOP_S: Final = 10.0
_REVOKE_S: Final = 10.0
log = get_logger(__name__)


class AnalyticsFailed(RuntimeError):  # noqa: N818 - reads as what happened
    """Counting cannot continue. Restarting the process is safe: nothing is lost or counted twice."""


async def run_analytics(
    kafka: KafkaSettings,
    clock: Clock,
    *,
    say: Callable[[bool, str], None] | None = None,
    metrics: LaneMetrics = NO_METRICS,
    session_timeout_s: float = 10.0,
    stall_s: float = 60.0,
    empty_s: float = 15.0,
    fault: Callable[[str], None] | None = None,
) -> None:
    """Count until cancelled. Raises AnalyticsFailed.

    `say`: called when readiness changes, with a reason if it is lost. `stall_s`: how long committed records may wait. `empty_s`: how long
    the group may leave this member without a partition. `fault`: a hook for tests, called with each point that a batch passes.
    """
    say = say or _ignore_readiness
    with tempfile.TemporaryDirectory(prefix="chapar-faust-") as directory:
        app = _application(kafka, directory, session_timeout_s)
        analytics = _Analytics(app, kafka, clock, stall_s, fault or _no_fault)
        watch = AssignmentWatch(
            kafka,
            NAME,
            INPUT,
            assigned=analytics.assigned,
            rejoin=analytics.join_again,
            say=say,
            metrics=metrics,
            empty_s=empty_s,
        )
        await analytics.run(watch, say)


class _Analytics:
    def __init__(
        self, app: Any, kafka: KafkaSettings, clock: Clock, stall_s: float, fault: Callable[[str], None]
    ) -> None:
        self._app = app
        self._kafka = kafka
        self._clock = clock
        self._stall_s = stall_s
        self._fault = fault
        self._queue: asyncio.Queue[Any] = asyncio.Queue(_QUEUED)
        self._busy = asyncio.Lock()
        self._generation = -1
        self._logs: dict[int, ScoreLog] = {}
        self._joined: set[int] = set()
        raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
        responses = app.topic(kafka.topic_prefix + INPUT, internal=False, **raw)
        app.agent(responses, name="scores", concurrency=1)(self._agent)
        app.on_partitions_revoked.connect(self._revoked)

    def assigned(self) -> int:
        """The number of the input's partitions that this member has."""
        return sum(place.topic.endswith(INPUT) for place in self._app.consumer.assignment())

    async def join_again(self) -> None:
        """Read the topics' metadata and let the group assign again. Faust has no call for it, so its client is asked, in its own thread."""
        thread = self._app.consumer._thread
        consumer = thread._ensure_consumer()

        async def ask() -> None:
            await consumer._client.force_metadata_update()
            consumer._coordinator.request_rejoin()

        await thread.call_thread(ask)

    async def run(self, watch: AssignmentWatch, say: Callable[[bool, str], None]) -> None:
        bind_to_running_loop(self._app)
        self._app.finalize()
        starting = asyncio.ensure_future(self._app.maybe_start())
        try:
            # A start that is cancelled halfway leaves threads and connections that no one stops: let it end, then stop
            # it.
            await asyncio.shield(starting)
            say(True, "")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._count(), name="count")
                tasks.create_task(self._watch(), name="faust")
                tasks.create_task(self._watch_for_silence(), name="silence")
                tasks.create_task(watch.run(), name="assignment")
        finally:
            await asyncio.wait({starting})
            await self._close_logs()
            # If the app does not stop in time, continue without it: it must neither hide the cause of the end nor delay
            # it.
            stopping = asyncio.ensure_future(self._app.stop())
            if stopping not in (await asyncio.wait({stopping}, timeout=_STOP_S))[0]:
                log.warning("Faust did not stop in time")
                stopping.cancel()

    async def _watch(self) -> None:
        await self._app.wait_until_stopped()
        cause = self._app.crash_reason
        raise AnalyticsFailed(f"Faust stopped: {cause!r}") from cause

    async def _agent(self, stream: Any) -> None:
        async for event in stream.noack().events():
            await self._queue.put(event)

    async def _revoked(self, _app: Any, _revoked: Any, **_: Any) -> None:
        # The next owner need not wait for this transaction if it is nearly done; if it hangs, the next owner fences it.
        try:
            async with asyncio.timeout(_REVOKE_S), self._busy:
                return
        except TimeoutError:
            log.warning("a batch is not finished; its partitions are released without it")

    async def _count(self) -> None:
        while True:
            events = [await self._queue.get()]
            while len(events) < _BATCH and not self._queue.empty():
                events.append(self._queue.get_nowait())
            async with self._busy:
                await self._batch(events)

    async def _batch(self, events: list[Any]) -> None:
        generation = await self._turn()
        # Events of an earlier generation come again, in order; taking one now would overtake those before it.
        ours = [event for event in events if event.message.generation_id == generation]
        by_partition: dict[int, list[Any]] = {}
        for event in ours:
            by_partition.setdefault(event.message.partition, []).append(event)
        async with asyncio.TaskGroup() as tasks:
            for partition, some in by_partition.items():
                tasks.create_task(self._partition(partition, some, generation), name=f"scores {partition}")
        if self._app.consumer_generation_id == generation:
            for event in ours:
                event.ack()

    async def _turn(self) -> int:
        """Return the current generation; logs of earlier generations are closed."""
        generation = int(self._app.consumer_generation_id)
        if generation != self._generation:
            # A partition that stays with this process is also read again from its committed offset, and so is its
            # state.
            await self._close_logs()
            self._generation = generation
        return generation

    async def _partition(self, partition: int, events: list[Any], generation: int) -> None:
        while self._app.consumer_generation_id == generation:
            try:
                scores = self._logs.get(partition) or await self._open(partition)
                await self._join(scores, events[0].message.offset)
                for event in events:
                    wrong = scores.take(event.message.offset, event.value)
                    if wrong:
                        # The survey lane wrote it, so this is a bug in this service; it must not stop the scores of all
                        # other records.
                        log.error(
                            "record of feedback.responses.v1 not understood",
                            partition=partition,
                            offset=event.message.offset,
                            why=wrong,
                        )
                self._fault("changed")
                await scores.write()
                self._fault("written")
                return
            except (NotWritten, BrokerError, OSError) as error:
                # If this process is fenced although it owns the partition, a paused process woke up; it loses the
                # partition at its next heartbeat.
                log.warning("scores cannot be written, trying again", partition=partition, why=str(error))
                await self._close(partition)
                await asyncio.sleep(_RETRY_S)

    async def _open(self, partition: int) -> ScoreLog:
        scores = self._logs[partition] = await ScoreLog(self._kafka, partition, self._clock).open()
        return scores

    async def _join(self, scores: ScoreLog, first: int) -> None:
        """Count the records between the position in the topic and the first event of this generation."""
        if scores.partition in self._joined:
            return
        skipped = await scores.catch_up(first)
        self._joined.add(scores.partition)
        if skipped:
            log.error("Faust skipped records; read from the log", partition=scores.partition, records=skipped)

    async def _watch_for_silence(self) -> None:
        """Check periodically whether committed records exist beyond a position that has not moved meanwhile."""
        before: dict[int, int] = {}
        while True:
            await asyncio.sleep(self._stall_s)
            try:
                async with self._busy:
                    now = await self._positions()
                    for partition, position in now.items():
                        if before.get(partition) == position and await self._something_behind(partition, position):
                            raise AnalyticsFailed(
                                f"stalled: no record came for {self._stall_s:g} s although the log has new ones"
                            )
                    before = now
            except (NotWritten, BrokerError, OSError) as error:
                log.warning("cannot check for new records", why=str(error))

    async def _positions(self) -> dict[int, int]:
        await self._turn()
        found: dict[int, int] = {}
        for place in self._app.consumer.assignment():
            if place.topic.endswith(INPUT):
                scores = self._logs.get(place.partition) or await self._open(place.partition)
                found[place.partition] = scores.table.next_offset
        return found

    async def _something_behind(self, partition: int, position: int) -> bool:
        end = (await end_of(self._kafka, [partition]))[partition]
        async with aclosing(committed_between(self._kafka, partition, position, end)) as records:
            async for _ in records:
                return True
        return False

    async def _close(self, partition: int) -> None:
        self._joined.discard(partition)
        scores = self._logs.pop(partition, None)
        if scores is not None:
            await scores.close()

    async def _close_logs(self) -> None:
        for partition in list(self._logs):
            await self._close(partition)


class _Worker(WorkerThread):
    def __init__(self, service: Any, **options: Any) -> None:
        super().__init__(service, **options)
        # Faust's thread would keep a process alive that must end because that thread hangs. Unfinished records come
        # again.
        self.daemon = True


class _CommittedThread(AIOKafkaConsumerThread):
    Worker = _Worker

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust reads committed records only in its own transactions; the client takes the level from here when it
        # starts.
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
        kafka.topic_prefix + NAME,
        broker=servers,
        broker_credentials=_credentials(kafka),
        broker_client_id=NAME,
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
        # Unacknowledged events come again; waiting for them would delay a rebalance and a stop.
        stream_wait_empty=False,
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


def _no_fault(_point: str) -> None:
    """Do nothing: the default in production."""


def _ignore_readiness(_ready: bool, _reason: str) -> None:
    """Ignore readiness: for tests that do not look at it."""
