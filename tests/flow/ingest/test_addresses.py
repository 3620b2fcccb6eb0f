"""Whom we answer: an identity is who wrote, a conversation's address is where we answer. From the bytes of an edge to the
recipient of our answer.
"""

from typing import Any

import pytest

from chapar.ingest.v1 import records_pb2 as pb
from services.ingest.domain.normalise.mail.origin import Authenticated
from services.ingest.domain.origin import OriginProof
from tests.flow.ingest.mails import OURS, a_mail, address, an_update, answer, texts
from tests.flow.ingest.world import TENANT, World

FORM, ALICE, BOB, EVIL = "form@shop.example", "alice@a.example", "bob@b.example", "evil@attacker.example"
ANN = "ann@shop.example"
PROVEN = Authenticated(ANN, OriginProof.DKIM_DMARC, "dkim d=shop.example", covers_reply_to=True)


def test_two_people_behind_one_form_are_two_customers() -> None:
    """C1: two persons, two interactions; each answer goes to its own person."""
    world = World()
    world.customer(a_mail(FORM, "I am Alice", subject="Contact form", reply_to=ALICE))
    world.customer(a_mail(FORM, "I am Bob", subject="Contact form", reply_to=BOB))
    first, second = world.enqueued
    assert len({first.person_id, second.person_id}) == len({first.interaction_id, second.interaction_id}) == 2
    assert address(answer(world, first.conversation_id)) == ALICE
    assert address(answer(world, second.conversation_id)) == BOB
    assert [texts(world, each.conversation_id) for each in (first, second)] == [["I am Alice"], ["I am Bob"]]


def test_what_a_customer_of_a_form_wrote_is_sealed_with_their_own_key() -> None:
    """An erasure of Alice makes the words of Alice unreadable, and no other customer's."""
    world = World()
    world.customer(a_mail(FORM, "I am Alice", reply_to=ALICE), a_mail(FORM, "I am Bob", reply_to=BOB))
    first, second = world.enqueued
    world.keys.destroy(TENANT, first.identity_id)
    assert [texts(world, each.conversation_id) for each in (first, second)] == [[""], ["I am Bob"]]


def test_a_customer_who_uses_the_form_twice_is_one_customer() -> None:
    world = World()
    world.customer(a_mail(FORM, "first", subject="Contact form", reply_to=ALICE))
    world.customer(a_mail(FORM, "second", subject="Contact form", reply_to=f"Alice <{ALICE}>"))
    (only,) = world.enqueued
    assert texts(world, only.conversation_id) == ["first", "second"]


def test_a_form_that_also_writes_for_itself_keeps_its_customers_apart() -> None:
    """A forger can't join a form's customers by writing in its name: two different Reply-Tos show what it is."""
    world = World()
    world.customer(a_mail(FORM, "one", reply_to=ALICE), a_mail(FORM, "two", reply_to=BOB))
    world.customer(a_mail(FORM, "the shop itself, or a forger"))
    world.customer(a_mail(FORM, "three", reply_to="carol@c.example"))
    assert address(answer(world, world.enqueued[-1].conversation_id)) == "carol@c.example"
    assert len({each.person_id for each in world.enqueued}) == 4


def test_a_forged_reply_to_does_not_divert_an_open_conversation() -> None:
    """C2: it is recorded in Ann's conversation, which is answered where it was answered before."""
    world = World()
    world.customer(a_mail(ANN, "my order", subject="Order 12"))
    world.customer(a_mail(ANN, "send it here", subject="Order 12", reply_to=EVIL))
    (only,) = world.enqueued
    assert texts(world, only.conversation_id) == ["my order", "send it here"]
    assert address(answer(world, only.conversation_id)) == ANN
    (forged,) = [r.message for r in world.conversation if r.message.text.strip() == "send it here"]
    assert (forged.origin.author, forged.origin.reply_to) == (ANN, EVIL)


def test_a_forger_who_tries_many_addresses_reaches_only_conversations_of_their_own() -> None:
    """Ann then looks like a form. The own mails of Ann stay in Ann's conversation, and nothing of them is in the others."""
    world = World()
    world.customer(a_mail(ANN, "my order"))
    world.customer(*(a_mail(ANN, f"forged {n}", reply_to=f"evil{n}@attacker.example") for n in range(4)))
    world.customer(a_mail(ANN, "and my invoice"))
    mine = world.enqueued[0]
    assert address(answer(world, mine.conversation_id)) == ANN
    assert {"my order", "and my invoice"} <= set(texts(world, mine.conversation_id))
    for other in world.enqueued[1:]:
        assert other.person_id != mine.person_id
        assert all(text.startswith("forged") for text in texts(world, other.conversation_id))


def test_in_the_name_of_a_proven_customer_no_reply_to_is_used() -> None:
    world = World()
    world.customer(a_mail(ANN, "my order", known=PROVEN))
    world.customer(*(a_mail(ANN, f"forged {n}", reply_to=f"evil{n}@attacker.example") for n in range(4)))
    for each in world.enqueued:
        assert address(answer(world, each.conversation_id)) == ANN


@pytest.mark.parametrize(
    ("reply_to", "extra"),
    [
        (OURS, ""),  # C13: never to ourselves
        (f"{ALICE}, {BOB}", ""),
        ("list@lists.example", "List-Post: <mailto:list@lists.example>\r\n"),
        ("nobody", ""),
    ],
)
def test_some_reply_tos_are_not_the_customer(reply_to: str, extra: str) -> None:
    """Our own address, more than one address, a mailing list, and what is not an address."""
    world = World()
    world.customer(a_mail(ANN, "hello", reply_to=reply_to, extra=extra))
    assert address(answer(world, world.enqueued[0].conversation_id)) == ANN


def test_a_private_chat_and_a_group_are_two_conversations_of_one_person() -> None:
    """C3: the private answer never reaches the group, nor the public one the private chat."""
    world = World()
    world.customer(an_update(42, 42, "my password does not work", 1), an_update(-100, 42, "hello all", 2))
    private, group = world.enqueued
    assert private.person_id == group.person_id
    assert private.conversation_id != group.conversation_id
    assert (private.public, group.public) == (False, True)
    assert address(answer(world, private.conversation_id)) == "42"
    assert address(answer(world, group.conversation_id)) == "-100"
    world.customer(an_update(-100, 42, "anyone?", 3), an_update(42, 42, "hello?", 4))
    assert texts(world, private.conversation_id) == ["my password does not work", "hello?"]
    assert texts(world, group.conversation_id) == ["hello all", "anyone?"]


def test_each_topic_of_a_forum_is_a_conversation() -> None:
    world = World()
    world.customer(*(an_update(-100, 42, f"in {thread}", thread, thread=thread) for thread in (7, 8)))
    assert [address(answer(world, each.conversation_id)) for each in world.enqueued] == ["-100/7", "-100/8"]


def test_many_topics_of_a_forum_are_bounded_and_lose_nothing() -> None:
    """From 20 active conversations on, a further topic joins the newest one of the same group."""
    world = World()
    for thread in range(1, 31):
        world.customer(an_update(-100, 42, f"in {thread}", thread, thread=thread))
    assert len(world.enqueued) == 20
    said = [text for each in world.enqueued for text in texts(world, each.conversation_id)]
    assert sorted(said) == sorted(f"in {thread}" for thread in range(1, 31))


def test_an_answer_in_a_plain_group_is_no_topic() -> None:
    """Telegram numbers the answers to one message as a thread too."""
    world = World()
    world.customer(an_update(-100, 42, "hello", 1))
    answered: dict[str, Any] = {
        "message_thread_id": 1,
        "reply_to_message": {"message_id": 1, "from": {"id": 9, "is_bot": True}},
    }
    world.customer(an_update(-100, 42, "thanks", 2, **answered))
    (only,) = world.enqueued
    assert texts(world, only.conversation_id) == ["hello", "thanks"]


def test_an_edit_after_the_conversation_stays_in_its_place() -> None:
    """An edit of a private message is not recorded in the group, although the group was newer."""
    world = World()
    world.customer(an_update(42, 42, "my password does not work", 1), an_update(-100, 42, "hello all", 2))
    private, group = world.enqueued
    for each in (private, group):
        world.routing("completed", each)
    world.wait(24 * 3_600_000 + 1)  # the window is over
    edit = an_update(42, 42, "my password is secret", 1)
    edit.message.revision = 5
    edit.message.message_id += "/5"
    world.customer(edit)
    assert "my password is secret" in texts(world, private.conversation_id)
    assert "my password is secret" not in texts(world, group.conversation_id)


def test_a_message_to_a_customer_who_wrote_only_in_a_group_has_no_route() -> None:
    """Only an answer in the group's own conversation is posted there."""
    world = World()
    world.customer(an_update(-100, 42, "hello all", 1))
    facts = world.enqueued[0]
    request = pb.OutboundRequest(
        request_id="s",
        tenant=TENANT,
        identity_id=facts.identity_id,
        text="your code",
        purpose=pb.OUTBOUND_PURPOSE_NOTICE,
    )
    world.inbound(pb.InboundRecord(tenant=TENANT, outbound=request), facts.identity_id)
    assert world.attempts.jobs == []
    world.customer(an_update(42, 42, "privately", 2))
    request.request_id = "s2"
    world.inbound(pb.InboundRecord(tenant=TENANT, outbound=request), facts.identity_id)
    assert [address(job) for job in world.attempts.jobs] == ["42"]
