"""A number first and a user id later are one person, because one call carried both."""

from collections.abc import Sequence

from chapar.ingest.v1 import records_pb2
from services.chassis.keys import tenant_key
from services.ingest.adapters.edges.stated_links import StatedLinks
from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.domain.origin import Origin, OriginProof
from services.ingest.ports import Account
from services.ingest.translate.edges import identity_id_of, inbound_record
from tests.flow.ingest.world import TENANT, World

ACCOUNT = Account(TENANT, "whatsapp", "wa", {}, {}, "en")
SIGNED = Origin(OriginProof.PROVIDER_SIGNATURE, "signed")


class Log:
    """Publishes into the lanes, as Kafka would."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.count = 0

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        """Write the records."""
        for identity_id, record in records:
            self.count += 1
            self._world.intake.handle(record.SerializeToString(), key=tenant_key(TENANT, identity_id))
        self._world.pump()


async def written(log: Log, links: StatedLinks, message: IncomingMessage) -> None:
    """Publish a message as the edge does."""
    record = inbound_record(ACCOUNT, message, 1, SIGNED)
    await log.publish([(record.message.identity.identity_id, record)])
    await links.make(ACCOUNT, [message], 1, SIGNED)


async def test_number_first_and_user_id_later() -> None:
    """Three messages: by number, with both, by user id. They are in one conversation of one person."""
    world = World()
    log = Log(world)
    links = StatedLinks(log)
    await written(log, links, IncomingMessage("98912", "w1", text="one"))
    await written(log, links, IncomingMessage("98912", "w2", text="two", also="u1"))
    await written(log, links, IncomingMessage("u1", "w3", text="three"))
    said = [r for r in world.conversation if r.WhichOneof("record") == "message"]
    assert [r.message.text for r in said] == ["one", "two", "three"]
    assert len({r.conversation_id for r in said}) == len({r.person_id for r in said}) == 1
    assert said[2].identity_id == identity_id_of(ACCOUNT, "u1")
    world.wait(10_000)
    assert len(world.enqueued) == 1


async def test_a_link_is_made_once() -> None:
    """By this process; a copy by another process changes nothing."""
    world = World()
    log = Log(world)
    links = StatedLinks(log)
    both = IncomingMessage("98912", "w1", text="one", also="u1")
    await written(log, links, both)
    count = log.count
    await links.make(ACCOUNT, [both], 1, SIGNED)
    assert log.count == count == 3
    kinds = world.kinds()
    await StatedLinks(log).make(ACCOUNT, [both], 1, SIGNED)
    assert world.kinds() == kinds
