"""An opt-out holds for every identity of the person, whatever is linked and unlinked, and whichever process decides."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2 as pb
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.opt_outs import OptOut, OptOutScope
from services.ingest.domain.shared_preferences import MOST_HELD, MOST_MEMBERS, union
from tests.flow.ingest.test_persons import BOT, CHAT, HOUR, claim, known, offer, prefer, refusals, send, told
from tests.flow.ingest.test_reply_outcomes import outcomes
from tests.flow.ingest.world import TENANT, World, a_message, an_identity

PHONE, DESK = an_identity("98912", "whatsapp", "wa"), an_identity("v2")
EVERYONE = (CHAT, BOT, PHONE, DESK)
NOTICE = pb.OUTBOUND_PURPOSE_NOTICE


def link(world: World, identity: pb.Identity, home: pb.Identity | None) -> None:
    """Link an identity to a home, as `PersonService` does; None: unlink it."""
    asked = pb.IdentityLink(
        request_id=f"l{len(world.log)}",
        identity_id=identity.identity_id,
        home_identity_id=home.identity_id if home is not None else "",
    )
    key = asked.home_identity_id or asked.identity_id
    world.inbound(pb.InboundRecord(tenant=TENANT, link=asked), key)


def held(world: World, identity: pb.Identity) -> set[tuple[str, int]]:
    """Return the opt-outs that the log has of an identity."""
    sets = [
        r.preferences_set
        for r in world.conversation
        if r.WhichOneof("record") == "preferences_set" and r.identity_id == identity.identity_id
    ]
    return {(each.channel, each.scope) for each in sets[-1].opt_outs} if sets else set()


def test_a_link_keeps_the_opt_outs_of_both_sides() -> None:
    """With the time since which each holds. What leaves by either identity is refused."""
    world = known(CHAT, BOT)
    prefer(world, BOT, "", ("", pb.OPT_OUT_SCOPE_PROACTIVE), at_ms=10, actor="sara")
    prefer(world, CHAT, "", ("webchat", pb.OPT_OUT_SCOPE_SURVEYS), at_ms=20, actor="shop")
    link(world, BOT, CHAT)
    both = [("", 2, 10, "sara"), ("webchat", 1, 20, "shop")]
    assert sorted(told(world, CHAT)) == sorted(told(world, BOT)) == both
    for number, identity in enumerate((CHAT, BOT)):
        send(world, identity, NOTICE, f"n{number}")
    assert refusals(world) == ["OPTED_OUT", "OPTED_OUT"]


def test_an_opt_out_of_the_person_stays_with_an_identity_that_is_unlinked() -> None:
    """It was set through the home while they were linked."""
    world = known(CHAT, BOT)
    link(world, BOT, CHAT)
    prefer(world, CHAT, "telegram", ("", pb.OPT_OUT_SCOPE_PROACTIVE))
    link(world, BOT, None)
    prefer(world, CHAT)
    send(world, BOT, NOTICE, "n1")
    send(world, CHAT, NOTICE, "n2")
    assert refusals(world) == ["OPTED_OUT"]
    assert (held(world, BOT), held(world, CHAT)) == ({("", 2)}, set())


def test_what_is_removed_for_the_person_is_removed_for_each_identity() -> None:
    """An opt-out that came with a link is not for ever."""
    world = known(CHAT, BOT)
    prefer(world, BOT, "", ("", pb.OPT_OUT_SCOPE_PROACTIVE))
    link(world, BOT, CHAT)
    prefer(world, BOT)
    link(world, BOT, None)
    send(world, BOT, NOTICE, "n1")
    assert refusals(world) == []


def test_the_link_of_a_customer_keeps_them_too() -> None:
    """The text of a link joins the identities; the record that links the claimant is sealed, because it names channels."""
    world = known(CHAT, BOT)
    prefer(world, CHAT, "", ("email", pb.OPT_OUT_SCOPE_PROACTIVE))
    prefer(world, BOT, "telegram", ("", pb.OPT_OUT_SCOPE_SURVEYS))
    offer(world, CHAT)
    claim(world, BOT)
    assert held(world, CHAT) == held(world, BOT) == {("email", 2), ("", 1)}
    assert not any(b"email" in each.value for each in world.log if each.topic == "inbound.v1" and each.value)


def test_an_identity_that_moves_to_another_person_leaves_the_first_one() -> None:
    """It takes the opt-outs along; later ones of the first person are not its own."""
    world = known(CHAT, BOT, PHONE)
    prefer(world, CHAT, "", ("", pb.OPT_OUT_SCOPE_SURVEYS))
    link(world, BOT, CHAT)
    link(world, BOT, PHONE)
    prefer(world, CHAT, "", ("", pb.OPT_OUT_SCOPE_PROACTIVE))
    assert held(world, CHAT) == {("", 2)}
    assert held(world, BOT) == held(world, PHONE) == {("", 1)}


def test_a_home_with_linked_identities_stays_in_memory() -> None:
    """Otherwise its changes would reach no linked identity a month later."""
    world = known(CHAT, BOT)
    link(world, BOT, CHAT)
    world.wait(400 * 24 * HOUR)
    prefer(world, BOT, "", ("", pb.OPT_OUT_SCOPE_PROACTIVE))
    assert held(world, CHAT) == held(world, BOT) == {("", 2)}


def test_a_home_has_a_bounded_number_of_linked_identities() -> None:
    """More are hardly one person."""
    world = known(CHAT)
    for number in range(MOST_MEMBERS + 1):
        one = an_identity(f"k{number}")
        world.customer(a_message(native_message_id=f"k{number}", identity=one))
        link(world, one, CHAT)
    assert refusals(world) == ["TOO_MANY_LINKED"]


LISTS = st.lists(
    st.sampled_from([("", 1), ("", 2), ("", 3), ("telegram", 2), ("email", 3), ("webchat", 1)]), max_size=3
)
STEPS = st.one_of(
    st.tuples(st.just("prefer"), st.integers(0, 3), LISTS),
    st.tuples(st.just("link"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("unlink"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("crash"), st.just(0), st.just(0)),
    st.tuples(st.just("wait"), st.just(0), st.just(0)),
)


class Model:
    """Who is linked to whom, and what each identity has opted out of."""

    def __init__(self) -> None:
        self.home: dict[int, int] = {}
        self.outs: dict[int, set[tuple[str, int]]] = {each: set() for each in range(len(EVERYONE))}

    def root(self, identity: int) -> int:
        """Return the home of the person."""
        while identity in self.home:
            identity = self.home[identity]
        return identity

    def person(self, identity: int) -> list[int]:
        """Return all identities of the person."""
        return [each for each in self.outs if self.root(each) == self.root(identity)]

    def prefer(self, identity: int, outs: Sequence[tuple[str, int]]) -> None:
        """The newest statement about the person replaces the earlier ones."""
        self.outs |= {each: set(outs) for each in self.person(identity)}

    def link(self, identity: int, home: int) -> None:
        """The union is kept. The link goes to the home of the person; a circle is refused."""
        if self.circle(identity, home):
            return
        self.home.pop(identity, None)
        everything = {out for each in (identity, home) for out in self.outs[each]}
        self.home[identity] = self.root(home)
        self.outs |= {each: set(everything) for each in self.person(identity)}

    def circle(self, identity: int, home: int) -> bool:
        """Return whether the identity is on the way from the home to its root."""
        while home != identity and home in self.home:
            home = self.home[home]
        return home == identity


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=12))
def test_every_identity_has_what_the_person_opted_out_of(steps: list[tuple[str, int, Any]]) -> None:
    """For any order of links, unlinks, preferences, takeovers of the lane and months of silence: as the model says."""
    world, model = known(*EVERYONE), Model()
    for step, who, value in steps:
        match step:
            case "prefer":
                prefer(world, EVERYONE[who], "", *value)
                model.prefer(who, value)
            case "link":
                link(world, EVERYONE[who], EVERYONE[value])
                model.link(who, value)
            case "unlink":
                link(world, EVERYONE[who], None)
                model.home.pop(who, None)
            case "crash":
                world.intake.crash()
                world.pump()
            case "wait":
                world.wait(400 * 24 * HOUR)
                for number, identity in enumerate(EVERYONE):
                    again = f"w{len(world.log)}-{number}"
                    world.customer(a_message("me again", native_message_id=again, identity=identity))
    assert [held(world, each) for each in EVERYONE] == [model.outs[each] for each in range(4)]
    before = len(world.intake.dead_letters)
    for number, identity in enumerate(EVERYONE):
        send(world, identity, NOTICE, f"n{number}")
        refused = [each.reason for _, each in world.intake.dead_letters[before:]]
        before = len(world.intake.dead_letters)
        outs = model.outs[number]
        if ("", 2) in outs or ("", 3) in outs:
            assert refused == ["OPTED_OUT"]
        elif not any(scope >= 2 for _, scope in outs):
            assert refused == []


OPT_OUTS = st.builds(
    OptOut, st.sampled_from(["", *(f"c{n}" for n in range(200))]), st.sampled_from(list(OptOutScope)[1:])
)


@given(st.lists(OPT_OUTS, max_size=300), st.lists(OPT_OUTS, max_size=300))
def test_a_union_is_bounded_and_forbids_no_less(one: list[OptOut], other: list[OptOut]) -> None:
    """Too many opt-outs become fewer and wider ones."""
    found = union(one, other)
    assert len(found) <= MOST_HELD
    for each in (*one, *other):
        assert any(kept.channel in ("", each.channel) and kept.scope >= each.scope for kept in found)


def an_open_conversation(category: str = "MARKETING") -> World:
    """A WhatsApp customer whose interaction is open, and a template of this category."""
    world = World()
    account = next(each for each in world.configuration.channels if each.channel == "whatsapp")
    number = config_pb2.TemplateCategory.Value(f"TEMPLATE_CATEGORY_{category}")
    account.approved_templates.add(name="news", language="en", body="News!", category=number)
    world.customer(a_message(identity=PHONE, reply_context={"to": PHONE.native_id}))
    world.wait(5_000)
    return world


def reply_with_news(world: World) -> None:
    """The agent sends the template in their session: the reply goes to the sender directly."""
    work = world.enqueued[0]
    world.reply(
        work.conversation_id,
        "",
        f"r{len(world.log)}",
        pool="main",
        interaction_id=work.interaction_id,
        template=types_pb2.TemplateChoice(name="news"),
    )


@pytest.mark.parametrize(
    ("category", "channel", "scope", "refused"),
    [
        ("MARKETING", "", 2, True),
        ("MARKETING", "whatsapp", 3, True),
        ("MARKETING", "telegram", 2, False),
        ("MARKETING", "", 1, False),
        ("UTILITY", "", 3, False),
    ],
)
def test_an_agent_sends_no_marketing_to_a_person_who_does_not_want_it(
    category: str, channel: str, scope: int, refused: bool
) -> None:
    """No provider sees it, and the agent learns why. Other replies leave."""
    world = an_open_conversation(category)
    prefer(world, PHONE, "", (channel, scope))
    reply_with_news(world)
    assert bool(world.attempts.jobs) != refused
    if refused:
        assert outcomes(world) == [("FAILED", "OPTED_OUT", False)]
        world.reply(world.enqueued[0].conversation_id, "as you asked", "r2")
        assert world.attempts.jobs[-1].delivery.request.text == "as you asked"


def test_an_agent_may_send_marketing_again_when_the_opt_out_is_removed() -> None:
    """Also after the customer has written again, and in a conversation that began with the opt-out."""
    world = an_open_conversation()
    prefer(world, PHONE, "", ("", 2))
    world.customer(a_message("again", native_message_id="m2", identity=PHONE, reply_context={"to": PHONE.native_id}))
    reply_with_news(world)
    assert world.attempts.jobs == []
    prefer(world, PHONE)
    reply_with_news(world)
    assert len(world.attempts.jobs) == 1
    world.outcome(Outcome.ACCEPTED, native_ids=("wamid.1",))


def test_an_opt_out_that_comes_with_a_link_reaches_the_open_conversation_of_the_linked_identity() -> None:
    """That conversation stays under the key of its identity."""
    world = an_open_conversation()
    world.customer(a_message("hello", native_message_id="c1", identity=CHAT))
    prefer(world, CHAT, "", ("", 2))
    link(world, PHONE, CHAT)
    reply_with_news(world)
    assert world.attempts.jobs == []
    assert outcomes(world) == [("FAILED", "OPTED_OUT", False)]
