"""An address that failed gets no surveys, and a reply that fails after its interaction has ended is followed up."""

from typing import Any

import pytest

from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2
from services.ingest.domain.deliveries import Outcome
from tests.flow.ingest.test_around_the_conversation import a_survey
from tests.flow.ingest.test_delivery_reports import MAIL, a_mailbox, bounce
from tests.flow.ingest.world import TENANT, World, a_configuration, a_message, an_identity

TELEGRAM = an_identity("42", "telegram", "bot")


class Ended:
    """A Telegram customer whose interaction an agent has answered and completed; the answer is still on its way."""

    def __init__(self, **configured: Any) -> None:
        self.world = World(a_configuration(**configured))
        self.world.customer(a_message(identity=TELEGRAM))
        (self.interaction,) = self.world.enqueued
        self.conversation = self.interaction.conversation_id
        self.reply("r1")

    def reply(self, request_id: str, interaction_id: str = "") -> None:
        """Let the agent reply, as the gateway writes it."""
        about = interaction_id or self.interaction.interaction_id
        self.world.reply(self.conversation, "bye", request_id, pool="main", queue="general", interaction_id=about)

    def complete(self) -> None:
        """Let the agent complete the interaction."""
        self.world.routing("completed", self.world.enqueued[-1])

    def survey(self, request_id: str = "inv-1") -> list[str]:
        """Let feedback invite the customer; returns the reasons of the invitations that failed."""
        asked = a_survey(self.world, request_id=request_id, invitation_id=request_id, identity_id=TELEGRAM.identity_id)
        self.world.inbound(asked, TELEGRAM.identity_id)
        return [c.undeliverable.reason for c in self.world.responses if c.HasField("undeliverable")]


def test_an_address_that_failed_gets_no_survey() -> None:
    """The invitation does not leave, and feedback learns that it did not arrive."""
    chat = Ended()
    chat.complete()
    chat.world.outcome(Outcome.UNREACHABLE, reason="BLOCKED_BY_USER")
    sent = len(chat.world.attempts.jobs)
    assert chat.survey() == ["ADDRESS_FAILED"]
    assert len(chat.world.attempts.jobs) == sent
    assert chat.world.deliveries[-1] == ("FAILED", "ADDRESS_FAILED")


@pytest.mark.parametrize("ended_by", ["a message", "a success"])
def test_a_message_or_a_success_ends_it(ended_by: str) -> None:
    """The customer has unblocked the bot, and writes; or the next reply arrives."""
    chat = Ended(failed_reply=config_pb2.FAILED_REPLY_ACTION_NOTHING)
    chat.world.outcome(Outcome.UNREACHABLE, reason="BLOCKED_BY_USER")
    if ended_by == "a message":
        chat.world.customer(a_message("hello again", native_message_id="m2", identity=TELEGRAM))
    else:
        chat.reply("r2")
        chat.world.outcome(Outcome.ACCEPTED)
    sent = len(chat.world.attempts.jobs)
    assert chat.survey() == []
    assert len(chat.world.attempts.jobs) == sent + 1


@pytest.mark.parametrize(("outcome", "reason"), [(Outcome.REJECTED, "HTTP_400"), (Outcome.UNKNOWN, "TIMEOUT")])
def test_a_failure_that_is_not_about_the_address_forbids_no_survey(outcome: Outcome, reason: str) -> None:
    """The text was refused, or it is not known what became of it."""
    chat = Ended(failed_reply=config_pb2.FAILED_REPLY_ACTION_NOTHING)
    chat.complete()
    chat.world.outcome(outcome, reason=reason)
    assert chat.survey() == []


@pytest.mark.parametrize(("status", "sent"), [("5.1.1", 0), ("5.2.2", 1)])
def test_a_mailbox_that_bounced_gets_no_survey(status: str, sent: int) -> None:
    """C16. Not a full mailbox. What the relay says to later mails ends nothing: only the customer's own mail does."""
    world, conversation, delivery_id = a_mailbox()
    world.routing("completed", world.enqueued[0])
    world.customer(bounce(conversation, delivery_id.replace("-", "")[:12], status))
    world.reply(conversation, "a notice", "r2", author_id="")
    world.outcome(Outcome.ACCEPTED, native_ids=("<chapar.2@acme.example>",))
    before = len(world.attempts.jobs)
    world.inbound(a_survey(world, identity_id=MAIL.identity_id), MAIL.identity_id)
    assert len(world.attempts.jobs) == before + sent
    world.customer(a_message("I am back", native_message_id="m9", identity=MAIL))
    world.inbound(
        a_survey(world, request_id="inv-2", invitation_id="inv-2", identity_id=MAIL.identity_id), MAIL.identity_id
    )
    if sent:
        world.outcome(Outcome.ACCEPTED, native_ids=("<chapar.3@acme.example>",))
    assert world.attempts.jobs[-1].delivery.request.invitation_id == "inv-2"


def test_a_reply_that_fails_after_completion_is_followed_up_once() -> None:
    """In the same queue, with the reason."""
    chat = Ended()
    chat.complete()
    chat.world.outcome(Outcome.REJECTED, reason="HTTP_400")
    chat.complete()
    chat.reply("r2")
    chat.world.outcome(Outcome.REJECTED, reason="HTTP_400")
    first, follow_up = chat.world.enqueued
    assert follow_up.queue == first.queue == "general"
    assert follow_up.conversation_id == chat.conversation
    opened = [r.interaction_opened for r in chat.world.conversation if r.WhichOneof("record") == "interaction_opened"]
    assert opened[-1].rule == "reply failed: HTTP_400"
    assert chat.world.deliveries.count(("FAILED", "HTTP_400")) == 2


def test_nothing_is_opened_while_an_interaction_is_open() -> None:
    """Its agent sees the failed message, and was notified. Nothing waits for the end either."""
    chat = Ended()
    chat.world.outcome(Outcome.REJECTED, reason="HTTP_400")
    chat.complete()
    assert len(chat.world.enqueued) == 1


def test_the_configuration_can_leave_it_to_the_story() -> None:
    """`failed_reply: nothing`."""
    chat = Ended(failed_reply=config_pb2.FAILED_REPLY_ACTION_NOTHING)
    chat.complete()
    chat.world.outcome(Outcome.REJECTED, reason="HTTP_400")
    assert len(chat.world.enqueued) == 1


def test_a_queue_that_is_gone_is_not_used() -> None:
    """The configuration has changed since the agent replied."""
    chat = Ended()
    chat.complete()
    chat.world.configuration = a_configuration()
    del chat.world.configuration.queues[:]
    chat.world.configuration.queues.add(name="other", pool="main")
    chat.world.outcome(Outcome.REJECTED, reason="HTTP_400")
    assert len(chat.world.enqueued) == 1
    assert chat.world.intake.dead_letters == []


def test_other_messages_that_fail_open_nothing() -> None:
    """Acknowledgements, notices and surveys have no agent who waits for an answer."""
    chat = Ended()
    chat.world.outcome(Outcome.ACCEPTED)
    chat.complete()
    chat.survey()
    chat.world.outcome(Outcome.REJECTED, reason="HTTP_400")
    assert len(chat.world.enqueued) == 1


def test_the_address_of_a_linked_identity_is_known_to_the_persons_home() -> None:
    """The notice goes to the home, where surveys are decided."""
    chat = Ended(failed_reply=config_pb2.FAILED_REPLY_ACTION_NOTHING)
    chat.complete()
    home = an_identity("home")
    chat.world.customer(a_message("hi", identity=home, native_message_id="h1"))
    link = records_pb2.IdentityLink(
        request_id="l1", identity_id=TELEGRAM.identity_id, home_identity_id=home.identity_id, evidence="signed login"
    )
    chat.world.inbound(records_pb2.InboundRecord(tenant=TENANT, link=link), home.identity_id)
    chat.world.outcome(Outcome.UNREACHABLE, reason="BLOCKED_BY_USER")
    notices = [s for s in chat.world.log if s.topic == "inbound.v1"]
    forwarded = records_pb2.InboundRecord.FromString(notices[-1].value or b"")
    assert forwarded.WhichOneof("record") == "delivery_notice"
    assert notices[-1].key == f"{TENANT}/{home.identity_id}".encode()
    assert forwarded.hops == 1
