"""Replies with files, through the lane that sends."""

import pytest

from chapar.ingest.v1 import records_pb2
from services.chassis.privacy.sealing import unseal
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.reasons import Reason
from services.ingest.domain.sent_files import upload_id
from services.ingest.translate.headers import CONVERSATIONS
from tests.flow.ingest.world import World, a_message, an_identity

TELEGRAM = an_identity("42", "telegram", "bot")
WEBCHAT = an_identity()


def a_world(identity: records_pb2.Identity) -> tuple[World, str, str]:
    """A customer who has written; returns the conversation and the interaction too."""
    world = World()
    world.customer(a_message(identity=identity))
    return world, world.enqueued[0].conversation_id, world.enqueued[0].interaction_id


def a_file(interaction_id: str, **changes: object) -> records_pb2.Attachment:
    """A file that an agent uploaded for this interaction."""
    file = records_pb2.Attachment(
        file_id=upload_id(interaction_id, "owner-1", "nonce"),
        owner_id="owner-1",
        name="invoice.pdf",
        content_type="application/pdf",
        size=7,
        sha256="ab",
        state=records_pb2.ATTACHMENT_STATE_STORED,
    )
    for name, value in changes.items():
        setattr(file, name, value)
    return file


def sent(world: World) -> list[records_pb2.ConversationMessage]:
    """Return our messages as the conversation keeps them."""
    found = []
    for each in world.log:
        if each.topic == CONVERSATIONS:
            record = records_pb2.ConversationRecord.FromString(each.value or b"")
            unseal(record, world.keys, CONVERSATIONS, each.key or b"")
            if record.HasField("message") and record.message.author_kind != 1:
                found.append(record.message)
    return found


@pytest.mark.parametrize("text", ["", "here it is"])
def test_a_file_is_attempted_and_recorded(text: str) -> None:
    """With a text or without; the conversation then has what was sent, and an attempt survives the lane's restart."""
    world, conversation, interaction = a_world(TELEGRAM)
    world.reply(conversation, text, interaction_id=interaction, attachments=[a_file(interaction)])
    world.outcome(Outcome.RETRY, reason="HTTP_502")
    world.crash()
    world.wait(1_000)
    (file,) = world.attempts.jobs[-1].delivery.request.attachments
    assert (file.file_id, file.name, file.size) == (a_file(interaction).file_id, "invoice.pdf", 7)
    world.outcome(Outcome.ACCEPTED)
    (message,) = sent(world)
    assert message.attachments == [a_file(interaction)]


def test_web_chat_gets_the_file_with_the_message() -> None:
    """There is nothing to attempt: the page shows what the conversation has."""
    world, conversation, interaction = a_world(WEBCHAT)
    world.reply(conversation, "", interaction_id=interaction, attachments=[a_file(interaction)])
    (message,) = sent(world)
    assert message.attachments == [a_file(interaction)]


@pytest.mark.parametrize("identity", [TELEGRAM, WEBCHAT])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"owner_id": "owner-2"}, Reason.FILE_OF_OTHERS),
        ({"file_id": "0f1e2d3c-0000-5000-8000-000000000001"}, Reason.FILE_OF_OTHERS),
    ],
)
def test_a_file_of_others_is_never_sent(identity: records_pb2.Identity, changes: dict[str, str], reason: str) -> None:
    """Not by a provider, and not as a link in web chat: the agent learns why."""
    world, conversation, interaction = a_world(identity)
    world.reply(conversation, "look", interaction_id=interaction, attachments=[a_file(interaction, **changes)])
    assert world.attempts.jobs == []
    assert world.deliveries[-1] == ("FAILED", reason)


def test_a_file_that_the_channel_does_not_carry_fails_with_the_reason() -> None:
    """No attempt is made, also when a caller did not ask the edge first."""
    world, conversation, interaction = a_world(TELEGRAM)
    large = a_file(interaction, size=(50 << 20) + 1)
    world.reply(conversation, "look", interaction_id=interaction, attachments=[large])
    assert world.attempts.jobs == []
    assert world.deliveries[-1] == ("FAILED", Reason.FILE_TOO_LARGE_FOR_CHANNEL)
