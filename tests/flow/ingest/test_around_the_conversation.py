"""Acknowledgements, surveys, links, erasure, and refusals."""

import pytest

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2
from services.chassis.keys import tenant_key
from services.ingest.domain.decisions import IntakeLimits
from tests.flow.ingest.world import TENANT, World, a_configuration, a_message, an_identity

HOUR = 3_600_000


def a_survey(world: World, text: str = "How was it? 1-5", **changes: object) -> records_pb2.InboundRecord:
    """The request by which feedback asks ingest to send a survey."""
    values: dict[str, object] = {
        "request_id": "inv-1",
        "tenant": TENANT,
        "identity_id": an_identity().identity_id,
        "text": text,
        "purpose": records_pb2.OUTBOUND_PURPOSE_SURVEY,
        "invitation_id": "inv-1",
        "survey_kind": "csat",
        "survey_expires_at_ms": world.intake.now_ms + 72 * HOUR,
        **changes,
    }
    return records_pb2.InboundRecord(tenant=TENANT, outbound=records_pb2.OutboundRequest(**values))  # type: ignore[arg-type]  # a table of different fields


def surveyed() -> World:
    """A world with a customer whose interaction is over and who received a survey."""
    world = World()
    world.customer(a_message("سلام", language="fa"))
    world.routing("completed", world.enqueued[0])
    world.inbound(a_survey(world), an_identity().identity_id)
    return world


def test_the_acknowledgement_states_the_wait_in_the_customers_language() -> None:
    """It is sent once per interaction, and at most once in the gap."""
    world = World()
    world.customer(a_message("سلام", language="fa"))
    world.routing("queued", world.enqueued[0], position=2, estimated_wait_ms=150_000)
    world.routing("queued", world.enqueued[0], position=1, estimated_wait_ms=60_000, again=True)
    assert world.texts == ["سلام", "پیام شما رسید. زمان تقریبی انتظار: ۳ دقیقه."]
    sent = world.conversation[-1].message
    assert sent.purpose == records_pb2.OUTBOUND_PURPOSE_ACKNOWLEDGEMENT
    world.routing("completed", world.enqueued[0])
    world.wait(HOUR - 1_000)
    world.customer(a_message("دوباره", native_message_id="m2", language="fa"))
    world.routing("queued", world.enqueued[1], estimated_wait_ms=60_000)
    assert len(world.texts) == 3
    world.routing("completed", world.enqueued[1])
    world.wait(2_000)
    world.customer(a_message("باز", native_message_id="m3", language="fa"))
    world.routing("queued", world.enqueued[2], estimated_wait_ms=60_000)
    assert len(world.texts) == 5


@pytest.mark.parametrize("change", [{"no_auto_reply": True}, {"identity": an_identity("9", "email", "help")}])
def test_machines_and_accounts_that_do_not_want_it_get_no_acknowledgement(change: dict[str, object]) -> None:
    """Mailing lists and auto-replies never get one; other accounts only when configured."""
    world = World()
    world.customer(a_message(**change))  # type: ignore[arg-type]  # a table of different keywords
    world.routing("queued", world.enqueued[0], estimated_wait_ms=60_000)
    assert world.deliveries == []


def test_a_score_answers_the_survey_and_opens_nothing() -> None:
    """The score is part of the conversation and goes to feedback under the person's key, once."""
    world = surveyed()
    world.customer(a_message("۵", native_message_id="m2"))
    (answer,) = world.responses
    assert (answer.response.invitation_id, answer.response.score) == ("inv-1", 5)
    assert answer.response.source == feedback_pb2.RESPONSE_SOURCE_REPLY
    assert answer.person_id == world.enqueued[0].person_id
    assert world.intake.sent_to("feedback.commands.v1")[0].key == tenant_key(TENANT, answer.person_id)
    assert len(world.enqueued) == 1
    assert world.texts == ["سلام", "How was it? 1-5", "۵"]
    world.customer(a_message("4", native_message_id="m3"))
    assert len(world.responses) == 1
    assert len(world.enqueued) == 2


def test_a_score_above_a_signature_answers_the_survey() -> None:
    """Only the new text of a mail is read: a signature of names and numbers is not a part of the answer."""
    world = surveyed()
    text = "5\n\nBest regards\nAli Rezaei\nTel: 4\n"
    said = a_message(text, native_message_id="m2")
    said.message.text_parts.add(kind=records_pb2.TEXT_PART_KIND_NEW, length=3)
    said.message.text_parts.add(kind=records_pb2.TEXT_PART_KIND_SIGNATURE, length=len(text) - 3)
    world.customer(said)
    assert [each.response.score for each in world.responses] == [5]
    assert world.texts[-1] == text


def test_a_further_score_amends_in_time_and_in_the_same_conversation() -> None:
    """For two hours after the first answer, whatever was said in between; after that a score is an ordinary message."""
    world = World()
    world.customer(a_message("سلام", language="fa"))
    world.routing("completed", world.enqueued[0])
    world.inbound(a_survey(world, survey_amend_for_ms=2 * HOUR), an_identity().identity_id)
    world.customer(a_message("2", native_message_id="m2"))
    world.wait(HOUR)
    world.customer(a_message("👍", native_message_id="m3"))
    world.wait(HOUR - 1)
    world.customer(a_message("4", native_message_id="m4"))
    assert [each.response.score for each in world.responses] == [2, 5, 4]
    assert len({each.command_id for each in world.responses}) == 3
    assert len(world.enqueued) == 1
    world.wait(1)
    world.customer(a_message("3", native_message_id="m5"))
    assert (len(world.responses), len(world.enqueued)) == (3, 2)


def test_a_score_in_another_conversation_answers_first_but_never_amends() -> None:
    """Two days later a "2" may begin a new subject."""
    world = World()
    world.customer(a_message("سلام", language="fa"))
    world.routing("completed", world.enqueued[0])
    world.inbound(a_survey(world, survey_amend_for_ms=72 * HOUR), an_identity().identity_id)
    world.wait(48 * HOUR)
    world.customer(a_message("5", native_message_id="m2"))
    assert [each.response.score for each in world.responses] == [5]
    world.wait(23 * HOUR)
    world.customer(a_message("2", native_message_id="m3"))
    assert [each.response.score for each in world.responses] == [5, 2]
    world = World()
    world.customer(a_message("سلام", language="fa"))
    world.routing("completed", world.enqueued[0])
    expires = world.intake.now_ms + 200 * HOUR
    asked = a_survey(world, survey_amend_for_ms=200 * HOUR, survey_expires_at_ms=expires)
    world.inbound(asked, an_identity().identity_id)
    world.customer(a_message("5", native_message_id="m2"))
    world.wait(48 * HOUR)
    world.customer(a_message("2", native_message_id="m3"))
    assert [each.response.score for each in world.responses] == [5]
    assert len(world.enqueued) == 2


def test_a_reminder_leaves_one_invitation_open() -> None:
    """The survey is sent once more under another key, and answered once."""
    world = surveyed()
    world.inbound(a_survey(world, "Please?", request_id="inv-1-reminder"), an_identity().identity_id)
    assert world.texts[-1] == "Please?"
    world.customer(a_message("5", native_message_id="m2"))
    world.customer(a_message("4", native_message_id="m3"))
    assert [each.response.score for each in world.responses] == [5]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": records_pb2.MESSAGE_KIND_REACTION},
        {"automatic": records_pb2.Automatic(kind=types_pb2.AUTOMATIC_KIND_AUTO_REPLY)},
    ],
)
def test_reactions_and_machines_answer_no_survey(change: dict[str, object]) -> None:
    """A thumb on some message is not an answer to the survey, and an absence note whose text is a number is not a
    customer's answer."""
    world = surveyed()
    world.customer(a_message("👍" if "kind" in change else "5", native_message_id="m2", **change))  # type: ignore[arg-type]  # a table of different keywords
    assert world.responses == []


def test_free_text_is_not_a_survey_answer() -> None:
    """Free text could not be distinguished from a new contact."""
    world = World()
    world.customer(a_message("سلام", language="fa"))
    world.routing("completed", world.enqueued[0])
    world.inbound(a_survey(world, survey_kind="text"), an_identity().identity_id)
    world.customer(a_message("5", native_message_id="m2"))
    assert (world.responses, len(world.enqueued)) == ([], 2)


def test_words_after_a_survey_are_a_new_contact_and_the_survey_stays_open() -> None:
    """The survey remains open until it expires."""
    world = surveyed()
    world.customer(a_message("5 of my parcels are missing", native_message_id="m2"))
    assert (len(world.enqueued), world.responses) == (2, [])
    world.customer(a_message("3", native_message_id="m3"))
    assert world.responses == []
    world.routing(
        "customer_message_recorded", world.enqueued[1], message_id=world.commands[-1].customer_messaged.message_id
    )
    world.routing("completed", world.enqueued[1])
    world.customer(a_message("4", native_message_id="m4"))
    assert [a.response.score for a in world.responses] == [4]


def test_an_expired_survey_is_not_answered() -> None:
    """After that a number is an ordinary message."""
    world = surveyed()
    world.wait(72 * HOUR)
    world.customer(a_message("5", native_message_id="m2"))
    assert (world.responses, len(world.enqueued)) == ([], 2)


def test_an_invitation_may_overtake_the_end_of_its_interaction() -> None:
    """The invitation is about that interaction, so the interaction is over, even if its notice has not arrived."""
    world = World()
    world.customer(a_message())
    interaction = world.enqueued[0].interaction_id
    world.inbound(a_survey(world, interaction_id=interaction), an_identity().identity_id)
    world.customer(a_message("5", native_message_id="m2"))
    world.routing("completed", world.enqueued[0])
    assert len(world.responses) == 1
    assert len(world.enqueued) == 1


def test_a_message_to_a_customer_without_a_conversation_begins_one() -> None:
    """The identity's last route is known for a month."""
    world = World()
    world.customer(a_message())
    world.routing("completed", world.enqueued[0])
    world.wait(48 * HOUR)
    world.inbound(a_survey(world), an_identity().identity_id)
    assert [r.conversation_id for r in world.conversation if r.WhichOneof("record") == "opened"][1] not in (
        world.enqueued[0].conversation_id,
    )
    assert world.texts[-1] == "How was it? 1-5"


def test_a_linked_identity_writes_in_its_persons_conversation() -> None:
    """Its messages are decided under the home's key, answers go where the customer wrote last, and duplicates are still
    recognised."""
    world = World()
    home, other = an_identity("v1"), an_identity("42", "telegram", "bot")
    world.customer(a_message("from the site", identity=home))
    world.customer(a_message("before the link", identity=other))
    link = records_pb2.IdentityLink(
        request_id="l1", identity_id=other.identity_id, home_identity_id=home.identity_id, evidence="signed-login"
    )
    world.inbound(records_pb2.InboundRecord(tenant=TENANT, link=link), home.identity_id)
    world.customer(a_message("from telegram", native_message_id="m9", identity=other))
    world.customer(a_message("before the link", identity=other))
    first = world.enqueued[0]
    joined = world.conversation[-1]
    assert (joined.message.text, joined.conversation_id, joined.person_id) == (
        "from telegram",
        first.conversation_id,
        first.person_id,
    )
    world.reply(first.conversation_id, "hi")
    assert world.attempts.jobs[0].route.identity.identity_id == other.identity_id
    world.routing("completed", world.enqueued[1])
    assert world.conversation[-1].interaction_closed.interaction_id == world.enqueued[1].interaction_id


def test_a_circle_of_links_is_refused_and_one_that_is_there_loses_no_message() -> None:
    """The home's lane detects the cycle. Two links at the same time may still form one: it ends with the first message
    that passes around it."""
    world = World()
    one, two = an_identity("1"), an_identity("2")
    world.customer(a_message(identity=one), a_message(identity=two))
    for who, home in ((one, an_identity("stranger")), (one, two), (two, one)):
        link = records_pb2.IdentityLink(
            request_id=home.native_id, identity_id=who.identity_id, home_identity_id=home.identity_id
        )
        world.inbound(records_pb2.InboundRecord(tenant=TENANT, link=link), home.identity_id)
    assert [v.reason for _, v in world.intake.dead_letters] == ["UNKNOWN_HOME", "LINK_CIRCLE"]
    for who, home in ((one, two), (two, one)):
        link = records_pb2.IdentityLink(
            request_id=f"at once {who.native_id}",
            identity_id=who.identity_id,
            home_identity_id=home.identity_id,
            confirmed=True,
        )
        world.inbound(records_pb2.InboundRecord(tenant=TENANT, link=link), who.identity_id)
    world.customer(a_message("lost?", native_message_id="m2", identity=one))
    world.customer(a_message("lost again?", native_message_id="m3", identity=two))
    assert len(world.intake.dead_letters) == 2
    assert world.texts[-2:] == ["lost?", "lost again?"]


def test_erasure_leaves_nothing_in_memory() -> None:
    """The conversation is erased, the router is notified that the customer left, and both lanes delete their changelog
    entries."""
    world = World()
    world.customer(a_message())
    erasure = records_pb2.IdentityErasure(request_id="e1", identity_id=an_identity().identity_id)
    world.inbound(records_pb2.InboundRecord(tenant=TENANT, erasure=erasure), an_identity().identity_id)
    assert world.kinds()[-1] == "erased"
    assert world.commands[-1].WhichOneof("command") == "customer_left"
    assert world.intake.changelog == {}
    assert world.sender.changelog == {}


def test_closed_and_inactive_state_leaves_memory() -> None:
    """A closed conversation leaves memory after its window, an inactive customer after a month, ids after a week."""
    world = World(limits=IntakeLimits(idle_customer_ms=30 * 24 * HOUR))
    world.customer(a_message())
    world.reply(world.enqueued[0].conversation_id, "hi")
    world.routing("completed", world.enqueued[0])
    world.wait(31 * 24 * HOUR)
    assert list(world.intake.changelog) == [b"o/routing.events.v1/0"]  # up to where the relay's notices were handled
    assert world.sender.changelog == {}
    assert world.intake.processor.next_wakeup() is None


@pytest.mark.parametrize("kept", ["an open interaction", "a link", "a survey", "a removed tenant"])
def test_state_that_outlives_its_customers_last_message_does_not_keep_the_lane_awake(kept: str) -> None:
    """The lane would wake up again and again, with nothing to do."""
    world = World(limits=IntakeLimits(idle_customer_ms=HOUR, duplicate_window_ms=HOUR))
    world.customer(a_message())
    if kept != "an open interaction":
        world.routing("completed", world.enqueued[0])
    if kept == "a link":
        world.customer(a_message(identity=an_identity("v2")))
        linked = records_pb2.IdentityLink(
            request_id="l1", identity_id=an_identity().identity_id, home_identity_id=an_identity("v2").identity_id
        )
        world.inbound(records_pb2.InboundRecord(tenant=TENANT, link=linked), an_identity("v2").identity_id)
    if kept == "a survey":
        world.inbound(a_survey(world), an_identity().identity_id)
    if kept == "a removed tenant":
        world.removed.add(TENANT)
    world.wait(25 * HOUR)  # FakeLane refuses a wake-up that comes again at once
    due = world.intake.processor.next_wakeup()
    assert due is None or due > world.intake.now_ms
    assert any(key.startswith(b"c/") for key in world.intake.changelog)


def test_unreadable_records_are_refused_and_others_are_handled() -> None:
    """Garbage, records of newer versions, and records without ids become dead letters; the records around them are
    handled."""
    world = World()
    key = tenant_key(TENANT, an_identity().identity_id)
    nameless = a_message()
    nameless.message.message_id = ""
    newer = a_message(native_message_id="m7")
    newer.message.kind = 99  # type: ignore[assignment]  # a number that this version does not know
    batch = [
        world.intake.record(b"\xff\xff\xff", key=key),
        world.intake.record(None, key=key),
        world.intake.record(a_message().SerializeToString(), key=key),
        world.intake.record(a_message(native_message_id="m2").SerializeToString(), key=b"\xff"),
        world.intake.record(nameless.SerializeToString(), key=key),
        world.intake.record(newer.SerializeToString(), key=key),
        world.intake.record(b"", key=key),
        world.intake.record(records_pb2.InboundRecord(tenant=TENANT).SerializeToString(), key=key),
    ]
    world.intake.batch(*batch)
    world.pump()
    assert [v.reason for _, v in world.intake.dead_letters] == [
        "UNDECODABLE",
        "UNDECODABLE",
        "UNDECODABLE",
        "INCOMPLETE",
        "UNKNOWN_VALUE",
        "UNKNOWN_TENANT",
        "UNKNOWN_RECORD",
    ]
    assert world.texts == ["hello"]


def test_a_new_configuration_counts_from_the_next_batch() -> None:
    """The interaction says which version chose its queue."""
    world = World()
    world.customer(a_message())
    newer = a_configuration(version=8)
    newer.rules.insert(0, config_pb2.RoutingRule(name="all", queue="sales"))
    world.configuration = newer
    world.customer(a_message(identity=an_identity("v2")))
    opened = [r.interaction_opened for r in world.conversation if r.WhichOneof("record") == "interaction_opened"]
    assert [(o.queue, o.configuration_version) for o in opened] == [("general", 7), ("sales", 8)]


def test_another_tenants_customers_are_out_of_reach() -> None:
    """Whatever identity, home or conversation a caller names: nothing is sent to them and nothing changes."""
    world = World()
    world.tenants["rival"] = a_configuration(tenant="rival")
    world.customer(a_message())
    victim, conversation = an_identity().identity_id, world.enqueued[0].conversation_id
    survey = a_survey(world, "buy ours")
    survey.tenant = "rival"
    world.inbound(survey, victim)
    reply = records_pb2.OutboundRecord(
        tenant="rival",
        conversation_id=conversation,
        request=records_pb2.OutboundRequest(request_id="r", tenant="rival", conversation_id=conversation, text="buy"),
    )
    for key in (tenant_key("rival", conversation), tenant_key(TENANT, conversation)):
        world.sender.handle(reply.SerializeToString(), key=key)
    world.intake.handle(survey.SerializeToString(), key=tenant_key(TENANT, victim))
    world.pump()
    assert [v.reason for _, v in world.intake.dead_letters] == ["UNKNOWN_IDENTITY", "TENANT_MISMATCH"]
    assert [v.reason for _, v in world.sender.dead_letters] == ["INCOMPLETE"]
    assert [(d.tenant, d.reason) for d in world.delivery_records] == [("rival", "NO_ROUTE")]
    assert world.texts == ["hello"]
