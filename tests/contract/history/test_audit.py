"""The audit log's table and its readers, on SQLite and on PostgreSQL."""

from collections.abc import Sequence

import pytest

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2, types_pb2
from services.chassis.errors import ChaparError
from services.chassis.kafka.records import Record
from services.ingest.adapters.history import store
from services.ingest.adapters.history.audit_reader import MOST_PAGE_BYTES, MOST_PAGE_TARGETS, AuditReader
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.mapping import fact
from tests.contract.history.records import T0
from tests.fakes.privacy import MemoryKeys


def a_record(
    n: int, *, tenant: str = "acme", subject: str = "operator", targets: Sequence[tuple[str, str]], calls: int = 1
) -> Record:
    body = audit_pb2.AuditRecord(
        event_id=f"e{n:03}",
        tenant=tenant,
        service="ingest",
        method="chapar.ingest.v1.PersonService/GetPerson",
        action=options_pb2.AUDIT_ACTION_READ,
        targets=[audit_pb2.AuditedTarget(kind=kind, id=each) for kind, each in targets],
        subject=subject,
        outcome=audit_pb2.AUDIT_OUTCOME_RETURNED,
        occurred_at_ms=T0 + n,
        calls=calls,
    )
    return Record("audit.v1", 0, n, T0, tenant.encode(), body.SerializeToString(), ())


async def write(database: Database, records: Sequence[Record]) -> None:
    async with database.engine.connect() as connection:
        before = await store.positions(connection, [("audit.v1", 0)])
        facts = [found for found in (fact(each, MemoryKeys()) for each in records) if found is not None]
        await store.write(connection, facts, before, {("audit.v1", 0): records[-1].offset + 1})


def ids(answer: audit_pb2.ListAuditResponse) -> list[str]:
    return [record.event_id for record in answer.records]


async def test_records_come_newest_first_in_pages_with_all_their_targets(database: Database) -> None:
    """A record with several targets is one record, also where a page ends."""
    people = [("person", f"p{n}") for n in range(3)]
    await write(database, [a_record(n, targets=people) for n in range(5)])
    reader = AuditReader(FairReads(database))
    first = await reader.list("acme", audit_pb2.ListAuditRequest(page=types_pb2.PageRequest(size=3)))
    assert ids(first) == ["e004", "e003", "e002"]
    assert [[(t.kind, t.id) for t in record.targets] for record in first.records] == [people] * 3
    request = audit_pb2.ListAuditRequest(page=types_pb2.PageRequest(size=3, cursor=first.page.next_cursor))
    second = await reader.list("acme", request)
    assert (ids(second), second.page.next_cursor) == (["e001", "e000"], "")


async def pages(reader: AuditReader) -> list[audit_pb2.ListAuditResponse]:
    """Return every page, requested with the largest size."""
    found: list[audit_pb2.ListAuditResponse] = []
    cursor = ""
    while not found or cursor:
        request = audit_pb2.ListAuditRequest(page=types_pb2.PageRequest(size=500, cursor=cursor))
        found.append(await reader.list("acme", request))
        cursor = found[-1].page.next_cursor
    return found


@pytest.mark.parametrize("id_bytes", [36, 400])
async def test_a_page_is_bounded_in_targets_and_bytes(database: Database, id_bytes: int) -> None:
    """A page holds some of the records with 500 targets each; all pages together hold every record with every target."""
    targets = [("person", f"{n:0{id_bytes}}") for n in range(500)]
    await write(database, [a_record(n, targets=targets) for n in range(12)])
    invitations = await pages(AuditReader(FairReads(database)))
    assert [each for answer in invitations for each in ids(answer)] == [f"e{n:03}" for n in reversed(range(12))]
    assert all(len(record.targets) == 500 for answer in invitations for record in answer.records)
    assert all(answer.ByteSize() <= MOST_PAGE_BYTES + 1000 for answer in invitations)
    assert all(sum(len(record.targets) for record in answer.records) <= MOST_PAGE_TARGETS for answer in invitations)
    assert 1 < len(invitations) < 12


async def test_one_record_larger_than_a_page_is_a_page(database: Database) -> None:
    """So a list can always continue."""
    reader = AuditReader(FairReads(database), most_page_bytes=1)
    await write(database, [a_record(n, targets=[("person", "p")]) for n in range(3)])
    assert [ids(answer) for answer in await pages(reader)] == [["e002"], ["e001"], ["e000"]]


async def test_refusals_before_the_request_was_read_have_a_number_and_no_targets(database: Database) -> None:
    """There is one record for many calls."""
    await write(database, [a_record(0, targets=[], calls=999)])
    [record] = (await AuditReader(FairReads(database)).list("acme", audit_pb2.ListAuditRequest())).records
    assert (record.calls, list(record.targets)) == (999, [])


async def test_terms_choose_by_actor_target_and_time(database: Database) -> None:
    """Every given term must match."""
    await write(
        database,
        [
            a_record(0, subject="ann", targets=[("person", "p1")]),
            a_record(1, subject="bob", targets=[("person", "p1"), ("conversation", "c")]),
            a_record(2, subject="bob", targets=[("person", "p2")]),
        ],
    )
    reader = AuditReader(FairReads(database))
    assert ids(await reader.list("acme", audit_pb2.ListAuditRequest(actor="bob"))) == ["e002", "e001"]
    assert ids(await reader.list("acme", audit_pb2.ListAuditRequest(target_id="p1"))) == ["e001", "e000"]
    assert ids(await reader.list("acme", audit_pb2.ListAuditRequest(target_kind="conversation"))) == ["e001"]
    late = audit_pb2.ListAuditRequest()
    getattr(late, "from").FromMilliseconds(T0 + 1)
    late.to.FromMilliseconds(T0 + 2)
    assert ids(await reader.list("acme", late)) == ["e001"]


async def test_another_tenants_records_do_not_exist(database: Database) -> None:
    """Neither in a list nor by a cursor."""
    await write(database, [a_record(n, tenant="other", targets=[("person", "p")]) for n in range(3)])
    reader = AuditReader(FairReads(database))
    assert ids(await reader.list("acme", audit_pb2.ListAuditRequest(target_id="p"))) == []
    with pytest.raises(ChaparError):
        await reader.list("acme", audit_pb2.ListAuditRequest(page=types_pb2.PageRequest(cursor="x")))


async def test_a_repetition_is_one_record_and_a_rebuild_keeps_it(database: Database) -> None:
    """The topic keeps records for 400 days; older records in the database are not lost by a rebuild."""
    await write(database, [a_record(0, targets=[("person", "p")])])
    async with database.engine.connect() as connection:
        await store.clear(connection)
    await write(database, [a_record(0, targets=[("person", "p")])])
    assert ids(await AuditReader(FairReads(database)).list("acme", audit_pb2.ListAuditRequest())) == ["e000"]
