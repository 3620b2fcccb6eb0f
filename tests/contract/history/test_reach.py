"""An agent reads their own conversations and those of their queues, on SQLite and on PostgreSQL."""

from dataclasses import replace

import pytest

from chapar.ingest.v1 import ingest_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.reader import HistoryReader
from services.ingest.domain.reach import Reach
from tests.contract.history.records import Life, as_records, whole_life
from tests.contract.history.test_rows import fold, never

SARA = Reach("acme", agent_id="sara")
SALES = Reach("acme", agent_id="omid", queues=frozenset({"sales"}))
BILLING = Reach("acme", agent_id="omid", queues=frozenset({"billing"}))
NONE = Reach("acme")


async def visible(reader: HistoryReader, reach: Reach) -> set[str]:
    """Return the visible conversations by each way of reading, which must agree: list, search, get, story and watch."""
    listed = await reader.interactions(reach, ingest_pb2.ListInteractionsRequest())
    found = await reader.search(reach, ingest_pb2.SearchConversationsRequest())
    names = {each.interaction_id.removesuffix("-i") for each in listed.interactions}
    assert {each.conversation_id.removesuffix("-c") for each in found.conversations} == names
    for name in ("one", "two"):
        asks = (
            reader.interaction(reach, f"{name}-i"),
            reader.conversation(reach, ingest_pb2.GetConversationRequest(conversation_id=f"{name}-c")),
            anext(aiter(reader.watch(lambda: reach, f"{name}-c", -1))),
        )
        for ask in asks:
            if name in names:
                await ask
            else:
                with pytest.raises(ChaparError) as refused:
                    await ask
                assert refused.value.kind is ErrorKind.NOT_FOUND
    return names


async def test_reach_is_the_agents_own_and_their_queues(database: Database) -> None:
    """Sara held the interaction of "one"; "two" waits in the queue sales without an agent."""
    two = Life(name="two")
    two.opened()
    two.said("hello")
    two.began("sales")
    one = whole_life()
    await fold(database, as_records([*one.log, *two.log]))
    reader = HistoryReader(FairReads(database), never)
    assert await visible(reader, Reach.whole("acme")) == {"one", "two"}
    assert await visible(reader, SARA) == {"one"}
    assert await visible(reader, SALES) == {"one", "two"}
    assert await visible(reader, BILLING) == set()
    assert await visible(reader, NONE) == set()
    assert await visible(reader, Reach.whole("other")) == set()


async def test_a_watcher_loses_what_leaves_their_reach(database: Database) -> None:
    """After a transfer to another agent, the former agent's stream ends with the next message."""
    life = whole_life()
    await fold(database, as_records(life.log))
    changes = 0

    async def changed(timeout_s: float) -> None:
        nonlocal changes
        changes += 1
        assert changes == 1, "the watcher should have been refused by now"
        more = Life(name="one", at=life.at, _count=life._count, _epoch=life._epoch)
        more.routed(assigned=router_pb2.InteractionAssigned(agent_id="omid", offer_id="o3"))
        more.said("only for Omid", message_id="later")
        await fold(database, as_records([*life.log, *more.log]))

    reader = HistoryReader(FairReads(database), changed)
    seen = []

    async def follow() -> None:
        async for view in reader.watch(lambda: SARA, "one-c", -1):
            seen.append(view.message.message_id)  # noqa: PERF401 - what was seen before the refusal is needed

    with pytest.raises(ChaparError) as refused:
        await follow()
    assert refused.value.kind is ErrorKind.NOT_FOUND
    assert seen
    assert "later" not in seen


async def waiting(database: Database, *texts: str) -> Life:
    """Return a conversation in the queue sales, without an agent."""
    life = Life(name="two")
    life.opened()
    life.began("sales")
    for text in texts:
        life.said(text)
    await fold(database, as_records(life.log))
    return life


async def test_a_watch_ends_when_the_agent_loses_the_queue(database: Database) -> None:
    """Also while no message arrives: the agent's queues are checked again."""
    await waiting(database, "hello")
    reach = SALES
    looks = 0

    async def changed(timeout_s: float) -> None:
        nonlocal reach, looks
        looks += 1
        assert looks == 1, "the watcher should have been refused by now"
        reach = replace(SALES, queues=frozenset({"billing"}))

    reader = HistoryReader(FairReads(database), changed)
    watch = reader.watch(lambda: reach, "two-c", -1)
    assert (await anext(watch)).message.text == "hello"
    with pytest.raises(ChaparError) as refused:
        await anext(watch)
    assert refused.value.kind is ErrorKind.NOT_FOUND


async def test_messages_that_were_already_read_are_not_shown_after_the_queue_is_lost(database: Database) -> None:
    """A slow client reads a page message by message; the messages not yet read are checked again."""
    await waiting(database, "one", "two", "three")
    reach = SALES
    reader = HistoryReader(FairReads(database), never)
    watch = reader.watch(lambda: reach, "two-c", -1)
    await anext(watch)
    reach = BILLING
    with pytest.raises(ChaparError) as refused:
        await anext(watch)
    assert refused.value.kind is ErrorKind.NOT_FOUND


async def test_a_slow_client_loses_what_went_to_another_queue(database: Database) -> None:
    """The check of a page is not valid for hours."""
    life = await waiting(database, "one", "two", "three")
    reader = HistoryReader(FairReads(database), never, checked_s=0.0)
    watch = reader.watch(lambda: SALES, "two-c", -1)
    assert [(await anext(watch)).message.text for _ in range(2)] == ["one", "two"]
    more = Life(name="two", at=life.at, _count=life._count, _epoch=life._epoch)
    more.routed("billing", transferred=router_pb2.InteractionTransferred(queue="billing"))
    await fold(database, as_records([*life.log, *more.log]))
    with pytest.raises(ChaparError) as refused:
        await anext(watch)
    assert refused.value.kind is ErrorKind.NOT_FOUND
