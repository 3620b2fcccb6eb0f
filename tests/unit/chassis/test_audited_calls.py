"""The order of recording and acting in the interceptor."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from chapar.audit.v1 import audit_pb2
from chapar.ingest.v1 import ingest_pb2
from chapar.router.v1 import router_pb2
from services.chassis.audit import AuditTrail
from services.chassis.current_call import Call
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.audited import AuditedCalls
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.kafka.records import Headers
from services.chassis.metrics import Metrics
from services.chassis.tokens import Caller

ERASE = "/chapar.ingest.v1.PersonService/ErasePerson"
READ = "/chapar.ingest.v1.PersonService/GetPerson"
WATCH = "/chapar.ingest.v1.IngestService/WatchConversation"
SESSION = f"/{router_pb2.DESCRIPTOR.services_by_name['AgentService'].full_name}/Session"
SUBMIT = "/chapar.ingest.v1.IngestService/Submit"
REQUESTS = {
    ERASE: ingest_pb2.ErasePersonRequest(person_id="p"),
    READ: ingest_pb2.GetPersonRequest(person_id="p"),
    SUBMIT: ingest_pb2.SubmitRequest(),
}
WATCHED = ingest_pb2.WatchConversationRequest(conversation_id="c")


class Log:
    """Keeps one line for each step, in order."""

    def __init__(self, *, away: bool = False) -> None:
        self.steps: list[str] = []
        self.away = away
        self.none: tuple[str, ...] = ()

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers) -> Any:
        if self.away:
            raise BrokerUnavailable("away")
        record = audit_pb2.AuditRecord.FromString(value)
        self.steps.append(audit_pb2.AuditOutcome.Name(record.outcome).removeprefix("AUDIT_OUTCOME_").lower())

    async def work(self) -> str:
        self.steps.append("work")
        return "response"

    async def refuse(self) -> str:
        raise ChaparError(ErrorKind.NOT_FOUND, "UNKNOWN", "no")

    async def unknown(self) -> AsyncGenerator[str, None]:
        yield await self.refuse()

    async def nothing(self) -> AsyncGenerator[str, None]:
        for each in self.none:
            yield each

    async def answers(self) -> AsyncGenerator[str, None]:
        self.steps.append("first")
        yield "first"
        raise ChaparError(ErrorKind.NOT_FOUND, "UNKNOWN", "no")


def calls(log: Log) -> AuditedCalls:
    return AuditedCalls(AuditTrail("ingest", log, lambda: 1, Metrics()))


def a_call(method: str) -> Call:
    return Call(method, Caller("operator", "acme", frozenset(), ""), (), None, "")


@pytest.mark.parametrize(
    ("method", "steps"), [(ERASE, ["requested", "work"]), (READ, ["work", "returned"]), (SUBMIT, ["work"])]
)
def test_changes_are_recorded_before_and_reads_before_the_answer_leaves(method: str, steps: list[str]) -> None:
    """A method without a rule runs without a record."""
    log = Log()
    assert asyncio.run(calls(log).unary(a_call(method), REQUESTS[method], log.work)) == "response"
    assert log.steps == steps


@pytest.mark.parametrize(("method", "steps"), [(ERASE, []), (READ, ["work"])])
def test_without_the_audit_log_nothing_is_changed_and_nothing_leaves(method: str, steps: list[str]) -> None:
    """A change is not begun; the result of a read is discarded."""
    log = Log(away=True)
    with pytest.raises(ChaparError) as refused:
        asyncio.run(calls(log).unary(a_call(method), REQUESTS[method], log.work))
    assert refused.value.reason == "AUDIT_AWAY"
    assert log.steps == steps


def test_a_refused_call_is_recorded_as_refused() -> None:
    """The caller gets the handler's own error."""
    log = Log()
    with pytest.raises(ChaparError) as refused:
        asyncio.run(calls(log).unary(a_call(READ), REQUESTS[READ], log.refuse))
    assert refused.value.reason == "UNKNOWN"
    assert log.steps == ["refused"]


async def follow(log: Log, answers: AsyncGenerator[str, None], method: str = WATCH) -> None:
    async for answer in calls(log).stream(a_call(method), WATCHED, answers):
        log.steps.append(f"left: {answer}")


def test_a_stream_is_recorded_before_its_first_answer_leaves_and_when_it_is_refused() -> None:
    """There is one record for the stream, not one for each response."""
    log = Log()
    with pytest.raises(ChaparError):
        asyncio.run(follow(log, log.answers()))
    assert log.steps == ["first", "returned", "left: first", "refused"]


def test_a_stream_that_is_refused_at_once_was_not_returned() -> None:
    """The record shows the real outcome: a conversation that is out of reach was not read."""
    log = Log()
    with pytest.raises(ChaparError) as refused:
        asyncio.run(follow(log, log.unknown()))
    assert refused.value.reason == "UNKNOWN"
    assert log.steps == ["refused"]


def test_a_stream_that_ends_without_an_answer_is_recorded() -> None:
    """The caller learned that there is no data."""
    log = Log()
    asyncio.run(follow(log, log.nothing()))
    assert log.steps == ["returned"]


def test_a_stream_of_changes_is_recorded_before_it_begins() -> None:
    """The handler does not run before."""
    log = Log()
    with pytest.raises(ChaparError):
        asyncio.run(follow(log, log.answers(), SESSION))
    assert log.steps == ["requested", "first", "left: first", "refused"]


def test_without_the_audit_log_nothing_of_a_stream_leaves() -> None:
    """The caller gets AUDIT_AWAY instead of the first answer."""
    log = Log(away=True)
    with pytest.raises(ChaparError) as refused:
        asyncio.run(follow(log, log.answers()))
    assert (refused.value.reason, log.steps) == ("AUDIT_AWAY", ["first"])
