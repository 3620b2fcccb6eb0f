"""The block list, as history knows it, on SQLite and on PostgreSQL."""

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2
from services.chassis.metrics import Metrics
from services.ingest.adapters.history.block_reader import BlockReader
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.retention import DAY_MS, Retention
from services.ingest.domain.reach import Reach
from services.ingest.metrics import METRICS
from tests.contract.history.records import T0, Life, as_records
from tests.contract.history.tables_as_data import everything
from tests.contract.history.test_rows import fold, reader_of

HOUR = 3_600_000


def a_person(name: str = "one", tenant: str = "acme") -> Life:
    """A person with a conversation."""
    life = Life(name, tenant=tenant)
    life.opened()
    life.said("hello")
    return life


async def listed(
    database: Database, now_ms: int = T0 + HOUR, tenant: str = "acme", **page: object
) -> ingest_pb2.ListBlockedResponse:
    """Return a page of the list."""
    request = ingest_pb2.ListBlockedRequest(page=types_pb2.PageRequest(**page))  # type: ignore[arg-type]  # a test's page
    return await BlockReader(FairReads(database)).list(tenant, request, now_ms)


async def test_the_list_says_who_blocked_whom_why_and_what_was_kept(database: Database) -> None:
    """With the conversation of the newest kept message."""
    life = a_person()
    life.blocks(T0 + 2 * HOUR, note="threats")
    life.said("pills", blocked=True)
    life.said("more pills", blocked=True)
    await fold(database, as_records(life.log))
    (found,) = (await listed(database)).senders
    assert (found.identity.identity_id, found.identity.native_id) == (life.identity_id, "native-one")
    assert (found.actor, found.note, found.until.ToMilliseconds()) == ("sara", "threats", T0 + 2 * HOUR)
    assert (found.kept_messages, found.conversation_id) == (2, life.conversation_id)
    (shown,) = await BlockReader(FairReads(database)).of_person("acme", life.person_id, T0 + HOUR)
    assert shown == found
    asked = ingest_pb2.GetConversationRequest(conversation_id=life.conversation_id)
    messages = await reader_of(database).conversation(Reach.whole("acme"), asked)
    assert [each.message.blocked for each in messages.messages] == [False, True, True]


async def test_a_block_that_has_ended_is_not_listed(database: Database) -> None:
    """By its time, or because a person has ended it; and the list of another tenant is another."""
    over, ended, other = a_person(), a_person("two"), a_person("three", tenant="globex")
    over.blocks(T0 + HOUR)
    ended.blocks(T0 + 9 * HOUR)
    ended.blocks(0)
    other.blocks(T0 + 9 * HOUR)
    await fold(database, as_records([*over.log, *ended.log, *other.log]))
    assert len((await listed(database, T0 + HOUR - 1)).senders) == 1
    assert not (await listed(database, T0 + HOUR)).senders


async def test_the_list_has_pages(database: Database) -> None:
    """The last end first; each sender once."""
    lives = [a_person(f"n{number}") for number in range(5)]
    for number, life in enumerate(lives):
        life.blocks(T0 + (number // 2 + 2) * HOUR)
    await fold(database, as_records([record for life in lives for record in life.log]))
    found: list[str] = []
    cursor = ""
    while True:
        page = await listed(database, size=2, cursor=cursor)
        found += [each.identity.identity_id for each in page.senders]
        cursor = page.page.next_cursor
        if not cursor:
            break
    assert found == ["n4-id", "n3-id", "n2-id", "n1-id", "n0-id"]


async def test_an_erasure_leaves_the_block_without_personal_data(database: Database) -> None:
    """Whatever comes first. The note is in the words of a person, about a person."""
    life = a_person()
    life.blocks(T0 + 9 * HOUR, note="a note about them")
    life.erased()
    await fold(database, as_records(life.log))
    (found,) = (await listed(database)).senders
    assert (found.identity.native_id, found.note) == ("", "")
    assert "about them" not in str(await everything(database, positions=False))


async def test_a_block_outlives_the_conversation(database: Database) -> None:
    """Until its end has passed the retention too."""
    life = a_person()
    life.blocks(T0 + 100 * DAY_MS)
    await fold(database, as_records(life.log))
    await Retention(database, 5, 5, lambda: T0 + 50 * DAY_MS, Metrics(METRICS)).once()
    assert len((await listed(database)).senders) == 1
    await Retention(database, 5, 5, lambda: T0 + 106 * DAY_MS, Metrics(METRICS)).once()
    assert not (await everything(database, positions=False))["identities"]


async def test_the_story_of_the_interaction_says_that_its_disposition_blocks(database: Database) -> None:
    """Any reader of the story learns why the next message is not routed."""
    life = a_person()
    life.blocks(T0 + HOUR, interaction_id=life.interaction_id, disposition="spam")
    life.said("pills", blocked=True)
    await fold(database, as_records(life.log))
    events = (await everything(database, positions=False))["events"]
    assert [each["interaction_id"] for each in events if each["kind"] == "SenderBlocked"] == [life.interaction_id]
    assert "SENDER_BLOCKED" in str([each["details"] for each in events])
