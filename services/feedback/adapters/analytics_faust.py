"""The Faust application that folds feedback.answers.v1 into feedback.scores.v1. The only module that knows Faust.

Faust delivers at least once, and does more that would cost exactness here. What this module does about it:

- Its consumer reads uncommitted records: ours is made to read committed ones, or what an aborted batch of the survey
  lane had written would count.
- A table's change is sent without waiting, while the input's offset is committed by a timer: here an event is
  acknowledged only when the broker has all of its changes. Every entry holds the offset behind it
  (`domain.scores.Fold`), so what comes again is not counted again.
- An agent that raises is restarted and goes on with the next event: here the first failure ends `run_analytics`, and
  with it the process, before the event after it could move an entry past the lost one.
- One table serves all partitions of a process: its keys therefore name the partition, and each partition's changes go
  to the same partition of the changelog, which is feedback.scores.v1 itself. State and output cannot part, because
  they are the same record.

Left open by Faust: an instance that was paused beyond its session time-out and wakes up may write stale entries
(nothing fences it); the owner's next change of the entry mends them. docs/decisions/0011-faust-analytics.md.
"""

import asyncio
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import faust
from faust.contrib.asgi import faust_app_running
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport

from services.chassis.clock import Clock
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.logs import get_logger
from services.feedback.domain.scores import Fold
from services.feedback.translate import Untranslatable, observation, parse_record, parse_score, score_key, score_record

INPUT: Final = "feedback.answers.v1"
OUTPUT: Final = "feedback.scores.v1"
_GROUP: Final = "feedback-analytics"
_IN_FLIGHT: Final = 256
_STOP_S: Final = 10.0
log = get_logger(__name__)


class AnalyticsFailed(RuntimeError):  # noqa: N818 - reads as what happened
    """The fold cannot go on. Restarting the process is safe: nothing is lost or counted twice."""


async def run_analytics(
    kafka: KafkaSettings,
    clock: Clock,
    *,
    on_ready: Callable[[], None] | None = None,
    fault: Callable[[str], None] | None = None,
) -> None:
    """Folds until cancelled. Raises AnalyticsFailed. `fault` is a test's seam: it is told the points that an event passes."""
    with tempfile.TemporaryDirectory(prefix="chapar-faust-") as directory:
        analytics = _Analytics(kafka, clock, directory, fault)
        await analytics.run(on_ready)


class _Analytics:
    def __init__(self, kafka: KafkaSettings, clock: Clock, directory: str, fault: Callable[[str], None] | None) -> None:
        self._clock = clock
        self._fault = fault or _no_fault
        self._places = asyncio.Semaphore(_IN_FLIGHT)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._app = app = _application(kafka, directory)
        raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
        answers = app.topic(kafka.topic_prefix + INPUT, internal=False, **raw)
        self._table = _AwaitableTable(
            app,
            name="scores",
            key_type=bytes,
            value_type=bytes,
            changelog_topic=app.topic(kafka.topic_prefix + OUTPUT, internal=False, **raw),
        )
        app.tables.add(self._table)
        app.agent(answers, name="scores", concurrency=1)(self._agent)

    async def run(self, on_ready: Callable[[], None] | None) -> None:
        async with faust_app_running(self._app, stop_timeout=_STOP_S):
            if on_ready is not None:
                on_ready()
            stopped = asyncio.ensure_future(self._app.wait_until_stopped())
            try:
                await asyncio.wait({stopped, self._failed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopped.cancel()
            cause = self._failed.exception() if self._failed.done() else self._app.crash_reason
            raise AnalyticsFailed(f"folding answers into scores stopped: {cause!r}") from cause

    async def _agent(self, stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                await self._places.acquire()
                self._take(event)
        except Exception as error:  # noqa: BLE001 - not swallowed: it ends `run`
            # Faust would log it, start the agent again and go on behind the event.
            self._fail(error)
            # Nothing more is taken: the process is about to end.
            await asyncio.Event().wait()

    def _take(self, event: Any) -> None:
        message = event.message
        try:
            record = parse_record(event.value)
            seen = observation(record)
        except Untranslatable as error:
            # The survey lane wrote it, so this is a bug of ours; it must not stop the figures of everybody else.
            log.error("answer not understood", partition=message.partition, offset=message.offset, why=str(error))
            seen = None
        if seen is not None:
            now_ms = self._clock()
            for dimension in seen.dimensions():
                key = score_key(dimension, message.partition)
                stored = self._table.get(key)
                fold = parse_score(stored)[2] if stored is not None else Fold()
                taken = fold.take(seen, message.offset)
                if taken is not fold:
                    self._table[key] = score_record(dimension, message.partition, taken, now_ms).SerializeToString()
        self._fault("changed")
        written = asyncio.gather(*self._table.changes())
        written.add_done_callback(lambda done: self._written(event, done))

    def _written(self, event: Any, done: "asyncio.Future[list[Any]]") -> None:
        self._places.release()
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            self._fail(error)
        elif not self._failed.done():
            self._fault("written")
            event.ack()

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)


class _AwaitableTable(faust.Table[bytes, bytes]):
    """A table whose changes can be waited for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sent: deque[Awaitable[Any]] = deque()

    def send_changelog(self, *args: Any, **options: Any) -> Any:
        sent = super().send_changelog(*args, **options)
        self._sent.append(sent)
        return sent

    def changes(self) -> list[Awaitable[Any]]:
        """What was sent since the last call."""
        sent = list(self._sent)
        self._sent.clear()
        return sent


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


def _application(kafka: KafkaSettings, directory: str) -> Any:
    servers = ";".join(f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(","))
    return _App(
        kafka.topic_prefix + _GROUP,
        broker=servers,
        broker_credentials=_credentials(kafka),
        broker_client_id=_GROUP,
        broker_session_timeout=10.0,
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


def _no_fault(_point: str) -> None:
    """Production."""
