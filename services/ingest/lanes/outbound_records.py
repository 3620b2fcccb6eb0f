"""Converts records of outbound.v1 to events of the sending core."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.chassis.kafka.headers import REPLAYED, record_headers
from services.chassis.kafka.lane import InvalidRecord, Outbox, Record
from services.chassis.keys import tenant_key
from services.chassis.privacy.lanes import AwaitedKeys, Prepare
from services.chassis.privacy.sealing import DataKey, Keys, Unsealable, unseal
from services.ingest.domain import deliveries as words
from services.ingest.domain.reasons import Reason
from services.ingest.translate import reports
from services.ingest.translate import sender as translate
from services.ingest.translate.lanes import send_request

TOPIC: Final = "outbound.v1"
_TAKEOVER_HEADER: Final = "sender-takeover"


def mark_takeover(outbox: Outbox, partition: int, epoch: int) -> None:
    """Write the empty record by which an owner recognises that it has read everything written before its takeover."""
    headers = record_headers(TOPIC, derive("takeover", str(partition), str(epoch)), "")
    outbox.send(TOPIC, b"sender-takeover", b"", (*headers, (_TAKEOVER_HEADER, b"%d" % epoch)), partition)


def takeover_of(record: Record) -> bytes | None:
    """Return the epoch in a record that an owner wrote at its takeover; None for all other records."""
    return next((value for name, value in record.headers if name == _TAKEOVER_HEADER), None)


@dataclass(frozen=True, slots=True)
class Received:
    """A record with its personal fields opened."""

    outbound: records_pb2.OutboundRecord
    used: DataKey | None
    """The key that sealed the personal fields; None for a record that was not sealed, or whose key is destroyed."""
    place: str
    """The conversation, as `deliveries.place_of` names it."""
    replayed: bool = False
    """Whether an operator has put it back from the dead letters."""


def received(record: Record, keys: Keys) -> Received:
    """Decode a record and open its personal fields. Raises InvalidRecord."""
    if record.value is None:
        raise InvalidRecord(Reason.UNDECODABLE, "a tombstone has nothing to send")
    try:
        outbound = records_pb2.OutboundRecord.FromString(record.value)
    except DecodeError as error:
        raise InvalidRecord(Reason.UNDECODABLE, "not an OutboundRecord") from error
    if (
        not outbound.tenant
        or not outbound.conversation_id
        or record.key != tenant_key(outbound.tenant, outbound.conversation_id)
    ):
        raise InvalidRecord(Reason.INCOMPLETE, "tenant and conversation are needed, and the key is tenant/conversation")
    try:
        used = unseal(outbound, keys, TOPIC, record.key)
    except Unsealable as error:
        raise InvalidRecord(Reason.UNSEALABLE, str(error)) from error
    place = words.place_of(outbound.tenant, outbound.conversation_id)
    return Received(outbound, used, place, any(name == REPLAYED for name, _ in record.headers))


def event_of(outbound: records_pb2.OutboundRecord) -> words.Event:
    """Return the event that the core decides about. Raises InvalidRecord."""
    try:
        match outbound.WhichOneof("record"):
            case "route":
                return translate.route(outbound.route)
            case "request":
                if not outbound.request.request_id:
                    raise InvalidRecord(Reason.INCOMPLETE, "a request needs its id")
                delivery_id = derive(outbound.tenant, outbound.request.request_id)
                return words.SendingRequested(delivery_id, send_request(outbound.request))
            case "finished":
                return translate.finished(outbound.finished)
            case "report":
                return reports.reported(outbound.report)
            case _:
                raise InvalidRecord(Reason.UNKNOWN_RECORD, "written by a newer version")
    except ValueError as error:
        raise InvalidRecord(Reason.UNKNOWN_VALUE, str(error)) from error


def owner_of(outbound: records_pb2.OutboundRecord) -> str:
    """Return the identity whose key seals the record, if the record names one. Otherwise the conversation has its own key."""
    named = outbound.route.identity.identity_id or outbound.request.identity_id
    return named or outbound.conversation_id


def prepare(keys: AwaitedKeys) -> Prepare:
    """Prepare a batch before the sender lane handles it: load the persons' keys, and create a key for a person whose
    records were never sealed."""

    async def ready(records: Sequence[Record]) -> None:
        await keys.ready(record.value for record in records)
        for record in records:
            if record.topic == TOPIC and record.value:
                try:
                    outbound = records_pb2.OutboundRecord.FromString(record.value)
                except DecodeError:
                    continue  # the lane refuses it
                kind = outbound.WhichOneof("record")
                forgets = kind == "route" and not outbound.route.identity.identity_id
                # Outcomes and reports are sealed with their conversation's key. If that key is destroyed, a new one
                # would seal erased data.
                later = kind in ("finished", "report")
                if outbound.tenant and not outbound.sealed and not forgets and not later:
                    await keys.ensure(outbound.tenant, owner_of(outbound))

    return ready
