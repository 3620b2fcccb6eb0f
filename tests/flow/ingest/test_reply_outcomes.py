"""The outcome of an agent's reply reaches the router, the agent, and the clocks of the SLA service."""

import pytest

from chapar.router.v1 import records_pb2 as router
from services.chassis.ids import derive
from services.ingest.domain.deliveries import Outcome
from tests.flow.ingest.test_around_the_conversation import a_survey
from tests.flow.ingest.test_automatic import Services
from tests.flow.ingest.test_delivery_reports import MAIL, Chat, bounce
from tests.flow.ingest.world import World, a_message


def outcomes(world: World) -> list[tuple[str, str, bool]]:
    """Return what the router learns of replies: state, failure, retryable."""
    found = [c.record_reply_outcome for c in world.commands if c.WhichOneof("command") == "record_reply_outcome"]
    return [(router.ReplyState.Name(o.state).removeprefix("REPLY_STATE_"), o.failure, o.retryable) for o in found]


def test_the_router_learns_what_became_of_a_reply() -> None:
    """When it was sent, and again when it then fails or arrives after all; a read message says nothing new."""
    chat = Chat()
    chat.world.reply(chat.conversation, "hello", "r1", pool="main", interaction_id="i-1")
    assert outcomes(chat.world) == []
    chat.world.outcome(Outcome.ACCEPTED, native_ids=("wamid.1",))
    chat.report("failed", errors=[{"code": 131056}])
    chat.report("delivered")
    chat.report("read")
    assert outcomes(chat.world) == [("SENT", "", False), ("FAILED", "WHATSAPP_131056", True), ("SENT", "", False)]
    command = chat.world.commands[-1]
    outcome = command.record_reply_outcome
    assert (command.pool, outcome.interaction_id, outcome.agent_id, outcome.reply_id) == ("main", "i-1", "sara", "r1")
    assert outcome.delivery_id == chat.world.attempts.jobs[-1].delivery.delivery_id


def test_the_router_learns_that_a_reply_may_not_have_been_sent() -> None:
    """After a crash; and then that it was."""
    chat = Chat(orphan_grace_ms=30_000)
    chat.world.reply(chat.conversation, "hello", "r1", pool="main", interaction_id="i-1")
    chat.world.crash()
    chat.world.wait(60_000)
    chat.report("delivered")
    assert outcomes(chat.world) == [("UNKNOWN", "OWNER_LOST", False), ("SENT", "", False)]


def test_the_router_learns_nothing_of_other_messages() -> None:
    """Acknowledgements, surveys and messages of programs belong to no agent."""
    chat = Chat()
    chat.sent()
    assert outcomes(chat.world) == []


class Answered(Services):
    """A customer's mail that an agent has taken and answered; the answer is on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.mail()
        self.world.outcome(Outcome.ACCEPTED)  # of the acknowledgement
        offered = [event for event in self.routed if event.WhichOneof("event") == "offered"][-1]
        self.interaction = offered.interaction.interaction_id
        self.conversation = offered.interaction.conversation_id
        self.agent(accept_offer=router.AcceptOffer(agent_id="a", offer_id=offered.offered.offer_id))
        recorded = router.RecordReply(agent_id="a", interaction_id=self.interaction, reply_id="r", awaits_outcome=True)
        self.agent(record_reply=recorded)
        self.world.reply(
            self.conversation, "it comes", "r", author_id="a", pool="main", interaction_id=self.interaction
        )
        self.settle()

    def outcome(self, outcome: Outcome, reason: str = "") -> None:
        """Let the mail server answer."""
        self.world.outcome(outcome, reason=reason)
        self.settle()

    @property
    def told(self) -> list[tuple[int, str]]:
        """Return what the agent's desk was notified of: state and failure of the reply."""
        records = [router.FeedRecord.FromString(send.value) for send in self.shard.lane.sent_to("gateway.feed.v1")]
        return [(r.reply_outcome.state, r.reply_outcome.failure) for r in records if r.HasField("reply_outcome")]

    @property
    def clocks(self) -> list[str]:
        """Return what happened to the response and to the resolution."""
        return [each for each in self.sla.on_committed if "SET" not in each and "PICK_UP" not in each]


def test_a_response_is_met_when_the_reply_was_sent() -> None:
    """Not when the agent wrote it: the relay may be closed for hours."""
    answered = Answered()
    assert answered.clocks == []
    answered.outcome(Outcome.ACCEPTED)
    assert answered.clocks == ["FIRST_RESPONSE MET DESIRED", "RESOLUTION PAUSED"]
    assert answered.told == [(router.REPLY_STATE_SENT, "")]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Outcome.UNREACHABLE, router.REPLY_STATE_FAILED), (Outcome.UNKNOWN, router.REPLY_STATE_UNKNOWN)],
)
def test_a_reply_that_was_not_sent_is_not_a_response(outcome: Outcome, state: int) -> None:
    """The agent learns of it, and the clocks go on."""
    answered = Answered()
    answered.outcome(outcome, "SMTP_550")
    assert answered.clocks == []
    assert answered.told == [(state, "SMTP_550")]


def test_a_bounce_lets_the_clock_run_again() -> None:
    """From the bounce at the SMTP edge to the deadline: it was met, and the customer has nothing."""
    answered = Answered()
    answered.outcome(Outcome.ACCEPTED)
    delivery = answered.world.attempts.jobs[-1].delivery.delivery_id
    answered.world.customer(bounce(answered.conversation, delivery.replace("-", "")[:12]))
    answered.settle()
    assert answered.clocks[2:] == ["FIRST_RESPONSE REARMED", "RESOLUTION RESUMED"]
    assert answered.told[1:] == [(router.REPLY_STATE_FAILED, "BOUNCED_5_1_1")]
    assert [event for event in answered.sla.events if event.reason == "BOUNCED_5_1_1"]


def test_a_reply_without_a_reported_outcome_meets_the_target_at_once() -> None:
    """Gateways of earlier versions report none."""
    services = Services()
    services.mail()
    services.take_and_answer()
    assert "FIRST_RESPONSE MET DESIRED" in services.sla.on_committed


def test_an_agent_who_completes_at_once_has_responded() -> None:
    """The reply is on its way; when it fails afterwards, the agent still learns of it."""
    answered = Answered()
    answered.complete(answered.interaction)
    assert "FIRST_RESPONSE MET DESIRED" in answered.clocks
    answered.outcome(Outcome.REJECTED, "SMTP_554")
    assert answered.told == [(router.REPLY_STATE_FAILED, "SMTP_554")]


def test_feedback_learns_of_an_invitation_that_did_not_arrive() -> None:
    """A bounce of the survey; the person is known, because the lane of the identity has put them into the request."""
    world = World()
    world.customer(a_message(identity=MAIL))
    world.inbound(a_survey(world), MAIL.identity_id)
    world.outcome(Outcome.ACCEPTED)
    assert world.responses == []
    delivery = world.attempts.jobs[-1].delivery.delivery_id
    world.customer(bounce(world.enqueued[0].conversation_id, delivery.replace("-", "")[:12]))
    (command,) = world.responses
    failed = command.undeliverable
    assert (failed.invitation_id, failed.delivery_id, failed.reason) == ("inv-1", delivery, "BOUNCED_5_1_1")
    assert command.person_id == derive("person", MAIL.identity_id)
