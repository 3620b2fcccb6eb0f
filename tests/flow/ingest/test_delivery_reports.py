"""After the provider has taken a message: status reports and bounces change its delivery."""

import json
from itertools import permutations
from typing import Any

import pytest

from chapar.common.v1 import types_pb2 as types
from chapar.ingest.v1 import records_pb2
from services.ingest.domain.deliveries import MAX_HELD, MAX_SETTLED, Outcome, Reported, SenderLimits
from services.ingest.domain.delivery_facts import DeliveryFact, DeliveryState, FactSource
from services.ingest.domain.delivery_reference import DeliveryReference, reference_text
from services.ingest.domain.normalise.whatsapp import parse_notification
from services.ingest.ports import Account
from services.ingest.translate.reports import inbound_report, outbound_report
from tests.flow.ingest.world import TENANT, World, a_message, an_identity

PHONE = "989120000000"
CUSTOMER = an_identity(PHONE, "whatsapp", "wa")
ACCOUNT = Account(TENANT, "whatsapp", "wa", {}, {}, "en")
DAY = 86_400_000
FAILED: dict[str, Any] = {"errors": [{"code": 131026, "title": "Message undeliverable"}]}
FINAL = ("SENT", "DELIVERED", "READ", "FAILED", "UNKNOWN")


class Chat:
    """A customer on WhatsApp with one conversation, and the provider's reports about our messages to them."""

    def __init__(self, **limits: int) -> None:
        self.world = World(sender_limits=SenderLimits(**limits))
        self.world.customer(a_message(identity=CUSTOMER))
        self.world.wait(5_000)
        self.conversation = self.world.enqueued[0].conversation_id
        self.write(0)

    def write(self, ms: int) -> None:
        """Let the customer write again, so that the window for replies is open."""
        self.world.wait(ms)
        route = records_pb2.ReplyRoute(
            identity=CUSTOMER, context={"to": PHONE}, last_customer_message_at_ms=self.world.sender.now_ms
        )
        record = records_pb2.OutboundRecord(tenant=TENANT, conversation_id=self.conversation, route=route)
        key = f"{TENANT}/{self.conversation}".encode()
        self.world.sender.handle(record.SerializeToString(), key=key)
        self.world.pump()

    def reply(self, text: str = "hello", request_id: str = "r1") -> None:
        """Let the agent reply."""
        self.world.reply(self.conversation, text, request_id)

    def sent(self, text: str = "hello", request_id: str = "r1", native_id: str = "wamid.1") -> None:
        """Let the agent reply, and the provider take it."""
        self.reply(text, request_id)
        self.world.outcome(Outcome.ACCEPTED, native_ids=(native_id,))

    def report(self, status: str, *, part: int = 1, parts: int = 1, named: bool = True, **fields: Any) -> None:
        """Let the provider report about the newest attempt; `named`: it repeats our reference."""
        delivery = self.world.attempts.jobs[-1].delivery
        reference = DeliveryReference(self.conversation, delivery.delivery_id, part, parts)
        said = {"id": "wamid.1", "status": status, "recipient_id": PHONE, "timestamp": "1700000000"}
        said |= {"biz_opaque_callback_data": reference_text(reference)} if named else {}
        value = {"metadata": {"phone_number_id": "1"}, "statuses": [said | fields]}
        parsed = parse_notification(json.dumps({"entry": [{"changes": [{"value": value}]}]}).encode())
        for each in parsed.reports:
            record = inbound_report(ACCOUNT, each, self.world.intake.now_ms)
            self.world.inbound(record, record.report.identity_id)

    @property
    def states(self) -> list[str]:
        """Return the states that were published, without those of the sender's own work."""
        return [state for state, _ in self.world.deliveries if state in FINAL]

    def unmatched(self) -> float | None:
        """Return the number of reports about unknown deliveries."""
        return self.world.metrics.value("chapar_delivery_reports_unmatched_total", TENANT, "whatsapp")


@pytest.mark.parametrize("named", [True, False])
def test_a_message_is_delivered_and_read(named: bool) -> None:
    """Also when the report does not repeat our reference: then the message's own id names it."""
    chat = Chat()
    chat.sent()
    chat.report("delivered", named=named)
    chat.report("read", named=named)
    assert chat.states == ["SENT", "DELIVERED", "READ"]
    newest = chat.world.delivery_records[-1]
    assert (newest.source, newest.stated_at_ms) == (records_pb2.DELIVERY_SOURCE_PROVIDER, 1_700_000_000_000)
    assert (newest.author_id, newest.author_kind) == ("sara", types.ACTOR_KIND_AGENT)
    assert not any(b"wamid" in send.value for send in chat.world.log if send.value)  # it contains the customer's number


def test_a_message_that_the_provider_could_not_deliver_is_failed() -> None:
    """It was SENT before; the reason is the provider's, and it becomes no dead letter: the provider had it."""
    chat = Chat()
    chat.sent()
    chat.report("failed", **FAILED)
    assert chat.world.deliveries[-2:] == [("SENT", ""), ("FAILED", "WHATSAPP_131026")]
    assert not chat.world.delivery_records[-1].retryable
    assert chat.world.sender.sent_to("deadletters.v1") == []
    counted = chat.world.metrics.value(
        "chapar_delivery_outcomes_total", TENANT, "whatsapp", "FAILED", "WHATSAPP_131026"
    )
    assert counted == 1


@pytest.mark.parametrize("order", list(permutations(("sent", "delivered", "read", "failed"))))
def test_reports_in_any_order_end_in_the_same_state(order: tuple[str, ...]) -> None:
    """READ wins whatever came before and after it, and repeated reports publish nothing."""
    chat = Chat()
    chat.sent()
    for status in (*order, *order):
        chat.report(status, **(FAILED if status == "failed" else {}))
    assert chat.states[-1] == "READ"
    assert len(chat.states) == len(set(chat.states))


@pytest.mark.parametrize("named", [True, False])
def test_a_report_before_the_outcome_of_its_attempt(named: bool) -> None:
    """The provider calls before its answer to us is read: nothing is lost, and the next reply does not overtake."""
    chat = Chat()
    chat.reply("one", "r1")
    chat.reply("two", "r2")
    chat.report("delivered", named=named)
    assert chat.states == []
    assert len(chat.world.attempts.jobs) == 1
    chat.world.outcome(Outcome.ACCEPTED, native_ids=("wamid.1",))
    assert chat.states == ["DELIVERED"]
    assert len(chat.world.attempts.jobs) == 2
    assert not chat.unmatched()


def test_a_report_resolves_an_unknown_delivery() -> None:
    """The process died while it sent. The provider's report says what became of the message; nothing is sent again."""
    chat = Chat(orphan_grace_ms=30_000)
    chat.reply()
    chat.world.crash()
    chat.world.wait(60_000)
    assert chat.states == ["UNKNOWN"]
    chat.report("delivered")
    assert chat.states == ["UNKNOWN", "DELIVERED"]
    chat.world.wait(DAY)
    assert len(chat.world.attempts.jobs) == 1


def test_a_report_within_the_grace_prevents_the_verdict_unknown() -> None:
    """It is published as DELIVERED at once."""
    chat = Chat(orphan_grace_ms=30_000)
    chat.reply()
    chat.world.crash()
    chat.report("delivered")
    chat.world.wait(60_000)
    assert chat.states == ["DELIVERED"]


def test_an_unknown_delivery_is_resolved_after_days_too() -> None:
    """The customer's telephone was off."""
    chat = Chat(orphan_grace_ms=30_000)
    chat.reply()
    chat.world.crash()
    chat.world.wait(6 * DAY)
    chat.report("read")
    assert chat.states == ["UNKNOWN", "READ"]


def test_an_error_of_the_provider_after_it_took_the_message_is_not_repeated() -> None:
    """A message is not sent twice after a gateway time-out when the provider reports that it has it."""
    chat = Chat()
    chat.reply()
    chat.report("sent")
    chat.world.outcome(Outcome.RETRY, reason="HTTP_504")
    chat.world.wait(DAY)
    assert chat.states == ["SENT"]
    assert len(chat.world.attempts.jobs) == 1


def test_a_long_text_is_as_good_as_its_worst_part() -> None:
    """The second half did not arrive."""
    chat = Chat()
    chat.reply("x" * 5_000)
    chat.world.outcome(Outcome.ACCEPTED, native_ids=("wamid.1", "wamid.2"))
    chat.report("read", part=1, parts=2)
    assert chat.states == ["SENT"]
    chat.report("failed", named=False, id="wamid.2", **FAILED)
    assert chat.states == ["SENT", "FAILED"]


def test_facts_survive_a_crash() -> None:
    """They are in the changelog."""
    chat = Chat()
    chat.sent()
    chat.report("delivered")
    chat.world.crash()
    chat.report("failed", **FAILED)
    assert chat.states == ["SENT", "DELIVERED"]
    chat.report("read")
    assert chat.states == ["SENT", "DELIVERED", "READ"]


def test_reports_about_unknown_deliveries_are_counted() -> None:
    """Of another program with the same number, of a conversation that is gone, of a person who never wrote."""
    chat = Chat()
    chat.sent()
    chat.report("delivered", named=False, id="wamid.other")
    chat.report("delivered", named=False, recipient_id="15550000000")
    strange = DeliveryReference("no-such-conversation", "0" * 32, 1, 1)
    chat.report("delivered", biz_opaque_callback_data=reference_text(strange))
    assert chat.states == ["SENT"]
    assert chat.unmatched() == 3
    assert chat.world.sender.sent_to("deadletters.v1") == chat.world.intake.sent_to("deadletters.v1") == []


def test_a_report_after_a_week_is_about_an_unknown_delivery() -> None:
    """Facts about a delivery leave memory, so that the memory of a conversation is bounded."""
    chat = Chat()
    chat.sent()
    chat.world.wait(7 * DAY + 600_000)
    chat.report("read")
    assert chat.states == ["SENT"]
    assert chat.unmatched() == 1


def test_a_conversation_keeps_its_newest_deliveries_only() -> None:
    """The first of many replies is no longer known."""
    chat = Chat()
    for number in range(MAX_SETTLED + 1):
        chat.sent(f"text {number}", f"r{number}", f"wamid.{number}")
    chat.report("read", named=False, id="wamid.0")
    assert chat.unmatched() == 1
    chat.report("read", named=False, id="wamid.1")
    assert chat.states[-1] == "READ"


def test_reports_by_native_id_are_held_for_one_attempt_only() -> None:
    """Those that are about another message are counted when the attempt ends, and their number is bounded."""
    chat = Chat()
    chat.reply()
    for number in range(MAX_HELD + 2):
        chat.report("delivered", named=False, id=f"wamid.other.{number}")
    assert chat.unmatched() == 2
    chat.world.outcome(Outcome.ACCEPTED, native_ids=("wamid.1",))
    assert chat.states == ["SENT"]
    assert chat.unmatched() == MAX_HELD + 2


def test_a_replay_begins_a_new_life() -> None:
    """The facts of the first life do not make the second one FAILED."""
    chat = Chat()
    chat.reply()
    chat.world.outcome(Outcome.REJECTED, reason="WHATSAPP_131008")
    chat.world.reply(chat.conversation, "hello", "r1", replayed=True)
    chat.world.outcome(Outcome.ACCEPTED, native_ids=("wamid.2",))
    assert chat.states == ["FAILED", "SENT"]
    assert chat.world.texts == ["hello", "hello"]  # the customer's and one of the agent's


def test_a_failed_reply_is_part_of_the_conversation() -> None:
    """The agent and the supervisor see the words that did not arrive, and that they did not."""
    chat = Chat()
    chat.reply("are you there?")
    chat.world.outcome(Outcome.UNREACHABLE, reason="WHATSAPP_131026")
    message = chat.world.conversation[-1].message
    assert (message.text, message.delivery_state) == ("are you there?", records_pb2.DELIVERY_STATE_FAILED)


def test_a_telegram_delivery_is_not_kept() -> None:
    """Telegram reports nothing later: its conversations need no memory for reports."""
    world = World()
    world.customer(a_message(identity=an_identity("42", "telegram", "bot")))
    conversation = world.enqueued[0].conversation_id
    world.reply(conversation, "hello")
    world.outcome(Outcome.ACCEPTED, native_ids=("42:1",))
    fact = DeliveryFact(0, DeliveryState.READ, 1, FactSource.PROVIDER)
    report = Reported(fact=fact, delivery=world.attempts.jobs[-1].delivery.delivery_id)
    record = outbound_report(TENANT, conversation, "telegram", report)
    world.sender.handle(record.SerializeToString(), key=f"{TENANT}/{conversation}".encode())
    world.pump()
    assert world.deliveries[-1] == ("SENT", "")
    assert world.metrics.value("chapar_delivery_reports_unmatched_total", TENANT, "telegram") == 1


MAIL = an_identity("ann@shop.example", "email", "help")


def a_mailbox() -> tuple[World, str, str]:
    """Return a world in which an agent has answered a mail, its conversation, and the id of the delivery."""
    world = World()
    world.customer(a_message(identity=MAIL))
    conversation = world.enqueued[0].conversation_id
    world.reply(conversation, "hello")
    world.outcome(Outcome.ACCEPTED, native_ids=("<chapar.1@acme.example>",))
    return world, conversation, world.attempts.jobs[-1].delivery.delivery_id


def bounce(conversation: str, prefix: str, status: str = "5.1.1", *, failed: bool = True) -> records_pb2.InboundRecord:
    """Return the mail of a server that reports about ours."""
    report = records_pb2.BounceReport(
        recipient="ann@shop.example",
        status=status,
        reason="no such user",
        failed=failed,
        native_message_id="<chapar.1@acme.example>",
        conversation_id=conversation,
        delivery_prefix=prefix,
    )
    return a_message(
        "failure notice",
        native_message_id=f"b{status}{failed}",
        identity=an_identity("mailer-daemon@mx.example", "email", "help"),
        automatic=records_pb2.Automatic(kind=types.AUTOMATIC_KIND_BOUNCE, bounce=report),
        sent_at_ms=1_700_000_100_000,
    )


@pytest.mark.parametrize(
    ("status", "reason", "retryable"),
    [
        ("5.1.1", "BOUNCED_5_1_1", False),
        ("5.2.2", "BOUNCED_5_2_2", True),
        ("5.99.999", "BOUNCED_5", False),
        ("4.99.999", "BOUNCED_4", True),
        ("", "BOUNCED", False),
    ],
)
def test_a_bounce_fails_the_delivery(status: str, reason: str, retryable: bool) -> None:
    """The bounce comes from another identity and opens nothing. An unusual status does not become a reason of its own."""
    world, conversation, delivery_id = a_mailbox()
    world.customer(bounce(conversation, delivery_id.replace("-", "")[:12], status))
    newest = world.delivery_records[-1]
    assert world.deliveries[-2:] == [("SENT", ""), ("FAILED", reason)]
    assert (newest.delivery_id, newest.retryable) == (delivery_id, retryable)
    assert (newest.source, newest.stated_at_ms) == (records_pb2.DELIVERY_SOURCE_BOUNCE, 1_700_000_100_000)
    assert len(world.enqueued) == 1


def test_a_bounce_that_is_not_proven_changes_nothing() -> None:
    """Without our signed Message-ID the edge names no conversation and no delivery."""
    world, conversation, delivery_id = a_mailbox()
    prefix = delivery_id.replace("-", "")[:12]
    for named in ((conversation, ""), ("", prefix), (conversation, prefix[:11]), (conversation, "0" * 12)):
        world.customer(bounce(*named, status=f"5.1.{len(world.conversation)}"))
    assert world.deliveries[-1] == ("SENT", "")
    assert (
        world.metrics.value("chapar_delivery_reports_unmatched_total", TENANT, "email") == 2
    )  # the two wrong prefixes
    assert world.sender.sent_to("deadletters.v1") == []


def test_a_delay_is_not_a_failure() -> None:
    """The other server still tries."""
    world, conversation, delivery_id = a_mailbox()
    world.customer(bounce(conversation, delivery_id.replace("-", "")[:12], "4.4.1", failed=False))
    assert world.deliveries[-1] == ("SENT", "")


def test_a_bounce_of_another_conversation_names_no_delivery_here() -> None:
    """A customer who knows the Message-ID of one conversation cannot fail the deliveries of another."""
    world, _, delivery_id = a_mailbox()
    world.customer(bounce("another-conversation", delivery_id.replace("-", "")[:12]))
    assert world.deliveries[-1] == ("SENT", "")
    assert world.metrics.value("chapar_delivery_reports_unmatched_total", TENANT, "email") == 1
