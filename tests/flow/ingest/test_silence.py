"""D13: a customer who does not answer a reply is warned in their language, by the rules of acknowledgements."""

from typing import Any

import pytest

from chapar.ingest.v1 import records_pb2
from tests.flow.ingest.world import World, a_message

MINUTE = 60_000


def a_held_chat(**message: Any) -> World:
    """Return a world in which an agent holds the customer's chat."""
    world = World()
    world.customer(a_message("سلام", **{"language": "fa", **message}))
    world.routing("assigned", world.enqueued[0], agent_id="sara")
    return world


def is_silent(world: World, minutes: float = 10) -> None:
    """Report that the customer is silent, and how long the interaction remains open."""
    closes_at_ms = world.intake.now_ms + int(minutes * MINUTE)
    world.routing("customer_silent", world.enqueued[0], closes_at_ms=closes_at_ms)


@pytest.mark.parametrize(
    ("language", "minutes", "text"),
    [
        ("fa", 10, "هنوز آنجا هستید؟ اگر تا ۱۰ دقیقهٔ دیگر پیامی نرسد، این گفتگو را می‌بندیم."),
        (
            "en",
            9.1,
            "Are you still there? If we do not hear from you in the next 10 min, we will close this conversation.",
        ),
        (
            "en",
            -3,
            "Are you still there? If we do not hear from you in the next 1 min, we will close this conversation.",
        ),
    ],
)
def test_a_silent_customer_is_warned_in_their_language(language: str, minutes: float, text: str) -> None:
    """Minutes are rounded up. The text is part of the conversation."""
    world = a_held_chat(language=language)
    is_silent(world, minutes)
    assert world.texts == ["سلام", text]
    sent = world.conversation[-1].message
    assert sent.purpose == records_pb2.OUTBOUND_PURPOSE_ACKNOWLEDGEMENT
    assert len(world.deliveries) > 0


def test_a_customer_who_has_written_meanwhile_is_not_warned() -> None:
    """The message is on its way to the router, which will see that they are not silent."""
    world = a_held_chat()
    world.customer(a_message("هستم", native_message_id="m2"))
    is_silent(world)
    assert world.texts == ["سلام", "هستم"]


@pytest.mark.parametrize("change", [{"no_auto_reply": True}, {"labels": {"public": "true"}}])
def test_machines_and_groups_are_not_warned(change: dict[str, Any]) -> None:
    world = a_held_chat(**change)
    is_silent(world)
    assert world.deliveries == []


def test_a_customer_who_has_left_is_not_warned() -> None:
    world = a_held_chat()
    world.customer(a_message("", native_message_id="bye", customer_left=True))
    is_silent(world)
    assert world.texts == ["سلام"]


def test_after_the_end_a_message_opens_the_next_interaction() -> None:
    world = a_held_chat()
    is_silent(world)
    world.routing("completed", world.enqueued[0], agent_id="sara", disposition="silent")
    world.customer(a_message("ببخشید، هنوز مشکل دارم", native_message_id="m2"))
    assert len(world.enqueued) == 2


def test_a_warning_that_comes_after_the_end_is_not_sent() -> None:
    world = a_held_chat()
    world.routing("completed", world.enqueued[0], agent_id="sara")
    is_silent(world)
    assert world.texts == ["سلام"]
