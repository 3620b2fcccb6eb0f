"""Requests whose caller waits for the decision of a lane.

Only the lane of an entity knows whether it exists, who owns it and what belongs to it; every other view is a copy that lags
behind. So the request is written to the log with the id of a question, and is answered when the verdict arrives in a topic
for verdicts. A verdict is in the same transaction as its effects: OK means done. The cost is one commit of the lane: some
tens of milliseconds. Without a verdict in time the answer is UNAVAILABLE. The same request, sent again with its
idempotency key, gets the verdict of the first.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing

from google.protobuf.message import DecodeError

from chapar.common.v1 import verdict_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.ids import random_id
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.lane import Outbox, Record
from services.chassis.keys import tenant_key
from services.chassis.logs import get_logger
from services.chassis.reasons import Reason


class LaneQuestions:
    """One for all edges of the process. Everything runs in one event loop. `kinds`: refusal reason to error kind; INVALID if not named."""

    def __init__(self, timeout_s: float, kinds: Mapping[str, ErrorKind]) -> None:
        self._timeout_s = timeout_s
        self._kinds = kinds
        self._waiting: dict[tuple[str, str], asyncio.Future[verdict_pb2.Verdict]] = {}
        self._listening = asyncio.Event()
        self._log = get_logger(__name__)

    def listening(self) -> None:
        """Record that from now on no verdict is missed."""
        self._listening.set()

    async def run(self, records: AsyncIterator[Record]) -> None:
        """Read verdicts until cancelled."""
        async with aclosing(records) as stream:  # type: ignore[type-var]  # it is a generator; its type is iterator
            async for record in stream:
                self.take(record)

    def take(self, record: Record) -> None:
        """Take one verdict."""
        try:
            verdict = verdict_pb2.Verdict.FromString(record.value or b"")
        except DecodeError:
            self._log.error(
                "verdict not readable", topic=record.topic, partition=record.partition, offset=record.offset
            )
            return
        waiting = self._waiting.get((verdict.tenant, verdict.question_id))
        if waiting is not None and not waiting.done():
            waiting.set_result(verdict)

    async def ask(self, tenant: str, publish: Callable[[str], Awaitable[object]]) -> None:
        """Call `publish`, which makes the request durable with the given id, and wait. Raises the lane's refusal, and UNAVAILABLE."""
        question_id = random_id()
        key = (tenant, question_id)
        answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._listening.wait()
                await publish(question_id)
                verdict = await answer
        except TimeoutError as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.NOT_DECIDED,
                "the request is not decided yet: send it again with the same idempotency key",
                retry_after_s=1,
            ) from error
        finally:
            del self._waiting[key]
        if verdict.refused:
            kind = self._kinds.get(verdict.refused, ErrorKind.INVALID)
            raise ChaparError(kind, verdict.refused, verdict.detail or "the request cannot be carried out")


def answer_question(
    outbox: Outbox, topic: str, tenant: str, question_id: str, refused: str = "", detail: str = ""
) -> None:
    """Write a lane's verdict, in the same transaction as its effects."""
    verdict = verdict_pb2.Verdict(tenant=tenant, question_id=question_id, refused=refused, detail=detail)
    headers = record_headers(topic, question_id, tenant)
    outbox.send(topic, tenant_key(tenant, question_id), verdict.SerializeToString(), headers)
