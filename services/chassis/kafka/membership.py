"""One membership of a consumer group: the consumer, its assignment, and the lanes that it feeds.

The first statement of `on_partitions_assigned` pauses, because records can arrive before it ends; nothing is restored inside it, because no
heartbeats run during it. `getmany` is called even while everything is paused, or the group would remove the member. `on_partitions_revoked`
waits until the lanes have stopped, with a deadline; `stop()` does not call it, so `close` does the same.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, OffsetOutOfRangeError

from services.chassis.kafka.clients import (
    FETCH_WAIT_MS,
    BrokerError,
    close_consumer,
    group_consumer,
    record_of,
)
from services.chassis.kafka.evidence import committed_with_text, ids_of
from services.chassis.kafka.hang_watch import HangWatch
from services.chassis.kafka.lane_dependencies import LaneDependencies
from services.chassis.kafka.partition import PartitionLane
from services.chassis.kafka.witness import InputState, Witness

log = logging.getLogger(__name__)

_POLL_MS: Final = 1000
_POLL_RECORDS: Final = 500
"""Bytes decoded in one step: about 5 ms of the event loop."""
_ANSWER: Final = 5.0


class Membership(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Joins the group and runs a lane for each assigned partition until `close`. Implements `parts.Source`."""

    def __init__(self, parts: LaneDependencies, held: Mapping[int, bool]) -> None:
        self._parts = parts
        self._topic = parts.kafka.topic_prefix + parts.spec.input
        self._changelog = parts.kafka.topic_prefix + parts.spec.changelog_topic
        self._held = held
        self._lanes: dict[int, PartitionLane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._assigned = False
        self._committed: dict[TopicPartition, tuple[int, str]] = {}
        self._consumer: Any = None
        self._scope = asyncio.TaskGroup()
        self._watch = HangWatch(parts)
        self.over = asyncio.Event()
        self.failure: Exception | None = None
        """The failure that ended this membership: a bug (fatal), or the broker's absence (try again)."""

    @property
    def lanes(self) -> Mapping[int, PartitionLane]:
        """The lanes of the current assignment, live or not."""
        return self._lanes

    @property
    def restored(self) -> bool:
        """Whether the group has assigned partitions, and every assigned partition is live; or refused, if another one is live."""
        lanes = self._lanes.values()
        live = sum(lane.processor is not None for lane in lanes)
        return self._assigned and live + len(self.refused) == len(lanes) and (live > 0 or not lanes)

    @property
    def refused(self) -> Mapping[int, str]:
        """The partitions that are ours and that their lanes refuse to take over, and why."""
        refusals = {partition: lane.refused.reason for partition, lane in self._lanes.items()}
        return {partition: reason for partition, reason in refusals.items() if reason is not None}

    @property
    def hanging(self) -> Mapping[int, str]:
        """The partitions that are ours and that a transaction without an end holds back, and a sentence about each."""
        return {partition: said for partition, said in self._watch.hanging.items() if partition in self._lanes}

    async def run(self) -> None:
        """Run until `over` is set. Then stop the lanes, commit offsets, and leave the group."""
        tuning = self._parts.tuning
        self._consumer = group_consumer(
            self._parts.kafka,
            group=self._parts.spec.group,
            client_id=self._parts.client_id,
            session_timeout_ms=tuning.session_timeout_ms,
            heartbeat_interval_ms=tuning.heartbeat_interval_ms,
            rebalance_timeout_ms=tuning.rebalance_timeout_ms,
            on_unknown_position="none",
            group_instance=tuning.group_instance,
            fetch_wait_ms=FETCH_WAIT_MS,
        )
        self._consumer.subscribe([self._topic], listener=self)
        try:
            async with self._scope as tasks:
                watching = self._watch.run(
                    lambda: {each: lane.processor is not None for each, lane in self._lanes.items()}
                )
                helpers = [tasks.create_task(each) for each in (self._poll(), self._report(), watching)]
                await self.over.wait()
                await self._let_go(tuning.stop_timeout)
                for helper in helpers:
                    helper.cancel()
            with suppress(BrokerError, TimeoutError):
                await self._commit_offsets()
        finally:
            await close_consumer(self._consumer, tuning.close_timeout)

    # -- the group's callbacks

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._consumer.pause(*assigned)
        for tp in assigned:
            # A valid position, so that nothing is looked up or reset before the lane knows its position.
            self._consumer.seek(tp, 0)
        self._assigned = True
        self._parts.metrics.rebalanced(self._parts.spec.name, len(assigned))
        self._parts.metrics.input_partitions(
            self._parts.spec.name, len(self._consumer.partitions_for_topic(self._topic) or ())
        )
        if self.over.is_set():
            return
        for tp in sorted(assigned):
            lane = PartitionLane(self._parts, tp.partition, self)
            lane.hold(held=self._held.get(tp.partition, False))
            self._lanes[tp.partition] = lane
            self._tasks[tp.partition] = self._scope.create_task(self._run_lane(lane))
        self._parts.on_assignment()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        tuning = self._parts.tuning
        await self._let_go(min(tuning.stop_timeout, 0.6 * tuning.rebalance_timeout_ms / 1000))

    async def _run_lane(self, lane: PartitionLane) -> None:
        try:
            await lane.run()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - any exception of a lane ends the membership, and the runner raises it
            log.critical("%s: stopped: %r", lane, error)
            self._end(error)

    async def _let_go(self, deadline: float) -> None:
        """Let every lane finish its current batch and close its producers; a lane that exceeds `deadline` is cancelled (and fenced later)."""
        lanes, tasks = list(self._lanes.values()), list(self._tasks.values())
        for lane in lanes:
            lane.stop()
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=deadline)
            for task in late:
                log.warning("a lane of %s did not end within %.1f s and is cancelled", self._parts.spec.name, deadline)
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=4 * self._parts.tuning.close_timeout)
        with suppress(BrokerError, TimeoutError):
            await self._commit_offsets()
        self._lanes.clear()
        self._tasks.clear()
        self._assigned = False
        self._parts.on_assignment()

    def _end(self, failure: Exception | None) -> None:
        if self.failure is None:
            self.failure = failure
        self.over.set()

    # -- internal methods

    async def _poll(self) -> None:
        pause = self._parts.tuning.fetch_pause
        try:
            await self._consumer.start()
            while not self.over.is_set():
                found = await self._poll_once()
                # getmany does not yield while it has records: the lanes must run as well, also without a pause.
                await asyncio.sleep(pause if found else 0)
        except (BrokerError, OSError) as error:
            self._end(error)

    async def _poll_once(self) -> bool:
        """Fetch, and return whether there was anything."""
        try:
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
        except OffsetOutOfRangeError as error:
            self._restart_out_of_range(error)
        for tp, messages in batches.items():
            lane = self._lanes.get(tp.partition)
            if lane is not None:
                lane.offer([record_of(self._parts.spec.input, message) for message in messages])
        return bool(batches)

    def _restart_out_of_range(self, error: Exception) -> NoReturn:
        """Retention deleted records before a reader got them, or the topic was recreated: the lane takes over again and checks the bounds."""
        log.error("input of %s is out of range: %s", self._parts.spec.name, error)
        raise BrokerError(f"offset out of range: {error}") from error

    async def _report(self) -> None:
        """Commit offsets for tools that watch the group's lag, and set the gauges."""
        while True:
            await asyncio.sleep(self._parts.tuning.offsets_interval)
            self._gauge()
            try:
                if self._assigned and not self._lanes and not self._consumer.partitions_for_topic(self._topic):
                    # The topic was away when the group assigned its partitions; the client would look again after minutes.
                    await self._consumer._client.force_metadata_update()
                await self._commit_offsets()
            except (CommitFailedError, TimeoutError):
                continue  # a rebalance is in progress; the next owner will commit
            except BrokerError as error:
                log.warning("offsets of %s not committed: %r", self._parts.spec.group, error)

    async def _commit_offsets(self) -> None:
        offsets: dict[TopicPartition, tuple[int, str]] = {}
        for partition, lane in tuple(self._lanes.items()):  # a rebalance may change them meanwhile
            offset, witness = await self._offset_of(partition, lane), lane.witness
            if offset is not None and witness is not None:
                offsets[TopicPartition(self._topic, partition)] = offset, witness.encode()
        if offsets and offsets != self._committed:  # an idle lane writes nothing to the broker
            await self._check_input({witness.input for lane in self._lanes.values() if (witness := lane.witness)})
            try:
                async with asyncio.timeout(_ANSWER):
                    await self._consumer.commit(offsets)
                self._committed = offsets
            except IllegalStateError as error:  # the assignment changed meanwhile
                raise CommitFailedError from error

    async def _check_input(self, ids: set[str]) -> None:
        """Raise BrokerError when the input is another topic than the lanes know: they take over again, and refuse it."""
        async with asyncio.timeout(_ANSWER):
            (now,) = await ids_of(self._consumer, self._topic)
        if now and ids - {now, ""}:
            error = BrokerError(f"{self._topic} was deleted and created again")
            self._end(error)
            raise error

    async def _offset_of(self, partition: int, lane: PartitionLane) -> int | None:
        """Return the committed offset; past trailing transaction markers when no record waits, so that the lag is shown as 0."""
        committed, idle_at = lane.committed_offset, lane.idle_at
        if idle_at is None or lane.processor is None:
            return committed
        with suppress(IllegalStateError):
            position = int(await self._consumer.position(TopicPartition(self._topic, partition)))
            if lane.idle_at == idle_at:
                return max(idle_at, position)
        return committed

    def _gauge(self) -> None:
        name, metrics, now = self._parts.spec.name, self._parts.metrics, self._parts.clock()
        for partition, lane in self._lanes.items():
            if lane.committed_offset is None:
                continue
            with suppress(IllegalStateError, AssertionError):
                stable = self._consumer.last_stable_offset(TopicPartition(self._topic, partition))
                behind = 0 if lane.idle_at is not None else max(0, (stable or 0) - lane.committed_offset)
                oldest = lane.oldest_waiting_ms
                metrics.lag(name, partition, behind, 0.0 if oldest is None else max(0, now - oldest) / 1000)
            metrics.oldest_uncommitted(name, partition, lane.oldest_uncommitted)
            lane.observe()

    # -- parts.Source

    def seek(self, partition: int, offset: int) -> None:
        self._consumer.seek(TopicPartition(self._topic, partition), offset)

    def pause(self, partition: int) -> None:
        with suppress(IllegalStateError):  # revoked meanwhile
            self._consumer.pause(TopicPartition(self._topic, partition))

    def resume(self, partition: int) -> None:
        with suppress(IllegalStateError):
            self._consumer.resume(TopicPartition(self._topic, partition))

    async def look(self, partition: int) -> InputState:
        # Over the writer's connections: on the consumer's, an answer waits behind a fetch of the lanes that work already.
        cluster = (await self._parts.writer.incarnation()).cluster
        place = self._topic, partition
        begin, end = await cluster.begin_of(place), await cluster.end_of(place, committed=True)
        async with asyncio.timeout(_ANSWER):
            offset, text = await committed_with_text(self._consumer, TopicPartition(*place))
            now, log_id = await ids_of(cluster, self._topic, self._changelog)
        return InputState(now, begin, end, log_id, offset, Witness.decode(text))

    async def read_to(self, partition: int) -> int | None:
        try:
            return int(await self._consumer.position(TopicPartition(self._topic, partition)))
        except IllegalStateError:
            return None

    def answered_at(self, partition: int) -> int | None:
        with suppress(AssertionError):  # revoked meanwhile
            answered: int | None = self._consumer.last_poll_timestamp(TopicPartition(self._topic, partition))
            return answered
        return None

    async def still_ours(self, partition: int) -> bool:
        tp = TopicPartition(self._topic, partition)
        try:
            async with asyncio.timeout(_ANSWER):
                offset, text = await committed_with_text(self._consumer, tp)
                await self._consumer.commit({tp: (offset or 0, text)})
        except (BrokerError, TimeoutError, IllegalStateError) as error:
            log.info("lane %s/%d: not confirmed as owner: %r", self._parts.spec.name, partition, error)
            return False
        return True
