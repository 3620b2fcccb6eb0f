"""A report about a delivery by the provider's own id: the id contains the customer's number, so it is sealed."""

from typing import Any, cast

from chapar.ingest.v1 import records_pb2
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.records import Headers
from services.chassis.privacy.lanes import AwaitedKeys
from services.ingest.adapters.edges.publisher import InboundPublisher
from services.ingest.domain.delivery_facts import DeliveryState
from services.ingest.domain.normalise.message import IncomingReport
from services.ingest.ports import Account
from services.ingest.translate.reports import inbound_report
from tests.fakes.privacy import MemoryKeys

ACCOUNT = Account("acme", "whatsapp", "wa", {}, {}, "en")
REPORT = IncomingReport(recipient="989120000000", native_id="wamid.1", state=DeliveryState.READ, at_ms=5)


class Log:
    """A log in memory."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    async def publish(self, _topic: str, _key: bytes, value: bytes, _headers: Headers) -> None:
        self.values.append(value)


async def published(keys: MemoryKeys) -> records_pb2.InboundRecord:
    """Return the record as it is in the log."""
    log = Log()
    publisher = InboundPublisher(cast(DurableProducer, log), cast(AwaitedKeys, keys))
    record: Any = inbound_report(ACCOUNT, REPORT, 7)
    await publisher.publish([(record.report.identity_id, record)])
    (value,) = log.values
    return records_pb2.InboundRecord.FromString(value)


async def test_the_id_is_sealed_with_the_key_of_the_customer() -> None:
    """Their data can be erased by destroying the key."""
    keys = MemoryKeys()
    keys.made("acme", inbound_report(ACCOUNT, REPORT, 7).report.identity_id)
    found = await published(keys)
    assert found.sealed
    assert (found.report.native_id, found.report.state) == ("", records_pb2.DELIVERY_STATE_READ)


async def test_a_report_about_an_unknown_person_makes_no_key() -> None:
    """A provider that reports about strangers must not fill the topic of keys; the id is left out."""
    keys = MemoryKeys()
    found = await published(keys)
    assert (found.sealed, found.report.native_id) == (b"", "")
    assert keys.newest == {}
