"""Any id that people are shown finds the interaction that it belongs to, on SQLite and on PostgreSQL."""

import pytest

from chapar.ingest.v1 import records_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.reader import HistoryReader
from services.ingest.domain.reach import Reach
from tests.contract.history.records import Life, as_records, whole_life
from tests.contract.history.test_marks import said
from tests.contract.history.test_rows import fold, reader_of

ALL = Reach.whole("acme")


async def found(reader: HistoryReader, name: str, reach: Reach = ALL) -> str:
    """Return the id of the interaction whose story is shown."""
    answer = await reader.interaction(reach, name)
    assert [step.kind for step in answer.story if step.kind == "InteractionOpened"] == ["InteractionOpened"]
    return answer.interaction.interaction_id


async def assert_none(reader: HistoryReader, name: str, reach: Reach = ALL) -> None:
    with pytest.raises(ChaparError) as refused:
        await reader.interaction(reach, name)
    assert refused.value.kind is ErrorKind.NOT_FOUND


async def two_lives(database: Database) -> HistoryReader:
    """Two customers, each with an interaction; both have a message that their channel calls `12`."""
    one, two = Life(), Life(name="two")
    for life in (one, two):
        life.opened()
        said(
            life,
            f"{life.name}-first",
            "hello",
            interaction_id=life.interaction_id,
            native_message_id=f"{life.name}-native",
        )
        life.began()
        said(life, f"{life.name}-next", "more", interaction_id=life.interaction_id, native_message_id="12")
    await fold(database, as_records([*one.log, *two.log]))
    return reader_of(database)


@pytest.mark.parametrize("name", ["one-i", "one-first", "one-next", "one-c", "one-native", "one-i.7"])
async def test_each_id_of_an_interaction_finds_it(database: Database, name: str) -> None:
    """Its own, those of its messages, of its conversation, of its channel's messages, and of its offers."""
    reader = await two_lives(database)
    assert await found(reader, name) == "one-i"
    await assert_none(reader, name, Reach.whole("other"))
    await assert_none(reader, name, Reach("acme", agent_id="omid", queues=frozenset({"billing"})))


async def test_a_reply_and_a_survey_find_their_interaction(database: Database) -> None:
    """By the delivery that carried the reply, and by the invitation."""
    life = whole_life()
    await fold(database, as_records(life.log))
    reader = reader_of(database)
    assert [await found(reader, f"{life.name}-{what}") for what in ("d", "v")] == ["one-i", "one-i"]


@pytest.mark.parametrize("name", ["12", "", "nobody", ".", "one-i.", "one-i.x", "%"])
async def test_an_id_of_none_or_of_several_finds_none(database: Database, name: str) -> None:
    """Numbers of a channel repeat from chat to chat, so an interaction that may be another customer's is not shown."""
    await assert_none(await two_lives(database), name)


async def test_a_conversation_finds_its_newest_interaction(database: Database) -> None:
    life = Life()
    life.opened()
    life.began()
    life.closed()
    newest = records_pb2.InteractionOpened(interaction_id="newest", queue="sales", rule="everything", message_id="m")
    life.conversation(interaction_opened=newest)
    await fold(database, as_records(life.log))
    reader = reader_of(database)
    assert await found(reader, life.conversation_id) == "newest"
    assert await found(reader, life.interaction_id) == life.interaction_id
