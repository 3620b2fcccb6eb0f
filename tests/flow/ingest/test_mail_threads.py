"""Threads of e-mail: token, In-Reply-To and References join the right conversation, whatever the window; two subjects are
two topics; each answer goes out in its own thread. From the bytes of a mail.
"""

import pytest

from chapar.common.v1 import types_pb2
from services.ingest.domain.joining import topic_of
from services.ingest.domain.reply_token import message_id
from tests.flow.ingest.mails import DOMAIN, SECRET, a_mail, address, answer, id_of, texts
from tests.flow.ingest.world import World

ANN, COLLEAGUE, STRANGER = "ann@shop.example", "carl@shop.example", "mallory@m.example"
HOUR = 3_600_000


def ended(world: World, number: int = -1) -> None:
    """Let the interaction end."""
    world.routing("completed", world.enqueued[number])


def test_an_answer_after_the_window_joins_its_conversation() -> None:
    """C14: our signed Message-ID in In-Reply-To, long after the interaction has ended."""
    world = World()
    world.customer(a_mail(ANN, "where is it?", subject="Order 12", native_id="<a1@x>"))
    first = world.enqueued[0]
    ours = id_of(answer(world, first.conversation_id))
    ended(world)
    world.wait(100 * HOUR)
    world.customer(a_mail(ANN, "still not here", subject="Re: Order 12", answers=ours, native_id="<a2@x>"))
    second = world.enqueued[-1]
    assert second.interaction_id != first.interaction_id
    assert second.conversation_id == first.conversation_id
    job = answer(world, second.conversation_id)
    assert (address(job), job.route.context["message_id"]) == (ANN, "<a2@x>")


def test_an_answer_to_a_conversation_that_has_left_memory_joins_it_too() -> None:
    """Also when the customer was forgotten: the signed id names conversation and customer."""
    world = World()
    world.customer(a_mail(ANN, "where is it?", subject="Order 12"))
    first = world.enqueued[0]
    ours = id_of(answer(world, first.conversation_id))
    ended(world)
    for _ in range(3):
        world.wait(24 * 20 * HOUR)
    world.customer(a_mail(ANN, "still not here", subject="Re: Order 12", answers=ours))
    assert world.enqueued[-1].conversation_id == first.conversation_id
    assert address(answer(world, first.conversation_id)) == ANN


@pytest.mark.parametrize(
    ("answers", "references"),
    [("<a1@x>", []), ("", ["<a1@x>", "<unknown@x>"]), ("<unknown@x>", ["<a1@x>", "<unknown@x>"])],
)
def test_an_answer_to_a_mail_that_we_know_joins_its_conversation(answers: str, references: list[str]) -> None:
    """The customer answers their own mail, so the mail has no id of ours."""
    world = World()
    world.customer(a_mail(ANN, "one", subject="Order 12", native_id="<a1@x>"))
    first = world.enqueued[0]
    ended(world)
    world.wait(100 * HOUR)
    world.customer(a_mail(ANN, "two", subject="another subject", answers=answers, references=references))
    assert world.enqueued[-1].conversation_id == first.conversation_id


def test_the_token_wins_over_in_reply_to_and_in_reply_to_over_references() -> None:
    world = World()
    for number, subject in enumerate(("A", "B", "C")):
        world.customer(a_mail(ANN, subject, subject=subject, native_id=f"<m{number}@x>"))
    a, b, c = (each.conversation_id for each in world.enqueued)
    ours = id_of(answer(world, a))
    world.customer(a_mail(ANN, "to A", subject="C", answers="<m1@x>", references=["<m2@x>", ours]))
    world.customer(a_mail(ANN, "to B", subject="C", answers="<m1@x>", references=["<m0@x>", "<m2@x>"]))
    world.customer(a_mail(ANN, "to C", subject="A", references=["<m0@x>", "<m2@x>"]))
    assert [texts(world, each)[1:] for each in (a, b, c)] == [["to A"], ["to B"], ["to C"]]


def test_two_subjects_are_two_interactions_and_each_answer_has_its_own_thread() -> None:
    """C14: subject, In-Reply-To and References of each answer are those of its own topic."""
    world = World()
    world.customer(a_mail(ANN, "broken", subject="Broken lamp", native_id="<lamp@x>"))
    world.customer(a_mail(ANN, "invoice", subject="Invoice 7", native_id="<bill@x>", references=["<old@y>"]))
    lamp, bill = world.enqueued
    assert lamp.person_id == bill.person_id
    assert len({lamp.interaction_id, bill.interaction_id, lamp.conversation_id, bill.conversation_id}) == 4
    world.customer(a_mail(ANN, "it smokes", subject="RE: Broken  lamp", native_id="<lamp2@x>"))
    jobs = [answer(world, each.conversation_id) for each in (lamp, bill)]
    assert [(job.route.subject, job.route.context["message_id"]) for job in jobs] == [
        ("RE: Broken lamp", "<lamp2@x>"),
        ("Invoice 7", "<bill@x>"),
    ]
    assert jobs[1].route.context["references"] == "<old@y>"
    ended(world, 0)
    world.customer(a_mail(ANN, "and?", subject="Re: Invoice 7", answers=id_of(jobs[1])))
    assert texts(world, bill.conversation_id) == ["invoice", "and?"]
    assert [each.conversation_id for each in world.enqueued].count(bill.conversation_id) == 1


def test_the_window_decides_only_about_mails_that_name_no_other() -> None:
    """The same subject is the same topic in the window, and a new one after it."""
    world = World()
    world.customer(a_mail(ANN, "one", subject="Order"))
    ended(world)
    world.customer(a_mail(ANN, "two", subject="Order"))
    ended(world)
    world.wait(30 * HOUR)
    world.customer(a_mail(ANN, "three", subject="Order"))
    conversations = [each.conversation_id for each in world.enqueued]
    assert conversations[0] == conversations[1] != conversations[2]


def test_a_colleague_who_answers_our_mail_takes_part_and_is_not_answered() -> None:
    """C14: their message joins the interaction. Answers still go to the customer; nothing is learned of them."""
    world = World()
    world.customer(a_mail(ANN, "our order", subject="Order 12", native_id="<a1@x>"))
    facts = world.enqueued[0]
    ours = id_of(answer(world, facts.conversation_id))
    world.customer(a_mail(f"Carl <{COLLEAGUE}>", "Ann is away, I decide", subject="Re: Order 12", answers=ours))
    assert len(world.enqueued) == 1
    assert texts(world, facts.conversation_id) == ["our order", "Ann is away, I decide"]
    (theirs,) = [r for r in world.conversation if r.message.text.strip() == "Ann is away, I decide"]
    assert (theirs.message.participant, theirs.message.origin.author) == (True, COLLEAGUE)
    assert (theirs.person_id, theirs.identity_id) == (facts.person_id, facts.identity_id)
    assert theirs.message.author_id != facts.identity_id
    job = answer(world, facts.conversation_id)
    assert (address(job), job.route.context["message_id"]) == (ANN, "<a1@x>")
    assert world.commands[-1].WhichOneof("command") == "customer_messaged"


def test_a_colleague_who_answers_after_the_end_opens_an_interaction_of_that_conversation() -> None:
    world = World()
    world.customer(a_mail(ANN, "our order", subject="Order 12"))
    first = world.enqueued[0]
    ours = id_of(answer(world, first.conversation_id))
    ended(world)
    world.wait(100 * HOUR)
    world.customer(a_mail(COLLEAGUE, "one more thing", subject="Re: Order 12", answers=ours))
    second = world.enqueued[-1]
    assert (second.conversation_id, second.person_id) == (first.conversation_id, first.person_id)
    assert address(answer(world, second.conversation_id)) == ANN
    world.customer(a_mail(ANN, "and this", subject="Re: Order 12", answers=ours))
    assert address(answer(world, second.conversation_id)) == ANN


def test_a_participant_writes_as_a_customer_of_their_own_too() -> None:
    """To take part in a conversation does not make them a second address of the customer."""
    world = World()
    world.customer(a_mail(ANN, "our order", subject="Order 12"))
    ours = id_of(answer(world, world.enqueued[0].conversation_id))
    world.customer(a_mail(COLLEAGUE, "I decide", subject="Re: Order 12", answers=ours))
    world.customer(a_mail(COLLEAGUE, "a question of mine", subject="Something else"))
    mine = world.enqueued[-1]
    assert mine.person_id != world.enqueued[0].person_id
    assert address(answer(world, mine.conversation_id)) == COLLEAGUE


def test_the_answer_of_a_participant_is_not_lost_when_the_customer_was_forgotten() -> None:
    world = World()
    world.customer(a_mail(ANN, "our order", subject="Order 12"))
    ours = id_of(answer(world, world.enqueued[0].conversation_id))
    ended(world)
    for _ in range(3):
        world.wait(24 * 20 * HOUR)
    world.customer(a_mail(COLLEAGUE, "one more thing", subject="Re: Order 12", answers=ours))
    mine = world.enqueued[-1]
    assert texts(world, mine.conversation_id) == ["one more thing"]
    assert address(answer(world, mine.conversation_id)) == COLLEAGUE


def test_a_stranger_who_knows_a_customers_message_id_joins_nothing() -> None:
    """Only our own ids are signed."""
    world = World()
    world.customer(a_mail(ANN, "our order", subject="Order 12", native_id="<a1@x>"))
    ours = id_of(answer(world, world.enqueued[0].conversation_id))
    forged = ours.replace(ours.split(".")[3], "0" * 20)
    assert SECRET not in ours
    for named in ("<a1@x>", forged):
        world.customer(a_mail(STRANGER, f"let me in {named}", subject="Re: Order 12", answers=named))
    assert texts(world, world.enqueued[0].conversation_id) == ["our order"]


def test_a_holder_of_our_mail_who_writes_in_the_customers_name_moves_no_answer() -> None:
    """A token proves that its holder has our mail: each address in Cc has it."""
    world = World()
    world.customer(a_mail(ANN, "our order", subject="Order 12"))
    facts = world.enqueued[0]
    ours = id_of(answer(world, facts.conversation_id))
    world.customer(a_mail(ANN, "pay here", subject="Re: Order 12", answers=ours, reply_to=STRANGER))
    assert texts(world, facts.conversation_id) == ["our order", "pay here"]
    assert address(answer(world, facts.conversation_id)) == ANN


def test_the_same_message_id_with_another_text_is_another_message() -> None:
    """C15: kept, while a copy of the same mail is recognised."""
    world = World()
    first = a_mail(ANN, "one", subject="Order", native_id="<same@x>")
    world.customer(first, a_mail(ANN, "two", subject="Order", native_id="<same@x>"), first)
    again = a_mail(ANN, "one", subject="Order", native_id="<same@x>", extra="Received: by another way\r\n")
    world.customer(again)
    assert texts(world, world.enqueued[0].conversation_id) == ["one", "two"]


def test_an_automatic_reply_without_a_thread_is_shown_in_the_newest_conversation() -> None:
    world = World()
    world.customer(a_mail(ANN, "one", subject="Order"))
    away = "Auto-Submitted: auto-replied\r\n"
    world.customer(a_mail(ANN, "I am away", subject="Out of office", extra=away))
    assert texts(world, world.enqueued[0].conversation_id) == ["one", "I am away"]
    assert len(world.enqueued) == 1


def test_an_id_of_an_earlier_version_names_the_conversation_of_its_customer_only() -> None:
    """It does not name the identity that got the mail, so a colleague's answer is a conversation of their own."""
    world = World()
    world.customer(a_mail(ANN, "one", subject="Order"))
    facts = world.enqueued[0]
    job = answer(world, facts.conversation_id)
    old = message_id(job.conversation_id, job.delivery.delivery_id, SECRET, DOMAIN)
    ended(world)
    world.wait(100 * HOUR)
    world.customer(a_mail(ANN, "two", subject="Re: Order", answers=old))
    world.customer(a_mail(COLLEAGUE, "three", subject="Re: Order", answers=old))
    assert [texts(world, each.conversation_id) for each in world.enqueued[1:]] == [["one", "two"], ["three"]]
    assert address(answer(world, facts.conversation_id)) == ANN


def test_a_bounce_of_our_mail_is_shown_in_the_customers_conversation() -> None:
    """It comes from a mail server; the Message-ID of our mail names conversation and customer. It opens nothing."""
    world = World()
    world.customer(a_mail(ANN, "one", subject="Order"))
    facts = world.enqueued[0]
    ours = id_of(answer(world, facts.conversation_id))
    failed = "Auto-Submitted: auto-replied\r\nX-Failed-Recipients: ann@shop.example\r\n"
    world.customer(
        a_mail("mailer-daemon@mx.example", "no such user", subject="Undelivered", answers=ours, extra=failed)
    )
    assert texts(world, facts.conversation_id) == ["one", "no such user"]
    assert len(world.enqueued) == 1
    assert world.commands[-1].customer_messaged.automatic == types_pb2.AUTOMATIC_KIND_BOUNCE


def test_many_topics_of_one_customer_are_bounded_and_lose_nothing() -> None:
    """From 20 open topics on, a further one joins the newest."""
    world = World()
    for number in range(30):
        world.customer(a_mail(ANN, f"text {number}", subject=f"topic {number}"))
    assert len(world.enqueued) == 20
    said = [text for each in world.enqueued for text in texts(world, each.conversation_id)]
    assert sorted(said) == sorted(f"text {number}" for number in range(30))


@pytest.mark.parametrize(
    "subject",
    [
        "Order 12",
        "Re: Order 12",
        "RE: re:  order  12",
        "Fwd: Re[2]: Order 12",
        "پاسخ: Order 12",
        "AW: Order 12",
        "WG: Order 12 ",
    ],
)
def test_one_topic_under_many_subjects(subject: str) -> None:
    assert topic_of(subject) == "order 12"
