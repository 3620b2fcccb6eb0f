"""Where a conversation is answered: only a proven message changes it, whatever unproven messages say and in whatever
order.
"""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2 as pb
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.messages import Route
from tests.flow.ingest.world import TENANT, World, a_message, an_identity

ANN = an_identity("ann@shop.example", "email", "help")
EVIL = "evil@attacker.example"
HOUR = 3_600_000
NEWSLETTER, PERSON = types_pb2.AUTOMATIC_KIND_NEWSLETTER, types_pb2.AUTOMATIC_KIND_UNSPECIFIED
AUTO_REPLY = pb.Automatic(kind=types_pb2.AUTOMATIC_KIND_AUTO_REPLY)
DKIM, TOKEN, NONE = pb.ORIGIN_PROOF_DKIM_DMARC, pb.ORIGIN_PROOF_REPLY_TOKEN, pb.ORIGIN_PROOF_UNSPECIFIED


def a_mail(
    text: str,
    proof: pb.OriginProof.ValueType = NONE,
    *,
    reply_to: str = "",
    token: str = "",
    identity: pb.Identity = ANN,
    **fields: Any,
) -> pb.InboundRecord:
    """A mail from Ann, unproven by default, or with a proof."""
    origin = pb.Origin(proof=proof, conversation_id=token, author=identity.native_id, reply_to=reply_to)
    made = a_message(text, native_message_id=f"<{text}@x>", identity=identity, origin=origin, **fields)
    del made.message.reply_context["chat_id"]
    made.message.reply_context["message_id"] = f"<{text}@x>"
    if reply_to:
        made.message.reply_context["reply_to"] = reply_to
    return made


def where(route: Route) -> str:
    """Return the address that an answer goes to, as the mail client reads it from the route."""
    return route.context.get("reply_to") or route.identity.native_id


def answered_at(world: World, conversation_id: str) -> str:
    """Let an agent answer and return the recipient."""
    before = len(world.attempts.jobs)
    world.reply(conversation_id, "our answer", f"r{before}")
    (job,) = world.attempts.jobs[before:]
    world.outcome(Outcome.ACCEPTED, job)
    return where(job.route)


def the_survey(world: World, **changes: Any) -> str:
    """Let feedback send a survey about the first interaction and return the recipient."""
    facts = world.enqueued[0]
    values = {
        "request_id": "s1",
        "tenant": TENANT,
        "identity_id": facts.identity_id,
        "conversation_id": facts.conversation_id,
        "interaction_id": facts.interaction_id,
        "text": "How was it?",
        "purpose": pb.OUTBOUND_PURPOSE_SURVEY,
        "invitation_id": "inv",
        "survey_kind": "csat",
        "survey_expires_at_ms": world.intake.now_ms + 72 * HOUR,
        **changes,
    }
    world.inbound(pb.InboundRecord(tenant=TENANT, outbound=pb.OutboundRequest(**values)), facts.identity_id)
    return where(world.attempts.jobs[-1].route)


@pytest.mark.parametrize("first", [NONE, DKIM])
def test_a_forged_mail_does_not_divert_the_answers_of_an_open_conversation(first: pb.OriginProof.ValueType) -> None:
    """Neither answer nor survey is diverted; the agent sees the text with both addresses and what was proven of them."""
    world = World()
    world.customer(a_mail("my order", first))
    facts = world.enqueued[0]
    world.customer(a_mail("send it here", reply_to=EVIL))
    assert answered_at(world, facts.conversation_id) == "ann@shop.example"
    world.routing("completed", facts)
    assert the_survey(world) == "ann@shop.example"
    (forged,) = [r.message for r in world.conversation if r.message.text == "send it here"]
    assert forged.origin == pb.Origin(author="ann@shop.example", reply_to=EVIL)


def test_who_proves_nothing_is_answered_at_the_address_that_they_name_as_theirs() -> None:
    """A forged From reaches the mailbox of the person named; a Reply-To that differs from it reaches no mailbox."""
    world = World()
    world.customer(a_mail("hello", reply_to=EVIL))
    assert answered_at(world, world.enqueued[0].conversation_id) == "ann@shop.example"


def test_a_proven_mail_moves_the_route_and_an_unproven_one_does_not_move_it_back() -> None:
    """A proven customer decides where answers go."""
    world = World()
    world.customer(a_mail("one"), a_mail("two", DKIM, reply_to="ann@home.example"))
    conversation = world.enqueued[0].conversation_id
    assert answered_at(world, conversation) == "ann@home.example"
    world.customer(a_mail("three"), a_mail("four", reply_to=EVIL))
    assert answered_at(world, conversation) == "ann@home.example"


def test_a_proven_conversation_keeps_its_thread_and_subject() -> None:
    """An unproven mail from the same address does not choose the subject of our answers, unless nothing is proven yet."""
    for first, subject in ((DKIM, "my order"), (NONE, "urgent: pay here")):
        world = World()
        world.customer(a_mail("one", first, subject="my order"))
        world.customer(a_mail("two", subject="urgent: pay here", in_reply_to="<one@x>"))
        answered_at(world, world.enqueued[0].conversation_id)
        assert world.attempts.jobs[-1].route.subject == subject


def test_a_reply_token_proves_for_its_own_conversation_only() -> None:
    """A reader of a mail in one conversation proves nothing for another; and in its own it chooses the thread and the
    subject of the answer, not its address: each address in Cc can read our mail."""
    world = World()
    world.customer(a_mail("one"))
    conversation = world.enqueued[0].conversation_id
    for token in ("another", conversation):
        world.customer(a_mail(f"{token} two", TOKEN, token=token, reply_to=EVIL))
        assert answered_at(world, conversation) == "ann@shop.example"
    route = world.attempts.jobs[-1].route
    assert (route.context["message_id"], route.proof.name) == (f"<{conversation} two@x>", "REPLY_TOKEN")


def test_an_automatic_message_never_moves_a_route() -> None:
    """A vacation responder that has our token is not where a customer wants an answer."""
    world = World()
    world.customer(a_mail("one"))
    conversation = world.enqueued[0].conversation_id
    world.customer(a_mail("away", TOKEN, token=conversation, reply_to="bot@shop.example", automatic=AUTO_REPLY))
    assert answered_at(world, conversation) == "ann@shop.example"


def test_what_is_said_in_public_does_not_take_over_a_private_route() -> None:
    """After a message in a group, the private answer is not posted there."""
    world = World()
    ann = an_identity("42", "telegram", "bot")
    world.customer(a_message("private", identity=ann))
    group = a_message("hello all", native_message_id="m2", identity=ann, labels={"public": "true"})
    group.message.reply_context["chat_id"] = "-100"
    world.customer(group)
    world.reply(world.enqueued[0].conversation_id, "our answer")
    assert world.attempts.jobs[-1].route.context["chat_id"] == "42"


def test_an_unproven_message_teaches_nothing_of_a_proven_customer() -> None:
    """Neither name nor labels nor language change; and no score in their name counts."""
    world = World()
    world.customer(a_mail("one", DKIM))
    facts = world.enqueued[0]
    liar = pb.Identity()
    liar.CopyFrom(ANN)
    liar.display_name = "Ann's new lawyer"
    world.customer(a_mail("two", identity=liar, labels={"tier": "gold"}))
    world.routing("customer_message_recorded", facts, message_id=world.commands[-1].customer_messaged.message_id)
    world.routing("completed", facts)
    the_survey(world)
    world.outcome(Outcome.ACCEPTED)
    world.customer(a_mail("1", identity=liar))
    assert world.responses == []
    world.routing("completed", world.enqueued[-1])
    world.wait(26 * HOUR)
    world.customer(a_mail("three", identity=liar))
    opened = [r.opened.identity for r in world.conversation if r.WhichOneof("record") == "opened"]
    assert [each.display_name for each in opened] == ["Sara", "Sara"]


def test_a_linked_address_moves_the_route_only_when_it_is_proven() -> None:
    """A forger of a person's second address gets no answer meant for the first."""
    world = World()
    home, other = ANN, an_identity("ann@home.example", "email", "help")
    world.customer(a_mail("one", DKIM), a_mail("two", DKIM, identity=other))
    link = pb.IdentityLink(request_id="l", identity_id=other.identity_id, home_identity_id=home.identity_id)
    world.inbound(pb.InboundRecord(tenant=TENANT, link=link), home.identity_id)
    conversation = world.enqueued[0].conversation_id
    world.customer(a_mail("three", identity=other))
    assert answered_at(world, conversation) == "ann@shop.example"
    world.customer(a_mail("four", DKIM, identity=other))
    assert answered_at(world, conversation) == "ann@home.example"


def test_work_in_an_older_conversation_is_answered_where_that_conversation_was() -> None:
    """Not where the customer wrote last."""
    world = World()
    world.customer(a_mail("one", DKIM, reply_to="ann@old.example"))
    first = world.enqueued[0]
    world.routing("completed", first)
    world.wait(26 * HOUR)
    world.customer(a_mail("two", DKIM, reply_to="ann@new.example"))
    world.routing("completed", world.enqueued[1])
    assert the_survey(world) == "ann@old.example"
    world.outcome(Outcome.ACCEPTED)
    world.wait(26 * HOUR)
    request = pb.FollowUpRequest(
        request_id="f",
        identity_id=first.identity_id,
        conversation_id=first.conversation_id,
        queue="sales",
        reason="recovery",
    )
    world.inbound(pb.InboundRecord(tenant=TENANT, follow_up=request), first.identity_id)
    assert world.enqueued[-1].conversation_id == first.conversation_id
    assert answered_at(world, first.conversation_id) == "ann@old.example"


class Routes(RuleBasedStateMachine):
    """Ann, a second linked address and forgers write in any order; the model knows where each open conversation is
    answered."""

    @initialize(linked=st.booleans())
    def begin(self, linked: bool) -> None:
        self.world = World()
        self.other = an_identity("ann@home.example", "email", "help")
        self.number = 0
        self.expected: dict[str, str] = {}
        for second in (False, True):
            self.a_mail_comes(NONE, second=second, reply_to="", token="", automatic=False)
        if linked:
            self.the_addresses_are_linked()

    def _conversation(self) -> str:
        said = [
            r for r in self.world.conversation if r.WhichOneof("record") == "message" and r.message.author_kind == 1
        ]
        return said[-1].conversation_id

    @rule(
        proof=st.sampled_from([NONE, NONE, DKIM, TOKEN]),
        second=st.booleans(),
        reply_to=st.sampled_from(["", EVIL, "ann@work.example"]),
        token=st.sampled_from(["newest", "oldest", "invented", ""]),
        automatic=st.booleans(),
    )
    def a_mail_comes(
        self, proof: pb.OriginProof.ValueType, second: bool, reply_to: str, token: str, automatic: bool
    ) -> None:
        self.number += 1
        who = self.other if second else ANN
        known = list(self.expected)
        named = {"newest": known[-1:], "oldest": known[:1], "invented": ["c"]}.get(token, [])
        mail = a_mail(
            f"m{self.number}",
            proof,
            reply_to=reply_to,
            identity=who,
            token=named[0] if named else "",
            automatic=pb.Automatic(kind=NEWSLETTER if automatic else PERSON),
        )
        self.world.customer(mail)
        conversation = self._conversation()
        proven = proof == DKIM or (proof == TOKEN and bool(named) and named[0] == conversation)
        proven = proven and proof != TOKEN  # a token never moves an address
        asked = (reply_to if proven else "") or who.native_id
        if conversation not in self.expected or (proven and not automatic):
            self.expected[conversation] = asked

    @rule()
    def the_addresses_are_linked(self) -> None:
        link = pb.IdentityLink(request_id="l", identity_id=self.other.identity_id, home_identity_id=ANN.identity_id)
        self.world.inbound(pb.InboundRecord(tenant=TENANT, link=link), ANN.identity_id)

    @rule(ms=st.sampled_from([1_000, HOUR, 25 * HOUR]))
    def time_passes(self, ms: int) -> None:
        self.world.wait(ms)

    @rule()
    def an_interaction_ends(self) -> None:
        for facts in self.world.enqueued[-2:]:
            self.world.routing("completed", facts)

    @rule()
    def the_lanes_are_taken_over(self) -> None:
        self.world.intake.crash()
        self.world.crash()

    @invariant()
    def answers_go_where_the_last_proven_message_said(self) -> None:
        for conversation, address in self.expected.items():
            assert answered_at(self.world, conversation) == address


Routes.TestCase.settings = settings(max_examples=30, stateful_step_count=25)
TestRoutes = Routes.TestCase
