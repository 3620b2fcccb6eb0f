"""Preferences of a person: opt-outs, the preferred channel, and links by which they continue on another channel."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2 as pb
from services.chassis.ids import derive
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.join_links import MOST_TRIES, digest_of, link_text
from tests.flow.ingest.test_around_the_conversation import a_survey
from tests.flow.ingest.world import TENANT, World, a_message, an_identity

CHAT, BOT = an_identity("v1"), an_identity("42", "telegram", "bot")
SECRET, OTHER = bytes(16), bytes([1] * 16)
HOUR = 3_600_000


def known(*identities: pb.Identity) -> World:
    """A world in which each of them has written and been answered."""
    world = World()
    for number, identity in enumerate(identities):
        world.customer(a_message(f"hello {number}", native_message_id=f"m{number}", identity=identity))
        world.routing("completed", world.enqueued[-1])
    return world


def prefer(
    world: World,
    identity: pb.Identity,
    preferred: str = "",
    *opt_outs: tuple[str, int],
    at_ms: int = 0,
    actor: str = "",
) -> None:
    """Set the preferences of a person."""
    preferences = pb.PersonPreferences(
        request_id=f"p{len(world.log)}",
        identity_id=identity.identity_id,
        preferred_channel=preferred,
        occurred_at_ms=at_ms,
        actor=actor,
        opt_outs=[pb.OptOut(channel=channel, scope=pb.OptOutScope.ValueType(scope)) for channel, scope in opt_outs],
    )
    world.inbound(pb.InboundRecord(tenant=TENANT, preferences=preferences), identity.identity_id)


def send(
    world: World, identity: pb.Identity, purpose: pb.OutboundPurpose.ValueType, request_id: str, **fields: Any
) -> None:
    """Let a service send something to a person."""
    request = pb.OutboundRequest(
        request_id=request_id, tenant=TENANT, identity_id=identity.identity_id, text="hi", purpose=purpose, **fields
    )
    world.inbound(pb.InboundRecord(tenant=TENANT, outbound=request), identity.identity_id)


def refusals(world: World) -> list[str]:
    """Return the reasons of requests that were refused."""
    return [refused.reason for _, refused in world.intake.dead_letters]


@pytest.mark.parametrize(
    ("scope", "refused"),
    [
        (pb.OPT_OUT_SCOPE_SURVEYS, []),
        (pb.OPT_OUT_SCOPE_PROACTIVE, ["OPTED_OUT"]),
        (pb.OPT_OUT_SCOPE_ALL_BUT_REPLIES, ["OPTED_OUT"]),
    ],
)
def test_opt_outs_forbid_what_they_name(scope: int, refused: list[str]) -> None:
    """Every scope forbids surveys, and feedback learns it; the wider ones notices. An agent's reply always leaves."""
    world = known(BOT)
    prefer(world, BOT, "", ("", scope))
    world.inbound(a_survey(world, identity_id=BOT.identity_id), BOT.identity_id)
    assert [c.undeliverable.reason for c in world.responses] == ["OPTED_OUT"]
    send(world, BOT, pb.OUTBOUND_PURPOSE_NOTICE, "n1")
    assert refusals(world) == refused
    before = len(world.attempts.jobs)
    if not refused:
        world.outcome(Outcome.ACCEPTED)
    send(world, BOT, pb.OUTBOUND_PURPOSE_REPLY, "r1", author_kind=types_pb2.ACTOR_KIND_AGENT)
    assert len(world.attempts.jobs) == before + 1


@pytest.mark.parametrize(("channel", "refused"), [("telegram", ["OPTED_OUT"]), ("email", []), ("", ["OPTED_OUT"])])
def test_an_opt_out_is_for_a_channel_or_for_all(channel: str, refused: list[str]) -> None:
    """The channel on which the message would leave."""
    world = known(BOT)
    prefer(world, BOT, "", (channel, pb.OPT_OUT_SCOPE_PROACTIVE))
    send(world, BOT, pb.OUTBOUND_PURPOSE_NOTICE, "n1")
    assert refusals(world) == refused


def test_an_opt_out_from_all_but_replies_stops_acknowledgements() -> None:
    """The customer gets the agent's words only."""
    world = known(BOT)
    prefer(world, BOT, "", ("", pb.OPT_OUT_SCOPE_ALL_BUT_REPLIES))
    world.customer(a_message("again", native_message_id="m9", identity=BOT))
    before = len(world.texts)
    world.routing("queued", world.enqueued[-1], position=1, estimated_wait_ms=60_000)
    assert len(world.texts) == before


@pytest.mark.parametrize(("category", "refused"), [("MARKETING", ["OPTED_OUT"]), ("UTILITY", [])])
def test_an_opt_out_from_notices_forbids_marketing_whatever_its_purpose(category: str, refused: list[str]) -> None:
    """The template's category counts, not what the caller says."""
    phone = an_identity("98912", "whatsapp", "wa")
    world = World()
    account = next(each for each in world.configuration.channels if each.channel == "whatsapp")
    number = config_pb2.TemplateCategory.Value(f"TEMPLATE_CATEGORY_{category}")
    account.approved_templates.add(name="news", language="en", body="News!", category=number)
    world.customer(a_message(identity=phone))
    prefer(world, phone, "", ("whatsapp", pb.OPT_OUT_SCOPE_PROACTIVE))
    request = pb.OutboundRequest(
        request_id="r1",
        tenant=TENANT,
        identity_id=phone.identity_id,
        purpose=pb.OUTBOUND_PURPOSE_REPLY,
        template=types_pb2.TemplateChoice(name="news"),
    )
    world.inbound(pb.InboundRecord(tenant=TENANT, outbound=request), phone.identity_id)
    assert refusals(world) == refused


@pytest.mark.parametrize(("channel", "refused"), [("telegram", ["OPTED_OUT"]), ("email", [])])
def test_an_opt_out_counts_on_the_channel_of_the_conversation_that_is_named(channel: str, refused: list[str]) -> None:
    """The person has written a mail since; what is sent in the older chat leaves by Telegram all the same."""
    mail = an_identity("ann@shop.example", "email", "support")
    world = World()
    world.customer(a_message("hello", native_message_id="m1", identity=BOT))
    chat = world.enqueued[0].conversation_id
    offer(world, BOT)
    proven = pb.Origin(proof=pb.ORIGIN_PROOF_DKIM_DMARC, author=mail.native_id)
    claim(world, mail, named=BOT, origin=proven)
    world.customer(
        a_message("about my order", native_message_id="m2", identity=mail, subject="Order 12", origin=proven)
    )
    assert world.enqueued[-1].conversation_id != chat
    prefer(world, BOT, "", (channel, pb.OPT_OUT_SCOPE_PROACTIVE))
    send(world, BOT, pb.OUTBOUND_PURPOSE_NOTICE, "n1", conversation_id=chat)
    assert refusals(world) == refused


def test_new_preferences_replace_the_old_ones() -> None:
    """An empty list removes every opt-out."""
    world = known(BOT)
    prefer(world, BOT, "", ("", pb.OPT_OUT_SCOPE_PROACTIVE))
    prefer(world, BOT)
    send(world, BOT, pb.OUTBOUND_PURPOSE_NOTICE, "n1")
    assert refusals(world) == []


def told(world: World, identity: pb.Identity) -> list[tuple[str, int, int, str]]:
    """Return the newest opt-outs that the log has of an identity, for history."""
    all_of_them = [r for r in world.conversation if r.WhichOneof("record") == "preferences_set"]
    found = [each for each in all_of_them if each.identity_id == identity.identity_id][-1]
    assert found.person_id == derive("person", identity.identity_id)
    return [(o.channel, o.scope, o.since_ms, o.actor) for o in found.preferences_set.opt_outs]


def test_an_opt_out_says_since_when_and_by_whom() -> None:
    """One that is set again keeps its time and its actor; one that was removed in between has new ones."""
    world = known(BOT)
    prefer(world, BOT, "", ("", 1), ("email", 2), ("email", 2), at_ms=10, actor="sara")
    assert told(world, BOT) == [("", 1, 10, "sara"), ("email", 2, 10, "sara")]
    prefer(world, BOT, "webchat", ("email", 2), ("email", 1), at_ms=20, actor="shop")
    assert told(world, BOT) == [("email", 2, 10, "sara"), ("email", 1, 20, "shop")]
    prefer(world, BOT, at_ms=30)
    assert told(world, BOT) == []
    prefer(world, BOT, "", ("email", 2), at_ms=40, actor="shop")
    assert told(world, BOT) == [("email", 2, 40, "shop")]


def test_the_preferences_of_a_linked_identity_are_those_of_its_home() -> None:
    """There is one list for all identities of the person."""
    world = joined()
    prefer(world, BOT, "", ("telegram", 2), at_ms=10, actor="sara")
    assert told(world, CHAT) == [("telegram", 2, 10, "sara")]


def test_an_opt_out_holds_however_long_the_person_is_silent() -> None:
    """Other persons leave memory a month after their last message. A notice that is sent here later is refused, too."""
    world = known(BOT)
    prefer(world, BOT, "", ("", pb.OPT_OUT_SCOPE_PROACTIVE))
    world.wait(400 * 24 * HOUR)
    world.customer(a_message("me again", native_message_id="m9", identity=BOT))
    send(world, BOT, pb.OUTBOUND_PURPOSE_NOTICE, "n1")
    assert refusals(world) == ["OPTED_OUT"]


def joined() -> World:
    """A person who has written by web chat and then by Telegram, and whose conversations are over."""
    world = known(CHAT)
    offer(world, CHAT)
    claim(world, BOT)
    world.customer(a_message("me again", native_message_id="m5", identity=BOT))
    world.routing("completed", world.enqueued[-1])
    world.wait(30 * HOUR)
    return world


@pytest.mark.parametrize(
    ("preferred", "used"), [("webchat", "webchat"), ("telegram", "telegram"), ("", "telegram"), ("email", "telegram")]
)
def test_a_conversation_begins_on_the_preferred_channel(preferred: str, used: str) -> None:
    """If the person has written there; otherwise on the newest."""
    world = joined()
    prefer(world, BOT, preferred)
    send(world, BOT, pb.OUTBOUND_PURPOSE_NOTICE, "n1")
    if used == "telegram":
        assert [job.route.identity.channel for job in world.attempts.jobs] == ["telegram"]
        world.outcome(Outcome.ACCEPTED)
    assert world.conversation[-1].message.channel == used


def offer(
    world: World, identity: pb.Identity, secret: bytes = SECRET, valid_ms: int = 900_000, request_id: str = "o1"
) -> None:
    """Make a link."""
    made = pb.JoinOffer(
        request_id=request_id,
        identity_id=identity.identity_id,
        digest=digest_of(secret),
        expires_at_ms=world.intake.now_ms + valid_ms,
    )
    world.inbound(pb.InboundRecord(tenant=TENANT, join_offer=made), identity.identity_id)


def claim(
    world: World,
    claimant: pb.Identity,
    secret: bytes = SECRET,
    named: pb.Identity = CHAT,
    number: int = 0,
    **fields: Any,
) -> None:
    """Let another identity send the text of a link."""
    text = link_text(named.identity_id, secret)
    world.customer(a_message(text, native_message_id=f"claim{number}", identity=claimant, **fields))


def person_of(world: World, identity: pb.Identity) -> str:
    """Return the person to whom an identity was moved; empty when it was not."""
    moved = [
        r.belongs.person_id
        for r in world.conversation
        if r.WhichOneof("record") == "belongs" and r.identity_id == identity.identity_id
    ]
    return moved[-1] if moved else ""


def test_a_customer_continues_on_another_channel() -> None:
    """What they write there joins the open conversation, and its agent sees it. The text of the link is in no conversation."""
    world = World()
    world.customer(a_message("hello", identity=CHAT))
    offer(world, CHAT)
    claim(world, BOT)
    assert person_of(world, BOT) == derive("person", CHAT.identity_id)
    world.customer(a_message("now from my phone", native_message_id="t1", identity=BOT))
    assert world.texts == ["hello", "now from my phone"]
    assert len(world.enqueued) == 1
    assert len({r.conversation_id for r in world.conversation if r.WhichOneof("record") == "message"}) == 1


def test_a_link_works_once() -> None:
    """A second identity with the same text is not joined."""
    world = known(CHAT)
    offer(world, CHAT)
    claim(world, BOT)
    thief = an_identity("43", "telegram", "bot")
    claim(world, thief)
    assert person_of(world, thief) == ""


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_a_link_works_until_it_expires_and_only_with_its_secret(secret: bytes) -> None:
    """A wrong secret, or a late one."""
    world = known(CHAT)
    offer(world, CHAT, valid_ms=60_000)
    if secret is SECRET:
        world.wait(60_000)
    claim(world, BOT, secret)
    assert person_of(world, BOT) == ""


def test_wrong_texts_use_up_the_tries() -> None:
    """After five, the right text does not work either."""
    world = known(CHAT)
    offer(world, CHAT)
    for number in range(MOST_TRIES):
        claim(world, BOT, OTHER, number=number)
    claim(world, BOT, number=99)
    assert person_of(world, BOT) == ""


def test_a_newer_link_ends_the_older_one() -> None:
    """Only one is open."""
    world = known(CHAT)
    offer(world, CHAT)
    offer(world, CHAT, OTHER, request_id="o2")
    claim(world, BOT)
    assert person_of(world, BOT) == ""
    claim(world, BOT, OTHER, number=1)
    assert person_of(world, BOT) != ""


def test_an_unproven_or_public_message_claims_nothing() -> None:
    """A forged sender could join a stranger's identity; in a group others read the text. An agent gets the message."""
    world = known(CHAT)
    offer(world, CHAT)
    mail = an_identity("ann@shop.example", "email", "help")
    claim(world, mail, named=BOT)
    claim(world, BOT, labels={"public": "true"})
    assert (person_of(world, mail), person_of(world, BOT)) == ("", "")
    assert len(world.enqueued) == 3


def test_a_link_of_a_linked_identity_is_that_of_its_person() -> None:
    """The home keeps it, and further identities join the home."""
    world = joined()
    offer(world, BOT, OTHER, request_id="o2")
    phone = an_identity("98912", "whatsapp", "wa")
    claim(world, phone, OTHER, named=BOT)
    assert person_of(world, phone) == derive("person", CHAT.identity_id)


def test_the_log_has_no_secret() -> None:
    """Records of links and claims have digests; the text of the message is sealed at the edge."""
    world = known(CHAT)
    offer(world, CHAT)
    claim(world, BOT)
    assert not any(SECRET in send.value for send in world.log if send.topic == "inbound.v1" and send.value)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["offer", "right", "wrong", "wait"]), st.integers(0, 2)), max_size=14))
def test_an_identity_is_joined_only_by_the_open_links_secret(steps: list[tuple[str, int]]) -> None:
    """Whatever the order: as a model says, and at most one identity for each link."""
    world = known(CHAT)
    open_, tries, now, ends = b"", 0, 0, 0
    joined_by_model: set[int] = set()
    for number, (step, who) in enumerate(steps):
        claimant = an_identity(f"c{who}", "telegram", "bot")
        if step == "offer":
            open_, tries, ends = bytes([number] * 16), MOST_TRIES, now + 100_000
            offer(world, CHAT, open_, 100_000, f"o{number}")
        elif step == "wait":
            now += 40_000
            world.wait(40_000)
        elif who not in joined_by_model:
            right = step == "right" and bool(open_)
            claim(world, claimant, open_ if right else bytes([255] * 16), number=number)
            if open_ and now >= ends:
                open_ = b""
            elif open_ and right:
                joined_by_model.add(who)
                open_ = b""
            elif open_:
                tries -= 1
                open_ = open_ if tries else b""
    found = {who for who in range(3) if person_of(world, an_identity(f"c{who}", "telegram", "bot"))}
    assert found == joined_by_model
