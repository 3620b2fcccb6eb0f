"""What a returning web chat visitor sees: the newest messages of their own conversations, and of no other."""

from services.ingest.adapters.history.chat_order import in_order
from services.ingest.adapters.history.database import Database
from services.ingest.ports import ChatMessage
from tests.contract.history.records import Life, as_records
from tests.contract.history.test_rows import fold, reader_of


def life(name: str, identity: str = "", tenant: str = "acme", person: str = "") -> Life:
    made = Life(name=name, identity=identity, tenant=tenant, person=person)
    made.opened("webchat")
    for number in range(3):
        made.said(f"{name} {number}", channel="webchat", agent="sara" if number % 2 else "")
    return made


async def test_the_newest_of_all_own_conversations_in_order(database: Database) -> None:
    """Two conversations of one identity are shown; nothing of e-mail, of another identity of the same person, another
    person, or another tenant."""
    first, second = life("one", "me", person="p"), life("two", "me", person="p")
    second.said("by mail", channel="email")
    others = [life("three", "my-phone", person="p"), life("four", "other"), life("five", "me", tenant="rival")]
    log = [entry for each in (first, second, *others) for entry in each.log]
    await fold(database, as_records(log))
    reader = reader_of(database)

    async def seen(most: int, identity: str = "me", tenant: str = "acme") -> list[str]:
        return [each.message.text for each in await reader.newest(tenant, identity, "webchat", most)]

    everything = await seen(100)
    assert sorted(everything) == ["one 0", "one 1", "one 2", "two 0", "two 1", "two 2"]
    assert [text for text in everything if text.startswith("one")] == ["one 0", "one 1", "one 2"]
    assert [text for text in everything if text.startswith("two")] == ["two 0", "two 1", "two 2"]
    assert set(await seen(2)) == {"one 2", "two 2"}
    assert await seen(100, tenant="rival") == ["five 0", "five 1", "five 2"]
    assert await seen(100, identity="nothing-known") == []


def test_conversations_are_not_mixed() -> None:
    """Conversations are ordered by their last message, messages within each by the log, whatever the writers' clocks say."""

    def message(conversation: str, sequence: int, at_ms: int) -> ChatMessage:
        made: ChatMessage = ChatMessage(conversation, "me", sequence, at_ms, None)  # type: ignore[arg-type] # only its position matters
        return made

    newest_first = [message("b", 7, 90), message("a", 41, 80), message("b", 9, 70), message("a", 40, 60)]
    assert [(each.conversation_id, each.sequence) for each in in_order(newest_first)] == [
        ("a", 40),
        ("a", 41),
        ("b", 7),
        ("b", 9),
    ]
