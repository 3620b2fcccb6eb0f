"""Identities that may be the same customer: the same proven address, and nothing weaker."""

from chapar.ingest.v1 import records_pb2
from services.ingest.adapters.history.database import Database
from tests.contract.history.records import Life, as_records
from tests.contract.history.test_rows import fold, reader_of


def begun(name: str, native_id: str, channel: str = "email", *, tenant: str = "acme", verified: bool = True) -> Life:
    """A customer's conversation on a channel."""
    life = Life(name, tenant)
    identity = records_pb2.Identity(
        identity_id=life.identity_id,
        tenant=tenant,
        channel=channel,
        account=name,
        native_id=native_id,
        display_name="Ann",
        verified=verified,
    )
    life.conversation(opened=records_pb2.ConversationOpened(identity=identity, person_id=life.person_id))
    return life


async def test_only_the_same_proven_address_is_suggested(database: Database) -> None:
    """Not the same name, an unproven address, a number of another channel, another system's id, or another tenant's customer."""
    lives = [
        begun("one", "ann@shop.example"),
        begun("same", "ann@shop.example"),
        begun("forged", "ann@shop.example", verified=False),
        begun("name", "ann@other.example"),
        begun("rival", "ann@shop.example", tenant="rival"),
        begun("crm", "c-1", "webhook"),
        begun("shop", "c-1", "webhook"),
        begun("phone", "98912", "whatsapp"),
        begun("bot", "98912", "telegram"),
        begun("second phone", "98912", "whatsapp"),
    ]
    await fold(database, as_records([record for life in lives for record in life.log]))
    reader = reader_of(database)

    async def suggested(person_id: str) -> list[tuple[str, str, str]]:
        found = await reader.same_addresses("acme", person_id, 50)
        return [(each.identity.identity_id, each.person_id, each.same_as) for each in found]

    assert await suggested("one-p") == [("same-id", "same-p", "one-id")]
    assert await suggested("phone-p") == [("second phone-id", "second phone-p", "phone-id")]
    assert await suggested("forged-p") == await suggested("crm-p") == await suggested("bot-p") == []
    assert len(await reader.same_addresses("acme", "one-p", 0)) == 0
