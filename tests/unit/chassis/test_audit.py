"""The audit trail: which records are written and when, and the behaviour when they cannot be written."""

import asyncio
from typing import Any

import pytest

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2
from chapar.ingest.v1 import ingest_pb2
from services.chassis.audit import TOPIC, AuditTrail, hashed_key
from services.chassis.audit_refusals import MOST_OF_A_GROUP, WINDOW_MS
from services.chassis.audit_rules import MOST_TARGETS
from services.chassis.current_call import Call
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.kafka.records import Headers
from services.chassis.metrics import Metrics
from services.chassis.tokens import Caller

ERASE = "/chapar.ingest.v1.PersonService/ErasePerson"
READ = "/chapar.ingest.v1.PersonService/GetPerson"
SEARCH = "/chapar.ingest.v1.IngestService/SearchConversations"
KEY = "ann@example.com-1"
NOW = 1_800_000_000_000


class Log:
    """Keeps records; refuses them while `away`."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bytes, audit_pb2.AuditRecord]] = []
        self.away = False

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers) -> Any:
        if self.away:
            raise BrokerUnavailable("away")
        self.kept.append((topic, key, audit_pb2.AuditRecord.FromString(value)))


def a_call(method: str) -> Call:
    return Call(method, Caller("operator", "acme", frozenset(), "sara"), (), None, KEY)


def a_trail(log: Log) -> AuditTrail:
    return AuditTrail("ingest", log, lambda: NOW, Metrics())


def test_a_change_is_recorded_with_caller_and_target() -> None:
    """The key is the tenant, and the record contains ids only."""
    log = Log()
    trail = a_trail(log)
    rule = trail.rule(ERASE)
    assert rule is not None
    request = ingest_pb2.ErasePersonRequest(person_id="p", identity_ids=["i1", "i2"])
    asyncio.run(trail.requested(a_call(ERASE), rule, request))
    [(topic, key, record)] = log.kept
    assert (topic, key) == (TOPIC, b"acme")
    assert record.event_id
    record.event_id = ""
    assert record == audit_pb2.AuditRecord(
        tenant="acme",
        service="ingest",
        method="chapar.ingest.v1.PersonService/ErasePerson",
        action=options_pb2.AUDIT_ACTION_CHANGE,
        targets=[
            audit_pb2.AuditedTarget(kind="person", id="p"),
            audit_pb2.AuditedTarget(kind="identity", id="i1"),
            audit_pb2.AuditedTarget(kind="identity", id="i2"),
        ],
        subject="operator",
        agent_id="sara",
        outcome=audit_pb2.AUDIT_OUTCOME_REQUESTED,
        occurred_at_ms=NOW,
        idempotency_key=hashed_key("acme", KEY),
        calls=1,
    )


def test_an_idempotency_key_is_hashed() -> None:
    """A caller may have written a name or an address into it; equal keys of a tenant have equal hashes."""
    log = Log()
    trail = a_trail(log)
    rule = trail.rule(ERASE)
    assert rule is not None
    for _ in range(2):
        asyncio.run(trail.requested(a_call(ERASE), rule, ingest_pb2.ErasePersonRequest(person_id="p")))
    assert KEY.encode() not in b"".join(record.SerializeToString() for _, _, record in log.kept)
    assert len({record.idempotency_key for _, _, record in log.kept}) == 1
    assert hashed_key("acme", KEY) != hashed_key("other", KEY)
    assert hashed_key("acme", "") == ""


def test_a_page_of_many_names_all_of_them_in_several_records() -> None:
    """The largest page has 500 conversations of 500 persons: each is named, and no record exceeds its limit."""
    log = Log()
    trail = a_trail(log)
    rule = trail.rule(SEARCH)
    assert rule is not None
    rows = [ingest_pb2.ConversationView(conversation_id=f"c{n}", person_id=f"p{n}") for n in range(500)]
    answer = ingest_pb2.SearchConversationsResponse(conversations=rows)
    asyncio.run(trail.returned(a_call(SEARCH), rule, ingest_pb2.SearchConversationsRequest(), answer))
    records = [record for _, _, record in log.kept]
    assert all(0 < len(record.targets) <= MOST_TARGETS for record in records)
    named = {(target.kind, target.id) for record in records for target in record.targets}
    assert named == {(kind, f"{kind[0]}{n}") for n in range(500) for kind in ("conversation", "person")}
    assert len({record.event_id for record in records}) == len(records)
    assert {(r.method, r.subject, r.occurred_at_ms, r.outcome) for r in records} == {
        (SEARCH[1:], "operator", NOW, audit_pb2.AUDIT_OUTCOME_RETURNED)
    }


class Time:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_ms = NOW

    def __call__(self) -> int:
        return self.now_ms


def refuse(trail: AuditTrail, times: int = 1, *, subject: str = "operator", method: str = ERASE) -> None:
    async def ask() -> None:
        for _ in range(times):
            await trail.turned_away(Caller(subject, "acme", frozenset(), "sara"), method, "SCOPE_MISSING")

    asyncio.run(ask())


def test_refusals_before_the_request_are_recorded_once_and_then_by_number() -> None:
    """A thousand refusals of a caller in a window are two records."""
    log, time = Log(), Time()
    trail = AuditTrail("ingest", log, time, Metrics())
    refuse(trail, 1000)
    [(topic, key, first)] = log.kept
    assert (topic, key, first.calls, first.occurred_at_ms) == (TOPIC, b"acme", 1, NOW)
    assert (first.subject, first.agent_id, first.method) == ("operator", "sara", ERASE[1:])
    assert (first.outcome, first.reason) == (audit_pb2.AUDIT_OUTCOME_REFUSED, "SCOPE_MISSING")
    assert (first.action, list(first.targets)) == (options_pb2.AUDIT_ACTION_CHANGE, [])
    asyncio.run(trail.record_refusals())
    assert len(log.kept) == 1, "the window has not ended"
    time.now_ms += WINDOW_MS
    asyncio.run(trail.record_refusals())
    assert [record.calls for _, _, record in log.kept] == [1, 999]
    time.now_ms += WINDOW_MS
    asyncio.run(trail.record_refusals())
    assert len(log.kept) == 2, "a quiet window has no record"
    refuse(trail)
    assert len(log.kept) == 3, "and the next refusal is recorded at once"


def test_refusals_of_many_callers_are_bounded_and_none_is_lost() -> None:
    """Above the limit of a tenant they are counted by reason; those of another tenant are still recorded."""
    log = Log()
    trail = a_trail(log)
    for n in range(3 * MOST_OF_A_GROUP):
        refuse(trail, subject=f"s{n}")
    asyncio.run(trail.turned_away(Caller("b", "beta", frozenset()), ERASE, "SCOPE_MISSING"))
    asyncio.run(trail.record_refusals(all_windows=True))
    records = [record for _, _, record in log.kept if record.tenant == "acme"]
    assert len(records) <= MOST_OF_A_GROUP + 2
    assert sum(record.calls for record in records) == 3 * MOST_OF_A_GROUP
    assert {record.subject for record in records} >= {"", "s0", f"s{MOST_OF_A_GROUP - 1}"}
    assert [record.subject for _, _, record in log.kept if record.tenant == "beta"] == ["b"]


def test_a_service_that_invents_tenants_is_bounded_too() -> None:
    """It names its tenant per call; all tenants that it names share one limit."""
    log = Log()
    trail = a_trail(log)
    for n in range(3 * MOST_OF_A_GROUP):
        caller = Caller("cron", f"t{n}", frozenset(), names_tenant=frozenset({"beta"}))
        asyncio.run(trail.turned_away(caller, ERASE, "TENANT_REFUSED"))
    asyncio.run(trail.record_refusals(all_windows=True))
    assert len(log.kept) <= MOST_OF_A_GROUP + 2


def test_refusals_wait_for_a_log_that_is_away() -> None:
    """The caller still gets the refusal; the record is written when the log is back."""
    log, time = Log(), Time()
    trail = AuditTrail("ingest", log, time, Metrics())
    log.away = True
    refuse(trail, 3)
    refuse(trail, 2, method=READ)
    time.now_ms += WINDOW_MS
    asyncio.run(trail.record_refusals())
    assert log.kept == []
    log.away = False
    time.now_ms += WINDOW_MS
    asyncio.run(trail.record_refusals())
    assert [(record.method, record.calls) for _, _, record in log.kept] == [(ERASE[1:], 3), (READ[1:], 2)]


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
    """The refusal is recorded with its reason; if that fails, the caller still gets the refusal."""
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
