"""Converts records of inbound.v1 to events of the intake core, and gives the id by which a duplicate of each is
recognised.
"""

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.chassis.kafka.lane import InvalidRecord, Record
from services.chassis.keys import split_key
from services.chassis.privacy.lanes import AwaitedKeys, Prepare
from services.chassis.privacy.sealing import DataKey, Keys, Unsealable, unseal
from services.ingest.domain.intake import Event
from services.ingest.domain.messages import FollowUp, Link, Message, SendRequest
from services.ingest.domain.reasons import Reason
from services.ingest.translate import lanes as translate
from services.ingest.translate import persons, reports
from services.ingest.translate.keys import owner_of

TOPIC = "inbound.v1"


def decoded(record: Record, keys: Keys) -> tuple[records_pb2.InboundRecord, DataKey | None]:
    """Return the record with its personal fields opened, and the key that sealed them. Raises InvalidRecord."""
    if record.value is None or not record.key:
        raise InvalidRecord(Reason.UNDECODABLE, "a record needs a key and a value")
    try:
        inbound = records_pb2.InboundRecord.FromString(record.value)
        return inbound, unseal(inbound, keys, TOPIC, record.key)
    except DecodeError as error:
        raise InvalidRecord(Reason.UNDECODABLE, "not an InboundRecord") from error
    except Unsealable as error:
        raise InvalidRecord(Reason.UNSEALABLE, str(error)) from error


def prepare(keys: AwaitedKeys) -> Prepare:
    """Prepare a batch before the intake lane handles it: load the persons' keys, and create a key for a person whose
    records were never sealed, or to whom a message may be passed on."""

    async def ready(records: Sequence[Record]) -> None:
        await keys.ready(record.value for record in records)
        for record in records:
            if record.topic == TOPIC and record.value:
                try:
                    inbound = records_pb2.InboundRecord.FromString(record.value)
                except DecodeError:
                    continue  # the lane refuses it
                owner = "" if inbound.sealed or inbound.question_id else owner_of(inbound)
                if owner:
                    await keys.ensure(inbound.tenant, owner)
                other = inbound.message.answer_to.identity_id
                if other:  # the message may become theirs
                    await keys.ensure(inbound.tenant, other)

    return ready


def key_of(record: Record, tenant: str) -> tuple[str, str]:
    """Return (key, identity) of the record. Raises InvalidRecord if the key does not belong to the record's tenant."""
    try:
        of_tenant, identity_id = split_key(record.key or b"")
    except ValueError as error:
        raise InvalidRecord(Reason.UNDECODABLE, "the key is not tenant/identity") from error
    if of_tenant != tenant:
        raise InvalidRecord(Reason.TENANT_MISMATCH, "the key belongs to another tenant")
    return f"{of_tenant}/{identity_id}", identity_id


def event_of(inbound: records_pb2.InboundRecord) -> Event:
    """Return the event that the core decides about. Raises InvalidRecord."""
    kind = inbound.WhichOneof("record")
    try:
        match kind:
            case "message":
                if not inbound.message.message_id or not inbound.message.identity.identity_id:
                    raise InvalidRecord(Reason.INCOMPLETE, "a message needs its id and its identity")
                return translate.message(inbound.message)
            case "outbound":
                if not inbound.outbound.request_id:
                    raise InvalidRecord(Reason.INCOMPLETE, "a request needs its id")
                return translate.send_request(inbound.outbound)
            case "check":
                return translate.check(inbound.check)
            case "notice":
                return translate.notice(inbound.notice)
            case "link":
                return translate.link(inbound.link)
            case "erasure":
                return translate.erasure(inbound.erasure)
            case "follow_up":
                if not inbound.follow_up.request_id or not inbound.follow_up.queue:
                    raise InvalidRecord(Reason.INCOMPLETE, "a follow-up needs its id and its queue")
                return translate.follow_up(inbound.follow_up)
            case "report":
                return reports.stated(inbound.report)
            case "delivery_notice":
                return reports.delivery_notice(inbound.delivery_notice)
            case _:
                return _of_a_person(inbound)
    except ValueError as error:
        raise InvalidRecord(Reason.UNKNOWN_VALUE, str(error)) from error


def _of_a_person(inbound: records_pb2.InboundRecord) -> Event:
    """Return the event of a record about a person. Raises InvalidRecord, and ValueError for a value that is not known."""
    match inbound.WhichOneof("record"):
        case "preferences":
            return persons.preferences(inbound.preferences)
        case "shared_preferences":
            return persons.shared_preferences(inbound.shared_preferences)
        case "join_offer":
            return persons.join_offer(inbound.join_offer)
        case "join_claim":
            return persons.join_claim(inbound.join_claim)
        case _:
            raise InvalidRecord(Reason.UNKNOWN_RECORD, "written by a newer version")


def forwarded(once: str) -> str:
    """Return the id under which a record that was only forwarded is remembered."""
    return f">{once}"


def identity_of_repetition(event: Event) -> str:
    """Return the id under which a duplicate is recognised.

    Erasures and reports about deliveries are harmless when repeated. Repeated notices are recognised by their place of origin.
    """
    match event:
        case Message():
            return event.message_id
        case SendRequest():
            return derive("request", event.request_id)
        case Link():
            # A duplicate asks the home again; the identity's own lane recognises the duplicate by its id.
            return derive("link", event.request_id) if event.confirmed or not event.home_identity_id else ""
        case FollowUp():
            return derive("follow-up", event.request_id)
        case _:
            return ""
