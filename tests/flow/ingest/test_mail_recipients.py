"""The recipients of a mail, from the edge to the conversation and from the agent's reply to the conversation."""

from chapar.ingest.v1 import records_pb2 as pb
from tests.flow.ingest.mails import OURS, a_mail, an_update, answer
from tests.flow.ingest.world import World

ANN, CARL = "ann@shop.example", "carl@shop.example"


def recorded(world: World, text: str) -> pb.ConversationMessage:
    """Return the message of a conversation with this text."""
    (found,) = [r.message for r in world.conversation if r.message.text.strip() == text]
    return found


def test_the_recipients_of_a_mail_are_part_of_the_conversation() -> None:
    world = World()
    world.customer(a_mail(ANN, "our order", to=f"Help <{OURS}>, dora@d.example", cc=f"Carl <{CARL.upper()}>"))
    message = recorded(world, "our order")
    assert (list(message.to), list(message.cc)) == ([OURS, "dora@d.example"], [CARL])


def test_an_answer_is_recorded_with_the_addresses_that_it_was_sent_to() -> None:
    """By default the customer alone, although others were in Cc; a choice is for one answer."""
    world = World()
    world.customer(a_mail(ANN, "our order", cc=CARL))
    conversation = world.enqueued[0].conversation_id
    answer(world, conversation, "to you")
    job = answer(world, conversation, "to both", cc=[CARL, OURS])
    answer(world, conversation, "to Carl", to=[CARL])
    answer(world, conversation, "to you again")
    assert (job.delivery.request.to, job.delivery.request.cc) == ((), (CARL, OURS))
    sent = [recorded(world, text) for text in ("to you", "to both", "to Carl", "to you again")]
    assert [(list(each.to), list(each.cc)) for each in sent] == [
        ([ANN], []),
        ([ANN], [CARL]),
        ([CARL], []),
        ([ANN], []),
    ]


def test_a_choice_moves_no_route() -> None:
    world = World()
    world.customer(a_mail(ANN, "our order"))
    conversation = world.enqueued[0].conversation_id
    answer(world, conversation, "to Carl", to=[CARL])
    assert answer(world, conversation).route.identity.native_id == ANN


def test_an_answer_to_ourselves_alone_fails() -> None:
    world = World()
    world.customer(a_mail(ANN, "our order"))
    world.reply(world.enqueued[0].conversation_id, "to us", to=[OURS])
    assert world.attempts.jobs == []
    assert world.deliveries[-1] == ("FAILED", "OWN_ADDRESS")


def test_other_channels_have_no_recipients_to_choose() -> None:
    world = World()
    world.customer(an_update(42, 42, "hello", 1))
    world.reply(world.enqueued[0].conversation_id, "hi", cc=[CARL])
    assert world.attempts.jobs == []
    assert world.deliveries[-1] == ("FAILED", "RECIPIENTS_NOT_SUPPORTED")
