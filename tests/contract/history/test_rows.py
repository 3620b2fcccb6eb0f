"""The rows that history keeps and its answers, on SQLite and on PostgreSQL."""

from collections.abc import Sequence

import pytest

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, records_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis.errors import ChaparError
from services.chassis.kafka.records import Record
from services.ingest.adapters.history import store
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.mapping import fact
from services.ingest.adapters.history.reader import HistoryReader
from services.ingest.domain.reach import Reach
from tests.contract.history.records import T0, Life, as_records, whole_life
from tests.contract.history.tables_as_data import everything
from tests.fakes.privacy import MemoryKeys


async def never(timeout_s: float) -> None:
    raise AssertionError("nobody watches here")


async def fold(database: Database, records: Sequence[Record], batch: int = 7) -> None:
    """Fold the records in batches, as the projection does."""
    async with database.engine.connect() as connection:
        for start in range(0, len(records), batch):
            some = records[start : start + batch]
            places = {(record.topic, record.partition) for record in some}
            before = await store.positions(connection, places)
            after = before | {(record.topic, record.partition): record.offset + 1 for record in some}
            facts = [found for found in (fact(each, MemoryKeys()) for each in some) if found is not None]
            await store.write(connection, facts, before, after)


def reader_of(database: Database) -> HistoryReader:
    return HistoryReader(FairReads(database), never)


async def test_a_whole_story_in_order(database: Database) -> None:
    """GetInteraction shows what every service did, in order, in the past tense, with reasons and with ids only."""
    life = whole_life()
    await fold(database, as_records(life.log))
    answer = await reader_of(database).interaction(Reach.whole("acme"), "one-i")
    view = answer.interaction
    assert (view.state, view.agent_id, view.queue, view.channel) == ("completed", "sara", "sales", "telegram")
    assert view.opened_at.ToMilliseconds() == T0
    assert view.closed_at.ToMilliseconds() > T0
    assert [(step.service, step.kind) for step in answer.story] == [
        ("ingest", "InteractionOpened"),
        ("ingest", "MessageReceived"),
        ("router", "InteractionQueued"),
        ("sla", "DeadlineSet"),
        ("router", "InteractionOffered"),
        ("router", "OfferDeclined"),
        ("sla", "DeadlineWarned"),
        ("router", "InteractionOffered"),
        ("router", "InteractionAssigned"),
        ("router", "AgentReplied"),
        ("ingest", "DeliveryStarted"),
        ("ingest", "MessageSent"),
        ("ingest", "DeliverySent"),
        ("sla", "DeadlineMet"),
        ("router", "InteractionCompleted"),
        ("ingest", "InteractionClosed"),
        ("router", "WrapUpEnded"),
        ("feedback", "InvitationCreated"),
        ("feedback", "ResponseCounted"),
        ("feedback", "ResponseRefused"),
    ]
    assigned = answer.story[8]
    assert dict(assigned.details) == {"agent": "sara", "offer": "o2", "waited_ms": "9000", "queue": "sales"}
    assert assigned.reason == "LONGEST_IDLE"
    assert answer.story[18].details["score"] == "5"
    assert answer.story[19].reason == "ALREADY_ANSWERED"
    told = str(answer)
    for personal in ("کتاب", "Hello", "native", "سارا", "comment"):
        assert personal not in told


async def test_a_conversation_page_by_page(database: Database) -> None:
    """GetConversation returns messages oldest first; cursors lead through all of them, once each."""
    life = Life()
    life.opened()
    for number in range(7):
        life.said(f"text {number}")
    await fold(database, as_records(life.log))
    reader, texts, cursor = reader_of(database), [], ""
    for _ in range(4):
        page = types_pb2.PageRequest(size=2, cursor=cursor)
        answer = await reader.conversation(
            Reach.whole("acme"), ingest_pb2.GetConversationRequest(conversation_id="one-c", page=page)
        )
        texts += [message.message.text for message in answer.messages]
        cursor = answer.page.next_cursor
    assert texts == [f"text {number}" for number in range(7)]
    assert cursor == ""
    view = answer.conversation
    assert (view.person_id, view.identity.native_id, view.identity.display_name) == ("one-p", "native-one", "سارا")
    assert list(view.interaction_ids) == ["one-i"]
    assert view.opened_at.ToMilliseconds() == T0 + 1000
    assert view.last_message_at.ToMilliseconds() == T0 + 8000
    sequences = [message.sequence for message in answer.messages]
    assert sequences == [7]


async def test_lists_page_through_equal_times(database: Database) -> None:
    """ListInteractions is newest first, by state, queue and channel, and its cursors lose nothing among equal times."""
    for number in range(9):
        life = Life(f"n{number}", at=T0 + number // 3 * 60_000)
        life.opened()
        life.began(queue="sales" if number % 2 else "support")
        await fold(database, as_records(life.log))
    reader, found, cursor = reader_of(database), [], ""
    while True:
        page = types_pb2.PageRequest(size=2, cursor=cursor)
        answer = await reader.interactions(Reach.whole("acme"), ingest_pb2.ListInteractionsRequest(page=page))
        found += [each.interaction_id for each in answer.interactions]
        cursor = answer.page.next_cursor
        if not cursor:
            break
    assert found == ["n8-i", "n7-i", "n6-i", "n5-i", "n4-i", "n3-i", "n2-i", "n1-i", "n0-i"]
    only = await reader.interactions(
        Reach.whole("acme"), ingest_pb2.ListInteractionsRequest(queue="sales", state="open")
    )
    assert [each.interaction_id for each in only.interactions] == ["n7-i", "n5-i", "n3-i", "n1-i"]
    none = await reader.interactions(Reach.whole("acme"), ingest_pb2.ListInteractionsRequest(state="completed"))
    assert not none.interactions


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("كتابهاي", True),  # Arabic kaf and yeh, no half-space
        ("کتاب‌های ۱۲۳", True),
        ("کتاب 123", True),
        ("سلامٌ", True),
        ("HELLO course", True),
        ("hello کتاب", True),  # in different messages of one conversation
        ("hello nobody", False),
        ("100%", False),
        ("_", False),
        ("a.png", True),
        ("\u200c", False),
    ],
)
async def test_search_by_words(database: Database, words: str, found: bool) -> None:
    """Words are found however they were typed, every word must occur, and LIKE's special characters are literal."""
    await fold(database, as_records(whole_life().log))
    answer = await reader_of(database).search(Reach.whole("acme"), ingest_pb2.SearchConversationsRequest(words=words))
    assert [each.conversation_id for each in answer.conversations] == (["one-c"] if found else [])


async def test_search_by_person_channel_and_time(database: Database) -> None:
    """All given terms must match; newest first; cursors continue."""
    for number in range(3):
        await fold(database, as_records(whole_life(f"n{number}", start=T0 + number * 3_600_000).log))
    reader = reader_of(database)

    async def ids(request: ingest_pb2.SearchConversationsRequest) -> list[str]:
        return [each.conversation_id for each in (await reader.search(Reach.whole("acme"), request)).conversations]

    assert await ids(ingest_pb2.SearchConversationsRequest()) == ["n2-c", "n1-c", "n0-c"]
    assert await ids(ingest_pb2.SearchConversationsRequest(person_id="n1-p")) == ["n1-c"]
    assert await ids(ingest_pb2.SearchConversationsRequest(channel="email")) == []
    assert await ids(ingest_pb2.SearchConversationsRequest(channel="telegram", words="hello")) != []
    later = ingest_pb2.SearchConversationsRequest()
    getattr(later, "from").FromMilliseconds(T0 + 3_600_000)
    assert await ids(later) == ["n2-c", "n1-c"]
    later.to.FromMilliseconds(T0 + 2 * 3_600_000)
    assert await ids(later) == ["n1-c"]
    first = await reader.search(
        Reach.whole("acme"), ingest_pb2.SearchConversationsRequest(page=types_pb2.PageRequest(size=2))
    )
    page = types_pb2.PageRequest(size=2, cursor=first.page.next_cursor)
    assert await ids(ingest_pb2.SearchConversationsRequest(page=page)) == ["n0-c"]


async def test_another_tenant_sees_nothing(database: Database) -> None:
    """Every method answers another tenant as if there were nothing, also where both use the same ids."""
    await fold(database, as_records(whole_life().log))
    reader = reader_of(database)
    with pytest.raises(ChaparError, match="no such conversation"):
        await reader.conversation(Reach.whole("other"), ingest_pb2.GetConversationRequest(conversation_id="one-c"))
    with pytest.raises(ChaparError, match="no such interaction"):
        await reader.interaction(Reach.whole("other"), "one-i")
    with pytest.raises(ChaparError, match="no such conversation"):
        await anext(aiter(reader.watch(lambda: Reach.whole("other"), "one-c", -1)))
    assert not (
        await reader.search(Reach.whole("other"), ingest_pb2.SearchConversationsRequest(words="hello"))
    ).conversations
    assert not (await reader.search(Reach.whole("other"), ingest_pb2.SearchConversationsRequest())).conversations
    assert not (await reader.interactions(Reach.whole("other"), ingest_pb2.ListInteractionsRequest())).interactions
    assert await reader.delivery("other", "one-d") is None
    assert not await reader.identities("other", "one-p")
    assert await reader.owner("other", "one-c") is None
    assert not await reader.after("other", "one-c", -1, 10)

    theirs = Life(tenant="other")
    theirs.opened(channel="email")
    theirs.said("ours", channel="email")
    await fold(database, [Record(r.topic, 1, r.offset, 0, r.key, r.value, ()) for r in as_records(theirs.log)])
    mine = await reader.conversation(Reach.whole("acme"), ingest_pb2.GetConversationRequest(conversation_id="one-c"))
    other = await reader.conversation(Reach.whole("other"), ingest_pb2.GetConversationRequest(conversation_id="one-c"))
    assert mine.conversation.identity.channel == "telegram"
    assert [message.message.text for message in other.messages] == ["ours"]
    assert list(other.conversation.interaction_ids) == ["one-i"]
    assert len(mine.messages) == 2


async def test_the_parts_of_a_text_are_kept(database: Database) -> None:
    """GetConversation shows which parts of a mail's text are new, quoted or a signature, as the conversation had them."""
    life = whole_life()
    await fold(database, as_records(life.log))
    request = ingest_pb2.GetConversationRequest(conversation_id="one-c")
    answer = await reader_of(database).conversation(Reach.whole("acme"), request)
    for message in answer.messages:
        (part,) = message.message.text_parts
        assert (part.kind, part.length) == (records_pb2.TEXT_PART_KIND_NEW, len(message.message.text))


async def test_erasure_leaves_ids_only(database: Database) -> None:
    """After ConversationErased no column of any table holds a text, a name, a native id or a provider's message id."""
    life = whole_life()
    await fold(database, as_records(life.log))
    life.erased()
    await fold(database, as_records(life.log))
    left = str(await everything(database))
    for personal in ("کتاب", "کتاب", "hello", "Hello", "native-", "سارا", "a.png", "about", "77", "comment"):
        assert personal not in left
    reader = reader_of(database)
    answer = await reader.conversation(Reach.whole("acme"), ingest_pb2.GetConversationRequest(conversation_id="one-c"))
    assert [message.message.text for message in answer.messages] == ["", ""]
    assert not any(message.message.text_parts for message in answer.messages)
    assert [message.message.message_id for message in answer.messages] == ["one-m3", "one-d"]
    people = await reader.identities("acme", "one-p")
    assert [(each.identity_id, each.native_id, each.display_name) for each in people] == [("one-id", "", "")]
    assert (await reader.interaction(Reach.whole("acme"), "one-i")).interaction.state == "completed"


async def test_an_erasure_in_the_batch_of_its_messages_leaves_nothing(database: Database) -> None:
    """Messages that are written together with their erasure have neither a text nor the lengths of its parts."""
    life = whole_life()
    life.erased()
    await fold(database, as_records(life.log), batch=1_000)
    request = ingest_pb2.GetConversationRequest(conversation_id="one-c")
    answer = await reader_of(database).conversation(Reach.whole("acme"), request)
    assert [(message.message.text, len(message.message.text_parts)) for message in answer.messages] == [("", 0)] * 2


async def test_messages_after_an_erasure_are_kept(database: Database) -> None:
    """A person who writes again after the erasure is a customer like any other."""
    life = whole_life()
    life.erased()
    life.opened()
    life.said("again")
    await fold(database, as_records(life.log), batch=1000)
    reader = reader_of(database)
    answer = await reader.conversation(Reach.whole("acme"), ingest_pb2.GetConversationRequest(conversation_id="one-c"))
    assert [message.message.text for message in answer.messages] == ["", "", "again"]
    assert answer.conversation.identity.native_id == "native-one"


async def test_a_delivery_is_its_newest_record(database: Database) -> None:
    """GetDelivery returns the last state, with attempts and the provider's ids."""
    life = Life()
    life.delivery(records_pb2.DELIVERY_STATE_ATTEMPTING, 0)
    life.delivery(records_pb2.DELIVERY_STATE_ATTEMPTING, 1)
    life.delivery(records_pb2.DELIVERY_STATE_UNKNOWN, 2)
    await fold(database, as_records(life.log), batch=1)
    found = await reader_of(database).delivery("acme", "one-d")
    assert found is not None
    assert (found.state, found.attempts) == (records_pb2.DELIVERY_STATE_UNKNOWN, 2)
    assert found == records_pb2.DeliveryRecord.FromString(life.log[-1][2])


async def test_a_message_shows_the_newest_state_of_its_delivery(database: Database) -> None:
    """GetConversation shows that a reply which was sent has failed since; a customer's message has no such state."""
    life = whole_life()
    message_id = "one-d"
    await fold(database, as_records(life.log))
    reader = reader_of(database)
    request = ingest_pb2.GetConversationRequest(conversation_id="one-c")
    for state in (records_pb2.DELIVERY_STATE_SENT, records_pb2.DELIVERY_STATE_FAILED):
        life.delivery(state, 1)
        await fold(database, as_records(life.log))
        answer = await reader.conversation(Reach.whole("acme"), request)
        shown = {each.message.message_id: each.message.delivery_state for each in answer.messages}
        assert shown.pop(message_id) == state
        assert set(shown.values()) == {records_pb2.DELIVERY_STATE_UNSPECIFIED}


async def test_duplicates_change_nothing(database: Database) -> None:
    """A record that is in the log twice, at other offsets, counts once."""
    once = whole_life()
    await fold(database, as_records(once.log))
    before = await everything(database, positions=False)
    await fold(database, as_records([*once.log, *once.log, *reversed(once.log)]))
    assert await everything(database, positions=False) == before


async def test_a_replica_with_old_positions_writes_nothing(database: Database) -> None:
    """When two replicas fold at once, the one whose positions are old is refused, with its rows."""
    records = as_records(whole_life().log)
    place = ("conversations.v1", 0)
    facts = [found for found in (fact(each, MemoryKeys()) for each in records[:1]) if found is not None]
    async with database.engine.connect() as connection:
        await store.positions(connection, [place])
        await store.write(connection, (), {place: 0}, {place: 1})
        before = await everything(database)
        with pytest.raises(store.Moved):
            await store.write(connection, facts, {place: 0}, {place: 1})
    assert await everything(database) == before


async def test_a_linked_identity_is_found_by_its_person(database: Database) -> None:
    """An identity that writes in another's conversation is found by the person, so that an erasure finds it too."""
    life = Life()
    life.opened()
    life.said("by telegram")
    linked = records_pb2.ConversationRecord.FromString(life.log[-1][2])
    linked.event_id, linked.identity_id, linked.message.message_id = "x", "mail-id", "x"
    linked.message.author_id, linked.message.channel = "mail-id", "email"
    life.log.append((life.log[-1][0], life.log[-1][1], linked.SerializeToString()))
    await fold(database, as_records(life.log))
    people = await reader_of(database).identities("acme", "one-p")
    assert [(each.identity_id, each.channel) for each in people] == [("mail-id", "email"), ("one-id", "telegram")]


async def test_an_ended_interaction_remains_ended(database: Database) -> None:
    """An offer that is withdrawn after the customer left does not put the interaction back into its queue."""
    life = Life()
    life.routed(queued=router_pb2.InteractionQueued())
    life.routed(offered=router_pb2.InteractionOffered(agent_id="sara", offer_id="o"))
    life.routed(abandoned=router_pb2.InteractionAbandoned(waited_ms=5))
    life.routed(offer_ended=router_pb2.OfferEnded(agent_id="sara", offer_id="o", end=router_pb2.OFFER_END_REVOKED))
    await fold(database, as_records(life.log))
    assert (await reader_of(database).interaction(Reach.whole("acme"), "one-i")).interaction.state == "abandoned"


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (types_pb2.PageRequest(size=501), "INVALID_FIELD"),
        (types_pb2.PageRequest(size=-1), "INVALID_FIELD"),
        (types_pb2.PageRequest(cursor="nonsense"), "BAD_CURSOR"),
        (types_pb2.PageRequest(cursor="é"), "BAD_CURSOR"),
        (types_pb2.PageRequest(cursor="x" * 5000), "BAD_CURSOR"),
    ],
)
async def test_bad_pages_are_refused(database: Database, page: types_pb2.PageRequest, reason: str) -> None:
    """A page that is too large or has an invalid cursor is refused, naming the field."""
    with pytest.raises(ChaparError) as refused:
        await reader_of(database).interactions(Reach.whole("acme"), ingest_pb2.ListInteractionsRequest(page=page))
    assert refused.value.reason == reason
    assert refused.value.violations[0].field.startswith("page.")
