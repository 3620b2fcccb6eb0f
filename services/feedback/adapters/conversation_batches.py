"""Handles the records of a batch at the same time, in order within a conversation.

Each record costs a call to another service, and most of a call is waiting: one after another, fewer than one a second
go out. So up to `concurrency` conversations have a call in flight.

- The records of one conversation are handled in their order, the next one after the call of the one before.
- If the other service is away, no other conversation begins; the calls in flight end, and the batch comes again
  (`NotNow`). A record that fails for another reason stops its conversation only. Either way the records that were
  handled are remembered, and are not handled again when the batch comes again.
- A process that dies repeats the calls whose offsets were not committed: each call has an idempotency key.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError
from services.chassis.kafka.consumer import NotNow
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.kafka.records import Record
from services.chassis.metrics import Metrics

MAX_BATCH: Final = 200
"""The maximum number of records in a batch. The next batch begins when the slowest call of this one has ended."""
_REMEMBERED: Final = 5 * MAX_BATCH

Handle = Callable[[pb.FeedbackRecord], Awaitable[None]]
"""Handles one record. Raises ChaparError or BrokerUnavailable if a retry may succeed later."""
_Place = tuple[int, int, str]
"""Partition, offset and event id of a record: a topic that was created again has other events at the same offsets."""


class Waiting:
    """The records that were read and not handled yet, by the time of their event."""

    def __init__(self) -> None:
        self._since_ms: dict[_Place, int] = {}

    def __len__(self) -> int:
        return len(self._since_ms)

    def add(self, place: _Place, since_ms: int) -> None:
        """Add a record."""
        self._since_ms[place] = since_ms

    def remove(self, place: _Place) -> None:
        """Remove a record that was handled."""
        self._since_ms.pop(place, None)

    def clear(self) -> None:
        """Forget all: another process may own their partitions now."""
        self._since_ms.clear()

    def oldest_ms(self) -> int | None:
        """Return the time of the oldest event."""
        # A copy, which no other thread sees half-made: scrapes run in a thread.
        return min(list(self._since_ms.values()), default=None)


def invitations_waiting(metrics: Metrics, clock: Clock) -> Waiting:
    """Return a new `Waiting` whose number and age are the gauges of invitations."""
    waiting = Waiting()

    def age_s() -> float:
        oldest_ms = waiting.oldest_ms()
        return max(0, clock() - oldest_ms) / 1000 if oldest_ms is not None else 0.0

    metrics.gauge("chapar_feedback_invitations_waiting").labels().set_function(lambda: len(waiting))
    metrics.gauge("chapar_feedback_oldest_invitation_seconds").labels().set_function(age_s)
    return waiting


class ConversationBatches:
    """Handles batches of one consumer group; see the module."""

    def __init__(self, handle: Handle, concurrency: int, waiting: Waiting | None = None) -> None:
        self._handle_one = handle
        self._concurrency = concurrency
        self._waiting = waiting if waiting is not None else Waiting()
        self._handled: OrderedDict[_Place, None] = OrderedDict()

    async def handle(self, found: Iterable[tuple[Record, pb.FeedbackRecord, str]]) -> None:
        """Handle records, each with the id of its conversation. Returns when all are handled.

        Raises NotNow or BrokerUnavailable if the batch must come again, and otherwise the first failure of a record.
        """
        self._waiting.clear()
        chains: dict[tuple[str, str], deque[tuple[_Place, pb.FeedbackRecord]]] = {}
        for record, parsed, conversation_id in found:
            place = (record.partition, record.offset, parsed.event_id)
            if place not in self._handled:
                self._waiting.add(place, parsed.occurred_at_ms)
                chains.setdefault((parsed.tenant, conversation_id), deque()).append((place, parsed))
        left, away, failed = deque(chains.values()), list[Exception](), list[Exception]()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(self._concurrency, len(left))):
                tasks.create_task(self._work(left, away, failed))
        for failure in (*away, *failed):
            raise failure

    async def _work(
        self, left: deque[deque[tuple[_Place, pb.FeedbackRecord]]], away: list[Exception], failed: list[Exception]
    ) -> None:
        """Take one conversation after another until none is left, or the other service is away."""
        while left and not away:
            for place, parsed in left.popleft():
                try:
                    await self._handle_one(parsed)
                except ChaparError as error:
                    away.append(NotNow(error.reason))
                    return
                except BrokerUnavailable as error:
                    away.append(error)
                    return
                except Exception as error:  # noqa: BLE001 - it says nothing about other conversations; `handle` raises it
                    self._waiting.remove(place)
                    failed.append(error)
                    break
                self._waiting.remove(place)
                self._handled[place] = None
                if len(self._handled) > _REMEMBERED:
                    self._handled.popitem(last=False)
