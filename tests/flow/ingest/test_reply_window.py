"""WhatsApp takes free texts for 24 hours after the customer's last message, and approved templates always."""

from typing import Any

import pytest

from chapar.common.v1 import types_pb2
from chapar.common.v1.dead_letter_pb2 import DeadLetter
from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.sent_files import upload_id
from tests.flow.ingest.test_reply_outcomes import outcomes
from tests.flow.ingest.world import TENANT, World, a_configuration, a_message, an_identity

PHONE = "989120000000"
CUSTOMER = an_identity(PHONE, "whatsapp", "wa")
HOUR = 3_600_000
READY = config_pb2.ApprovedTemplate(name="order_ready", language="en", body="Order {{1}} is ready {{2}}.")
ABOUT = config_pb2.ApprovedTemplate(name="about", language="en", body="{{1}}, about your message: {{2}} Please answer.")
RULE = config_pb2.OutsideWindow(template="about", parameters=["{name}", "{text}"])


def a_world(rule: config_pb2.OutsideWindow | None = None, hours: str = "", age_ms: int = 0) -> tuple[World, str]:
    """Create a world with a message of a WhatsApp customer that was sent `age_ms` ago; returns the conversation too."""
    configuration = a_configuration()
    account = next(each for each in configuration.channels if each.channel == "whatsapp")
    account.approved_templates.extend([READY, ABOUT])
    if rule is not None:
        account.outside_window.CopyFrom(rule)
    if hours:
        account.settings["reply_window_hours"] = hours
    world = World(configuration)
    sent_at_ms = world.intake.now_ms - age_ms if age_ms else 0
    world.customer(a_message(identity=CUSTOMER, reply_context={"to": PHONE}, sent_at_ms=sent_at_ms))
    world.wait(5_000)
    return world, world.enqueued[0].conversation_id


def reply(world: World, conversation: str, text: str = "it is\nhere", **fields: Any) -> None:
    """Let the agent reply."""
    world.reply(conversation, text, "r1", pool="main", interaction_id="i-1", **fields)


def choice(*values: str, name: str = "order_ready") -> types_pb2.TemplateChoice:
    """An agent's choice of a template."""
    return types_pb2.TemplateChoice(name=name, parameters=values)


def test_outside_the_window_a_text_reaches_no_provider_and_the_agent_learns_it_at_once() -> None:
    """C17. The outcome has its own reason, and the message stays in the conversation as one that did not arrive."""
    world, conversation = a_world()
    world.wait(24 * HOUR + 1)
    reply(world, conversation)
    assert world.attempts.jobs == []
    assert outcomes(world) == [("FAILED", "OUTSIDE_WINDOW", False)]
    assert world.deliveries[-1] == ("FAILED", "OUTSIDE_WINDOW")


@pytest.mark.parametrize(("hours", "closed_after_h"), [("", 24), ("72", 72), ("1", 1)])
def test_the_window_is_that_of_the_account(hours: str, closed_after_h: int) -> None:
    """24 hours unless the account has another number."""
    world, conversation = a_world(hours=hours)
    world.wait(closed_after_h * HOUR - 10_000)
    reply(world, conversation)
    world.outcome(Outcome.ACCEPTED)
    world.wait(10_000)
    world.reply(conversation, "late", "r2")
    assert [job.delivery.request.text for job in world.attempts.jobs] == ["it is\nhere"]
    assert world.deliveries[-1] == ("FAILED", "OUTSIDE_WINDOW")


def test_an_account_can_leave_the_window_to_the_provider() -> None:
    """With 0 hours every text is sent."""
    world, conversation = a_world(hours="0")
    world.wait(100 * HOUR)
    reply(world, conversation)
    assert len(world.attempts.jobs) == 1


def test_the_window_begins_when_the_customer_wrote_not_when_the_provider_delivered() -> None:
    """A message that waited at the provider for a day leaves no time for a free reply."""
    world, conversation = a_world(age_ms=25 * HOUR)
    reply(world, conversation)
    assert outcomes(world) == [("FAILED", "OUTSIDE_WINDOW", False)]


def test_outside_the_window_a_file_fails_also_when_texts_become_templates() -> None:
    """A template carries no file, and its words without the file would be another message."""
    world, conversation = a_world(RULE)
    world.wait(24 * HOUR + 1)
    file = records_pb2.Attachment(
        file_id=upload_id("i-1", "owner-1", "nonce"),
        owner_id="owner-1",
        name="invoice.pdf",
        content_type="application/pdf",
        size=10,
        state=records_pb2.ATTACHMENT_STATE_STORED,
    )
    reply(world, conversation, "your invoice", attachments=[file])
    assert world.attempts.jobs == []
    assert outcomes(world) == [("FAILED", "OUTSIDE_WINDOW", False)]


def test_the_agent_sends_an_approved_template() -> None:
    """Outside the window and inside it. The conversation has its words, and the language is that of the template."""
    world, conversation = a_world()
    reply(world, conversation, "", template=choice("12", "today"))
    world.outcome(Outcome.ACCEPTED, native_ids=("wamid.1",))
    world.wait(30 * HOUR)
    world.reply(conversation, "", "r2", template=choice("13", "now"))
    jobs = world.attempts.jobs
    assert [job.delivery.request.text for job in jobs] == ["Order 12 is ready today.", "Order 13 is ready now."]
    used = jobs[-1].delivery.request.template
    assert used is not None
    assert (used.name, used.language, used.parameters) == ("order_ready", "en", ("13", "now"))
    assert world.texts[-1] == "Order 12 is ready today."
    assert outcomes(world) == [("SENT", "", False)]


@pytest.mark.parametrize(
    ("used", "reason"),
    [
        (choice("12"), "TEMPLATE_PARAMETERS"),
        (choice("12", ""), "TEMPLATE_PARAMETERS"),
        (choice("12", "a\nb"), "TEMPLATE_PARAMETERS"),
        (choice("12", "today", name="hello"), "UNKNOWN_TEMPLATE"),
    ],
)
def test_a_template_that_does_not_fit_reaches_no_provider(used: types_pb2.TemplateChoice, reason: str) -> None:
    """The agent learns why."""
    world, conversation = a_world()
    reply(world, conversation, "", template=used)
    assert world.attempts.jobs == []
    assert outcomes(world) == [("FAILED", reason, False)]


def test_a_rule_sends_a_template_in_place_of_the_text() -> None:
    """The text is one of its parameters; the agent learns that it was sent in this form."""
    world, conversation = a_world(RULE)
    world.wait(25 * HOUR)
    reply(world, conversation)
    world.outcome(Outcome.ACCEPTED, native_ids=("wamid.1",))
    assert world.texts[-1] == "Sara, about your message: it is here Please answer."
    assert outcomes(world) == [("SENT", "SENT_AS_TEMPLATE", False)]
    assert world.deliveries[-1] == ("SENT", "SENT_AS_TEMPLATE")


def test_the_rule_never_cuts_a_text() -> None:
    """A text that is too long for the template fails, and the agent decides."""
    world, conversation = a_world(RULE)
    world.wait(25 * HOUR)
    reply(world, conversation, "x" * 1_100)
    assert outcomes(world) == [("FAILED", "OUTSIDE_WINDOW", False)]


@pytest.mark.parametrize("rule", [None, RULE])
def test_the_provider_says_that_the_window_is_closed(rule: config_pb2.OutsideWindow | None) -> None:
    """Its error is the same outcome as our own rule: the agent learns it, or the template is sent."""
    world, conversation = a_world(rule)
    reply(world, conversation)
    world.outcome(Outcome.REJECTED, reason="OUTSIDE_WINDOW")
    if rule is None:
        assert outcomes(world) == [("FAILED", "OUTSIDE_WINDOW", False)]
        return
    assert world.attempts.jobs[-1].delivery.request.text == "Sara, about your message: it is here Please answer."
    world.outcome(Outcome.REJECTED, reason="OUTSIDE_WINDOW")
    assert outcomes(world) == [("FAILED", "OUTSIDE_WINDOW", False)], "a template is not replaced again"
    assert len(world.attempts.jobs) == 2


def test_the_rest_of_a_text_in_parts_is_not_replaced() -> None:
    """The customer has the first part: a template with the whole text would repeat it."""
    world, conversation = a_world(config_pb2.OutsideWindow(template="order_ready", parameters=["1", "now"]), hours="1")
    reply(world, conversation, "x" * 5_000)
    world.outcome(Outcome.RETRY, reason="HTTP_500", native_ids=("wamid.1",), retry_after_ms=2 * HOUR)
    world.wait(2 * HOUR)
    assert world.deliveries[-1] == ("FAILED", "OUTSIDE_WINDOW")


def test_a_template_survives_a_crash_and_its_dead_letter_can_be_replayed() -> None:
    """The request in the dead letter names it."""
    world, conversation = a_world()
    reply(world, conversation, "", template=choice("12", "today"))
    world.outcome(Outcome.RETRY, reason="HTTP_500")
    world.crash()
    world.wait(300_000)
    world.outcome(Outcome.REJECTED, reason="WHATSAPP_132000")
    (letter,) = world.sender.sent_to("deadletters.v1")
    assert DeadLetter.FromString(letter.value).reason == "WHATSAPP_132000"
    world.reply(conversation, "", "r1", replayed=True, template=choice("12", "today"))
    assert world.attempts.jobs[-1].delivery.request.text == "Order 12 is ready today."


def test_a_service_that_names_a_wrong_template_is_refused() -> None:
    """`OutboundService.Send` gets the reason before anything is sent."""
    world, _ = a_world()
    asked: dict[str, Any] = {"identity_id": CUSTOMER.identity_id, "purpose": records_pb2.OUTBOUND_PURPOSE_NOTICE}
    for request_id, values in (("n1", ("12",)), ("n2", ("12", "today"))):
        request = records_pb2.OutboundRequest(request_id=request_id, tenant=TENANT, template=choice(*values), **asked)
        world.inbound(records_pb2.InboundRecord(tenant=TENANT, outbound=request), CUSTOMER.identity_id)
    assert [refused.reason for _, refused in world.intake.dead_letters] == ["TEMPLATE_PARAMETERS"]
    assert world.attempts.jobs[-1].delivery.request.text == "Order 12 is ready today."
