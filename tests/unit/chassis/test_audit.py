"""The audit trail: what is written when, and what happens when it can't be."""

import asyncio
from typing import Any

import pytest

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2
from chapar.ingest.v1 import ingest_pb2
from services.chassis.audit import TOPIC, AuditTrail
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.context import Call
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.metrics import Metrics
from services.chassis.tokens import Caller

ERASE = "/chapar.ingest.v1.PersonService/ErasePerson"
READ = "/chapar.ingest.v1.PersonService/GetPerson"
NOW = 1_800_000_000_000


class Log:
    """Keeps records; refuses them while `away`."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bytes, audit_pb2.AuditRecord]] = []
        self.away = False

    async def publish(self, topic: str, key: bytes, value: bytes) -> Any:
        if self.away:
            raise BrokerUnavailable("away")
        self.kept.append((topic, key, audit_pb2.AuditRecord.FromString(value)))


def a_call(method: str) -> Call:
    return Call(method, Caller("operator", "acme", frozenset(), "sara"), (), None, "key-1")


def a_trail(log: Log) -> AuditTrail:
    return AuditTrail("ingest", log, lambda: NOW, Metrics())


def test_a_change_is_recorded_with_who_and_what() -> None:
    """Key: the tenant. Ids only."""
    log = Log()
    trail = a_trail(log)
    rule = trail.rule(ERASE)
    assert rule is not None
    asyncio.run(trail.requested(a_call(ERASE), rule, ingest_pb2.ErasePersonRequest(person_id="p")))
    [(topic, key, record)] = log.kept
    assert (topic, key) == (TOPIC, b"acme")
    assert record.event_id
    record.event_id = ""
    assert record == audit_pb2.AuditRecord(
        tenant="acme",
        service="ingest",
        method="chapar.ingest.v1.PersonService/ErasePerson",
        action=options_pb2.AUDIT_ACTION_CHANGE,
        targets=[audit_pb2.AuditedTarget(kind="person", id="p")],
        subject="operator",
        agent_id="sara",
        outcome=audit_pb2.AUDIT_OUTCOME_REQUESTED,
        occurred_at_ms=NOW,
        idempotency_key="key-1",
    )


@pytest.mark.parametrize("what", ["requested", "returned"])
def test_without_the_log_nothing_is_changed_or_returned(what: str) -> None:
    """The caller gets UNAVAILABLE and tries again."""
    log = Log()
    log.away = True
    trail = a_trail(log)
    rule = trail.rule(READ)
    assert rule is not None
    request = ingest_pb2.GetPersonRequest(person_id="p")
    work = (
        trail.requested(a_call(READ), rule, request)
        if what == "requested"
        else trail.returned(a_call(READ), rule, request, None)
    )
    with pytest.raises(ChaparError) as refused:
        asyncio.run(work)
    assert (refused.value.kind, refused.value.reason) == (ErrorKind.UNAVAILABLE, "AUDIT_AWAY")


def test_a_refusal_holds_without_the_log() -> None:
    """It is recorded with its reason; when that fails, the caller still gets the refusal."""
    log = Log()
    trail = a_trail(log)
    rule = trail.rule(READ)
    assert rule is not None
    error = ChaparError(ErrorKind.PERMISSION_DENIED, "NOT_YOURS", "no")
    request = ingest_pb2.GetPersonRequest(person_id="p")
    asyncio.run(trail.refused(a_call(READ), rule, request, error))
    assert (log.kept[0][2].outcome, log.kept[0][2].reason) == (audit_pb2.AUDIT_OUTCOME_REFUSED, "NOT_YOURS")
    log.away = True
    asyncio.run(trail.refused(a_call(READ), rule, request, error))
    assert len(log.kept) == 1
