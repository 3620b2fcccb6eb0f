"""Files of messages: what the intake lane asks to be fetched."""

from chapar.ingest.v1 import records_pb2
from services.chassis.privacy.sealing import unseal
from services.ingest.translate.headers import FETCHES
from tests.flow.ingest.world import TENANT, World, a_message, an_identity


def with_file(state: records_pb2.AttachmentState.ValueType, native_message_id: str = "m1") -> records_pb2.InboundRecord:
    """A customer's message with a file."""
    record = a_message(identity=an_identity("77", "telegram", "bot"), native_message_id=native_message_id)
    file = records_pb2.Attachment(
        file_id="f-1", owner_id=record.message.identity.identity_id, reference="at-telegram", state=state
    )
    record.message.attachments.append(file)
    return record


def asked(world: World) -> list[records_pb2.FileFetch]:
    """Return the requests to fetch files."""
    found = []
    for send in world.intake.sent_to(FETCHES):
        fetch = records_pb2.FileFetch.FromString(send.value or b"")
        assert not fetch.attachment.reference, "the provider's reference is personal"
        unseal(fetch, world.keys, FETCHES, send.key or b"")
        found.append(fetch)
    return found


def test_a_file_at_the_provider_is_asked_for_once() -> None:
    """In the transaction that records the message, with what a fetch needs; a repeated message asks for nothing."""
    world = World()
    record = with_file(records_pb2.ATTACHMENT_STATE_TO_FETCH)
    world.customer(record)
    world.customer(record)
    (fetch,) = asked(world)
    message = record.message
    assert (fetch.tenant, fetch.message_id, fetch.channel, fetch.account) == (
        TENANT,
        message.message_id,
        "telegram",
        "bot",
    )
    assert fetch.attachment.reference == "at-telegram"
    assert fetch.identity_id == message.identity.identity_id
    assert fetch.conversation_id
    assert fetch.interaction_id


def test_other_files_are_not_asked_for() -> None:
    """Those that are stored, refused or only described."""
    world = World()
    for number, state in enumerate(records_pb2.AttachmentState.values()):
        if state != records_pb2.ATTACHMENT_STATE_TO_FETCH:
            state_ = records_pb2.AttachmentState.ValueType(state)
            world.customer(with_file(state_, f"m{number}"))
    assert asked(world) == []
