"""One interaction through the lanes of ingest: message, routing, reply, end."""

import pytest

from services.ingest.domain.deliveries import Outcome
from tests.flow.ingest.world import TENANT, World, a_configuration, a_message, an_identity


def test_a_first_message_opens_a_conversation_and_is_enqueued() -> None:
    """Conversation, message, interaction, reply route and Enqueue come from one transaction, and the router gets
    attributes only."""
    world = World()
    world.customer(a_message("سلام، کمک", language="fa"))
    assert world.kinds() == ["opened", "message", "interaction_opened"]
    assert world.outbound[0].WhichOneof("record") == "route"
    (facts,) = world.enqueued
    assert (facts.queue, facts.rule, facts.channel, facts.language) == ("persian", "persian", "webchat", "fa")
    opened = world.conversation[2].interaction_opened
    assert (opened.configuration_version, opened.rule) == (7, "persian")
    (send,) = world.intake.sent_to("routing.commands.v1")
    assert send.key == b"acme/main"
    assert "کمک".encode() not in send.value
    assert b"v1" not in send.value


def test_a_repeated_message_is_taken_once() -> None:
    """A provider's retry is recognised as the same message, also after a takeover."""
    world = World()
    world.customer(a_message(), a_message())
    world.intake.crash()
    world.customer(a_message())
    assert world.texts == ["hello"]
    assert len(world.enqueued) == 1
    assert world.metrics.value("chapar_intake_duplicates_total", TENANT, "webchat") == 2


def test_an_agents_reply_reaches_web_chat_by_the_conversation() -> None:
    """Web chat is delivered by appending to the conversation, once, however often the reply is written."""
    world = World()
    world.customer(a_message())
    conversation = world.enqueued[0].conversation_id
    world.reply(conversation, "hi, I am Sara")
    world.reply(conversation, "hi, I am Sara")
    assert world.texts == ["hello", "hi, I am Sara"]
    assert world.deliveries == [("SENT", "")]
    assert world.attempts.jobs == []


def test_further_messages_belong_to_the_open_interaction() -> None:
    """While an interaction is open, the router is notified and no new interaction is opened."""
    world = World()
    world.customer(a_message("one"), a_message("two", native_message_id="m2"))
    assert [c.WhichOneof("command") for c in world.commands] == ["enqueue", "customer_messaged"]
    assert world.commands[1].customer_messaged.interaction_id == world.enqueued[0].interaction_id


def test_the_relay_returns_the_end_of_an_interaction() -> None:
    """Completed closes the interaction. A later message opens the next one in the same conversation; one after the
    window opens a new conversation."""
    world = World()
    world.customer(a_message("one"))
    world.wait(10_000)
    world.routing("completed", world.enqueued[0], agent_id="sara")
    assert world.kinds()[-1] == "interaction_closed"
    world.wait(60_000)
    world.customer(a_message("two", native_message_id="m2"))
    first, second = world.enqueued
    assert first.conversation_id == second.conversation_id
    assert first.interaction_id != second.interaction_id
    world.routing("completed", second, agent_id="sara")
    world.wait(25 * 3_600_000)
    world.customer(a_message("three", native_message_id="m3"))
    assert world.enqueued[2].conversation_id != first.conversation_id
    assert world.enqueued[2].person_id == first.person_id


def test_a_message_that_crossed_the_end_opens_the_next_interaction() -> None:
    """The router refused the message, so no agent saw it: it must not be lost between two interactions."""
    world = World()
    world.customer(a_message("one"))
    world.customer(a_message("wait, I want to buy", native_message_id="m2"))
    world.routing("completed", world.enqueued[0])
    first, second = world.enqueued
    assert (second.conversation_id, second.queue) == (first.conversation_id, "sales")


def test_all_messages_that_crossed_the_end_begin_the_next_interaction() -> None:
    """One interaction carries them, and its record names each of them."""
    world = World()
    world.customer(a_message("one"))
    for number in ("m2", "m3", "m4"):
        world.customer(a_message("and another thing", native_message_id=number))
    told = [command.customer_messaged.message_id for command in world.commands[1:]]
    world.routing("completed", world.enqueued[0])
    assert len(world.enqueued) == 2
    began = next(r.interaction_opened for r in reversed(world.conversation) if r.HasField("interaction_opened"))
    assert [began.message_id, *began.further_message_ids] == told


def test_a_message_that_the_router_received_opens_no_interaction() -> None:
    """A message that the agent saw before the end does not open another interaction."""
    world = World()
    world.customer(a_message("one"))
    world.customer(a_message("two", native_message_id="m2"))
    told = world.commands[1].customer_messaged.message_id
    world.routing("customer_message_recorded", world.enqueued[0], message_id=told)
    world.routing("completed", world.enqueued[0])
    assert len(world.enqueued) == 1


def test_when_the_customer_leaves_the_router_is_notified_once() -> None:
    """Leaving is not a message, and leaving twice counts once."""
    world = World()
    world.customer(a_message("one"))
    world.customer(a_message("", native_message_id="bye", customer_left=True))
    world.customer(a_message("", native_message_id="bye2", customer_left=True))
    assert [c.WhichOneof("command") for c in world.commands] == ["enqueue", "customer_left"]
    assert world.texts == ["one"]
    world.routing("abandoned", world.enqueued[0])
    assert world.conversation[-1].interaction_closed.outcome == "abandoned"
    assert len(world.enqueued) == 1


def test_an_edit_is_recorded_and_not_routed() -> None:
    """Revisions belong to the conversation. They open no interaction and send no notice to the router."""
    world = World()
    world.customer(a_message("helo"))
    world.customer(a_message("hello", revision=1))
    edit = world.conversation[-1].message
    assert edit.edits_message_id == world.conversation[1].message.message_id
    assert len(world.commands) == 1


@pytest.mark.parametrize(
    ("change", "queue", "rule"),
    [
        ({"labels": {"tier": "gold"}}, "sales", "gold"),
        ({"text": "I want to buy"}, "sales", "buy"),
        ({"text": "hello"}, "general", "NO_RULE_MATCHED"),
    ],
)
def test_the_first_rule_that_holds_decides(change: dict[str, object], queue: str, rule: str) -> None:
    """A rule that fails at run time does not hold; if no rule holds, the tenant's first queue gets the interaction."""
    world = World()
    world.customer(a_message(**{"text": "hi", **change}))  # type: ignore[arg-type]  # a table of different keywords
    (facts,) = world.enqueued
    assert (facts.queue, facts.rule) == (queue, rule)
    assert world.metrics.value("chapar_intake_unroutable_total", TENANT, "webchat", "RULE_FAILED")


def test_fragments_are_gathered_and_routed_as_one() -> None:
    """If the account gathers, the rules judge all messages that arrived within the time together."""
    world = World()
    who = an_identity("+98912", "whatsapp", "wa")
    world.customer(a_message("hi", identity=who))
    world.wait(2_000)
    world.customer(a_message("I want to buy", native_message_id="m2", identity=who))
    assert world.enqueued == []
    world.intake.crash()
    world.wait(3_000)
    (facts,) = world.enqueued
    assert facts.queue == "sales"
    assert world.texts == ["hi", "I want to buy"]
    assert {r.message.interaction_id for r in world.conversation if r.WhichOneof("record") == "message"} == {
        facts.interaction_id
    }


def test_a_telegram_reply_is_attempted_after_the_commit_and_recorded_when_accepted() -> None:
    """The state is PENDING before the reply leaves; it is SENT, and part of the conversation, when the provider
    accepted it."""
    world = World()
    world.customer(a_message(identity=an_identity("42", "telegram", "bot")))
    world.reply(world.enqueued[0].conversation_id, "hi")
    assert world.deliveries == [("ATTEMPTING", "")]
    assert world.texts == ["hello"]
    world.outcome(Outcome.ACCEPTED, native_ids=("77",))
    assert world.deliveries == [("ATTEMPTING", ""), ("SENT", "")]
    assert world.texts == ["hello", "hi"]
    assert world.conversation[-1].message.native_message_id == "77"


def test_an_unknown_tenant_is_a_dead_letter() -> None:
    """Without a configuration there are no rules to route by."""
    world = World(a_configuration(tenant="other"))
    stranger = a_message()
    stranger.tenant = "nobody"
    world.customer(stranger)
    assert [verdict.reason for _, verdict in world.intake.dead_letters] == ["UNKNOWN_TENANT"]
