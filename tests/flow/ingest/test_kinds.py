"""Edits, deletions, reactions, placeholders and messages of groups, from the edge to the conversation."""

from typing import Any

import pytest

from chapar.ingest.v1 import records_pb2
from services.ingest.domain.decisions import IntakeLimits
from tests.flow.ingest.test_around_the_conversation import HOUR, surveyed
from tests.flow.ingest.world import World, a_message, an_identity

DAY = 24 * HOUR
DELETION: dict[str, Any] = {"kind": records_pb2.MESSAGE_KIND_SYSTEM, "deletes": "m1", "content": "deletion"}
REACTION: dict[str, Any] = {"kind": records_pb2.MESSAGE_KIND_REACTION, "in_reply_to": "m1", "content": "reaction"}


def finished(limits: IntakeLimits | None = None) -> World:
    """A world with a customer whose interaction is over."""
    world = World(limits=limits)
    world.customer(a_message("helo"))
    world.routing("completed", world.enqueued[0])
    return world


def messages(world: World) -> list[tuple[str, records_pb2.ConversationMessage]]:
    """All messages, each with its conversation."""
    return [(r.conversation_id, r.message) for r in world.conversation if r.WhichOneof("record") == "message"]


@pytest.mark.parametrize("days", [0, 2, 20])
def test_what_changes_an_old_message_is_recorded_in_its_conversation(days: int) -> None:
    """Also when the conversation is over, and when it has left memory. Nothing is opened."""
    world = finished()
    world.wait(days * DAY)
    world.customer(a_message("hello", revision=1))
    world.customer(a_message("", native_message_id="d1", **DELETION))
    world.customer(a_message("👍", native_message_id="r1", **REACTION))
    (conversation, first), *later = messages(world)
    assert [where for where, _ in later] == [conversation] * 3
    assert [message.edits_message_id for _, message in later] == [first.message_id, "", ""]
    assert [message.deletes_message_id for _, message in later] == ["", first.message_id, ""]
    assert [message.in_reply_to for _, message in later] == ["", "", "m1"]
    assert [message.kind for _, message in later] == [
        records_pb2.MESSAGE_KIND_TEXT,
        records_pb2.MESSAGE_KIND_SYSTEM,
        records_pb2.MESSAGE_KIND_REACTION,
    ]
    assert [message.content for _, message in later] == ["", "deletion", "reaction"]
    assert len(world.enqueued) == 1


def test_an_edit_of_a_forgotten_message_is_not_lost() -> None:
    """The customer has left memory. The new text begins a conversation, and opens no interaction."""
    world = finished(IntakeLimits(idle_customer_ms=30 * DAY))
    world.wait(40 * DAY)
    world.customer(a_message("hello", revision=1))
    (_, first), (conversation, edit) = messages(world)
    assert (edit.text, edit.edits_message_id) == ("hello", first.message_id)
    assert world.kinds()[-2:] == ["opened", "message"]
    assert world.conversation[-2].conversation_id == conversation
    assert len(world.enqueued) == 1


def test_a_deletion_during_open_work_is_recorded_with_it() -> None:
    """The agent sees that the message was deleted; the router does not need to know."""
    world = World()
    world.customer(a_message("helo"))
    world.customer(a_message("", native_message_id="d1", **DELETION))
    (_, first), (_, deletion) = messages(world)
    assert (deletion.deletes_message_id, deletion.interaction_id) == (first.message_id, first.interaction_id)
    assert len(world.commands) == 1


def test_a_placeholder_opens_work_and_answers_no_survey() -> None:
    """Its text is ours, whatever numbers are in it."""
    world = surveyed()
    world.customer(a_message("5", native_message_id="m2", content="hologram", placeholder=True))
    assert world.responses == []
    assert len(world.enqueued) == 2
    _, said = messages(world)[-1]
    assert (said.content, said.placeholder) == ("hologram", True)


@pytest.mark.parametrize(("public", "sent"), [(True, 0), (False, 1)])
def test_an_acknowledgement_never_goes_to_a_group(public: bool, sent: int) -> None:
    """All members would get it."""
    world = World()
    who = an_identity("7", "telegram", "bot")
    world.customer(a_message(identity=who, labels={"public": "true"} if public else {}))
    world.routing("queued", world.enqueued[0], estimated_wait_ms=60_000)
    assert len(world.attempts.jobs) == sent
