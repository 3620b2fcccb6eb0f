"""Interactions that another service requests: in the customer's conversation, one at a time, once."""

from typing import Any

import pytest

from chapar.common.v1 import types_pb2, verdict_pb2
from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from tests.flow.ingest.world import TENANT, World, a_message, an_identity

HOME = an_identity().identity_id


def a_follow_up(request_id: str = "inv-1", **fields: Any) -> records_pb2.InboundRecord:
    request: dict[str, Any] = {
        "request_id": request_id,
        "identity_id": HOME,
        "queue": "sales",
        "priority": 7,
        "requirements": [types_pb2.Selector(attribute="recovery", number=5)],
        "labels": {"recovery": "true"},
        "reason": "recovery:bad",
    }
    return records_pb2.InboundRecord(tenant=TENANT, follow_up=records_pb2.FollowUpRequest(**{**request, **fields}))


def a_world_after_one_contact() -> World:
    world = World()
    world.customer(a_message("one"))
    world.routing("completed", world.enqueued[0], agent_id="sara")
    return world


def test_a_follow_up_is_enqueued_in_the_same_conversation_as_it_was_asked_for() -> None:
    """Queue, priority, requirements, labels and reason come from the request; the reply route is written before an
    agent could answer."""
    world = a_world_after_one_contact()
    world.inbound(a_follow_up(), HOME)
    first, second = world.enqueued
    assert second.interaction_id == derive("follow-up", TENANT, "inv-1")
    assert (second.conversation_id, second.person_id) == (first.conversation_id, first.person_id)
    assert (second.queue, second.priority, second.rule) == ("sales", 7, "recovery:bad")
    assert [each.attribute for each in second.requirements] == ["recovery"]
    assert dict(second.labels) == {"recovery": "true"}
    opened = world.conversation[-1].interaction_opened
    assert (opened.interaction_id, opened.rule) == (second.interaction_id, "recovery:bad")
    assert [record.WhichOneof("record") for record in world.outbound][-1] == "route"
    world.routing("queued", second)
    assert world.deliveries == [], "nobody wrote, so nothing is acknowledged"


def test_a_repeated_follow_up_is_one_interaction_also_after_a_takeover() -> None:
    """Duplicates are recognised by the request's id."""
    world = a_world_after_one_contact()
    world.inbound(a_follow_up(), HOME)
    world.intake.crash()
    world.inbound(a_follow_up(), HOME)
    assert len(world.enqueued) == 2


def test_a_follow_up_waits_for_the_end_of_the_active_interaction() -> None:
    """Also after a crash. Two follow-ups wait in order. The customer's next message joins the open one."""
    world = World()
    world.customer(a_message("one"))
    world.inbound(a_follow_up("inv-1"), HOME)
    world.inbound(a_follow_up("inv-2"), HOME)
    assert len(world.enqueued) == 1
    world.intake.crash()
    world.routing("completed", world.enqueued[0], agent_id="sara")
    assert [each.rule for each in world.enqueued][1:] == ["recovery:bad"]
    world.customer(a_message("two", native_message_id="m2"))
    assert len(world.enqueued) == 2
    assert world.commands[-1].customer_messaged.interaction_id == world.enqueued[1].interaction_id
    world.routing(
        "customer_message_recorded", world.enqueued[1], message_id=world.commands[-1].customer_messaged.message_id
    )
    world.routing("completed", world.enqueued[1], agent_id="sara")
    assert world.enqueued[2].interaction_id == derive("follow-up", TENANT, "inv-2")


def test_a_follow_up_continues_a_closed_conversation() -> None:
    """The named conversation continues, although its window has passed."""
    world = a_world_after_one_contact()
    conversation_id = world.enqueued[0].conversation_id
    world.wait(3 * 24 * 3_600_000)
    world.inbound(a_follow_up(conversation_id=conversation_id), HOME)
    assert world.enqueued[1].conversation_id == conversation_id
    assert world.kinds().count("opened") == 1


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (a_follow_up(queue="nowhere"), "UNKNOWN_QUEUE"),
        (a_follow_up(request_id=""), "INCOMPLETE"),
        (a_follow_up(queue=""), "INCOMPLETE"),
    ],
)
def test_a_follow_up_that_can_not_be_opened_is_a_dead_letter(record: records_pb2.InboundRecord, reason: str) -> None:
    """A queue that is not configured, and a request without an id."""
    world = a_world_after_one_contact()
    world.inbound(record, HOME)
    assert [why.reason for _, why in world.intake.dead_letters] == [reason]
    assert len(world.enqueued) == 1


def test_a_follow_up_for_an_unknown_identity_is_refused() -> None:
    """An identity that never sent a message, or was forgotten."""
    world = World()
    world.inbound(a_follow_up(), HOME)
    assert [why.reason for _, why in world.intake.dead_letters] == ["UNKNOWN_IDENTITY"]


@pytest.mark.parametrize("kind", ["follow_up", "check"])
def test_a_question_about_an_unknown_identity_is_refused_without_a_dead_letter(kind: str) -> None:
    """Also if the unknown identity has no key, so that nothing could be stored about it: OK would say that the request
    was done."""
    world = World()
    record = a_follow_up()
    if kind == "check":
        record = records_pb2.InboundRecord(tenant=TENANT, check=records_pb2.OwnershipCheck(identity_id=HOME))
    record.question_id = "q"
    world.inbound(record, HOME)
    (verdict,) = [verdict_pb2.Verdict.FromString(s.value) for s in world.intake.sent_to("ingest.verdicts.v1")]
    assert (verdict.tenant, verdict.question_id, verdict.refused) == (TENANT, "q", "UNKNOWN_IDENTITY")
    assert world.intake.dead_letters == []
