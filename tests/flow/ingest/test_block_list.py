"""A blocked sender: their messages are kept and not routed, until the block ends, and an agent's disposition can block them."""

import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.common.v1.verdict_pb2 import Verdict
from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2 as pb
from services.ingest.domain.decisions import IntakeLimits
from tests.flow.ingest.test_automatic import Services
from tests.flow.ingest.test_persons import BOT, CHAT, HOUR, known, refusals
from tests.flow.ingest.test_shared_preferences import link
from tests.flow.ingest.world import TENANT, World, a_configuration, a_message

DAY = 24 * HOUR


def block(world: World, identity: pb.Identity, for_ms: int = DAY, **fields: Any) -> None:
    """Block a sender, or end the block with 0, as `PersonService` does."""
    asked = pb.SenderBlock(
        request_id=uuid.uuid4().hex,
        identity_id=identity.identity_id,
        until_ms=world.intake.now_ms + for_ms if for_ms else 0,
        actor="sara",
        **fields,
    )
    world.inbound(pb.InboundRecord(tenant=TENANT, sender_block=asked), identity.identity_id)


def write(world: World, text: str, number: int, identity: pb.Identity = CHAT) -> pb.ConversationMessage:
    """Let a customer write; return what history gets."""
    world.customer(a_message(text, identity=identity, native_message_id=f"m{number}"))
    return [each.message for each in world.conversation if each.WhichOneof("record") == "message"][-1]


def with_blocking(blocks_for_ms: int = DAY, name: str = "spam") -> config_pb2.TenantConfiguration:
    """A tenant whose disposition blocks the sender."""
    configuration = a_configuration()
    configuration.dispositions.add(name=name, blocks_for_ms=blocks_for_ms)
    return configuration


def blocks(world: World) -> list[tuple[str, int, str, str]]:
    """Return what history learns about blocks."""
    told = [each for each in world.conversation if each.WhichOneof("record") == "sender_block"]
    return [(r.identity_id, r.sender_block.until_ms, r.sender_block.actor, r.sender_block.disposition) for r in told]


def blocked_total(world: World, channel: str = "webchat") -> float:
    """Return the value of the metric."""
    name, labels = "chapar_intake_blocked_total", {"tenant": TENANT, "channel": channel}
    return world.metrics.registry.get_sample_value(name, labels) or 0.0


def test_a_message_of_a_blocked_sender_is_kept_and_not_routed() -> None:
    """It is in the history, marked, without an interaction; nothing is sent, and it is counted by channel."""
    world = known(CHAT)
    block(world, CHAT, note="abuse")
    before = len(world.enqueued), len(world.outbound)
    kept = write(world, "buy pills", 1)
    assert (kept.text, kept.blocked, kept.interaction_id) == ("buy pills", True, "")
    assert (len(world.enqueued), len([o for o in world.outbound if o.HasField("request")])) == (before[0], 0)
    assert blocked_total(world) == 1


@pytest.mark.parametrize("crashing", [False, True])
def test_the_block_ends_at_its_time_without_any_action(crashing: bool) -> None:
    """A millisecond before, a message is kept; from that time on it is routed."""
    world = World()
    served(world)
    routed = len(world.enqueued)
    block(world, CHAT, DAY)
    if crashing:
        world.intake.crash()
    world.wait(DAY - 1)
    assert write(world, "buy pills", 2).blocked
    world.wait(1)
    assert not write(world, "where is my order", 3).blocked
    assert len(world.enqueued) == routed + 1


def test_the_end_of_a_block_by_a_person_counts_at_once() -> None:
    """Also after a restart. A second end does nothing."""
    world = known(CHAT)
    block(world, CHAT)
    block(world, CHAT, 0)
    block(world, CHAT, 0)
    world.intake.crash()
    assert not write(world, "hello again", 2).blocked
    assert [until > 0 for _, until, _, _ in blocks(world)] == [True, False]


def test_a_repeated_request_does_not_block_again() -> None:
    """The client repeats its call after another one has ended the block."""
    world = known(CHAT)
    asked = pb.SenderBlock(request_id="r1", identity_id=CHAT.identity_id, until_ms=world.intake.now_ms + DAY)
    record = pb.InboundRecord(tenant=TENANT, sender_block=asked)
    world.inbound(record, CHAT.identity_id)
    block(world, CHAT, 0)
    world.inbound(record, CHAT.identity_id)
    assert not write(world, "hello again", 2).blocked


def test_an_interaction_that_is_open_goes_on_without_the_messages_after_the_block() -> None:
    """The agent who has it decides how it ends. Completed, it opens no further one."""
    world = World()
    world.customer(a_message("where is my order"))
    interaction = world.enqueued[-1]
    world.routing("assigned", interaction)
    block(world, CHAT)
    commands = len(world.commands)
    assert write(world, "buy pills", 2).interaction_id == ""
    assert len(world.commands) == commands
    world.routing("completed", interaction)
    assert world.kinds()[-1] == "interaction_closed"
    assert len(world.enqueued) == 1


def test_the_visitor_who_leaves_still_ends_their_interaction() -> None:
    """Leaving is not a message."""
    world = World()
    world.customer(a_message("where is my order"))
    block(world, CHAT)
    gone = a_message("", native_message_id="m9", kind=pb.MESSAGE_KIND_SYSTEM)
    gone.message.customer_left = True
    world.customer(gone)
    assert [c.WhichOneof("command") for c in world.commands][-1] == "customer_left"


def served(world: World, **completed: Any) -> str:
    """A customer whose interaction an agent has completed; returns the interaction."""
    world.customer(a_message("where is my order"))
    interaction = world.enqueued[-1]
    world.routing("assigned", interaction)
    world.routing("completed", interaction, **completed)
    return interaction.interaction_id


@pytest.mark.parametrize("crashing", [False, True])
def test_a_disposition_blocks_the_sender(crashing: bool) -> None:
    """D10: the agent completes as spam, and the same sender is not routed again."""
    world = World(with_blocking())
    served(world, disposition="spam", agent_id="sara")
    if crashing:
        world.intake.crash()
    assert blocks(world) == [(CHAT.identity_id, world.intake.now_ms + DAY, "sara", "spam")]
    assert write(world, "buy pills", 2).blocked
    assert len(world.enqueued) == 1
    world.wait(DAY)
    write(world, "where is my order", 3)
    assert len(world.enqueued) == 2


def test_a_disposition_without_a_time_blocks_nobody() -> None:
    """Spam is not a contact, and no more than that, unless the tenant says so."""
    for configuration, disposition in ((None, "spam"), (with_blocking(), "solved"), (with_blocking(0), "spam")):
        world = World(configuration)
        served(world, disposition=disposition)
        assert blocks(world) == []


def test_what_crossed_the_completion_as_spam_is_not_routed() -> None:
    """The router did not take the message any more. It was kept before the block."""
    world = World(with_blocking())
    world.customer(a_message("buy pills"))
    interaction = world.enqueued[-1]
    world.routing("assigned", interaction)
    write(world, "buy more pills", 2)
    world.routing("completed", interaction, disposition="spam")
    assert len(world.enqueued) == 1


def test_a_block_is_of_one_identity_whatever_is_linked() -> None:
    """A linked identity is blocked before its messages come to its home; the home and the others are not."""
    world = known(CHAT, BOT)
    block(world, BOT)
    link(world, BOT, CHAT)
    assert write(world, "buy pills", 3, BOT).blocked
    assert not write(world, "where is my order", 4, CHAT).blocked
    link(world, BOT, None)
    assert write(world, "buy pills", 5, BOT).blocked
    block(world, CHAT)
    block(world, BOT, 0)
    link(world, BOT, CHAT)
    assert not write(world, "hello", 6, BOT).blocked
    assert write(world, "buy pills", 7, CHAT).blocked


def test_a_disposition_blocks_the_linked_identity_that_wrote() -> None:
    """Not the home under whose key the interaction is decided."""
    world = World(with_blocking())
    for identity in (CHAT, BOT):
        world.customer(a_message("hello", identity=identity, native_message_id="k"))
        world.routing("completed", world.enqueued[-1])
    link(world, BOT, CHAT)
    world.customer(a_message("buy pills", identity=BOT, native_message_id="m1"))
    world.routing("completed", world.enqueued[-1], disposition="spam")
    assert [told[0] for told in blocks(world)] == [BOT.identity_id]


def test_a_block_outlives_an_erasure_without_personal_data() -> None:
    """Else an erasure would be the way out of the list. It can be ended by its id, and ends at its time."""
    world = known(CHAT)
    block(world, CHAT, note="threatens agents")
    erase(world, CHAT)
    world.intake.crash()
    entries = [value for key, value in world.intake.changelog.items() if key.startswith(b"b/")]
    assert len(entries) == 1
    assert b"threatens" not in entries[0]
    assert write(world, "buy pills", 2).blocked
    block(world, CHAT, 0)
    assert not write(world, "hello", 3).blocked


def erase(world: World, identity: pb.Identity) -> None:
    """Erase an identity: the lane forgets it, and its key is destroyed."""
    erasure = pb.IdentityErasure(request_id="e1", identity_id=identity.identity_id)
    world.inbound(pb.InboundRecord(tenant=TENANT, erasure=erasure), identity.identity_id)
    world.keys.destroy(TENANT, identity.identity_id)


def test_a_blocked_sender_gets_no_survey() -> None:
    """The request fails with SENDER_BLOCKED, so that feedback withdraws the invitation. Replies of agents leave."""
    world = known(CHAT)
    block(world, CHAT)
    survey = pb.OutboundRequest(
        request_id="s1",
        tenant=TENANT,
        identity_id=CHAT.identity_id,
        text="how were we?",
        purpose=pb.OUTBOUND_PURPOSE_SURVEY,
        invitation_id="i1",
    )
    world.inbound(pb.InboundRecord(tenant=TENANT, outbound=survey), CHAT.identity_id)
    assert world.deliveries[-1] == ("FAILED", "SENDER_BLOCKED")


def test_spam_by_mail_reaches_one_agent_once() -> None:
    """D10, all services: one interaction, no survey, and the second mail is in the history with the reason."""
    services = Services()
    services.world.configuration.dispositions.add(name="spam", blocks_for_ms=30 * DAY)
    services.mail("cheap pills")
    services.complete(services.take_and_answer(), "spam")
    services.settle()
    events, records = services.kinds(), len(services.world.outbound)
    services.mail("cheaper pills", headers={"Subject": "hello"})
    assert (services.kinds(), services.kinds().count("queued")) == (events, 1)
    assert services.story()["not_routed"] == "SENDER_BLOCKED"
    assert "invited" not in services.invited()
    assert not [each for each in services.world.outbound[records:] if each.HasField("request")]


def test_the_list_is_bounded_and_says_so() -> None:
    """A further sender is refused; one who is on the list can get another end; an end makes room, by a person or by time."""
    world = World(limits=IntakeLimits(blocked_most=1))
    world.customer(a_message("hello", identity=CHAT), a_message("hello", identity=BOT))
    block(world, CHAT)
    block(world, BOT)
    block(world, CHAT, 2 * DAY)
    assert refusals(world) == ["TOO_MANY_BLOCKED"]
    assert not write(world, "hello", 2, BOT).blocked
    world.intake.crash()
    block(world, BOT)
    assert len(refusals(world)) == 2
    world.wait(2 * DAY)
    block(world, BOT)
    assert write(world, "pills", 3, BOT).blocked
    block(world, BOT, 0)
    block(world, CHAT)
    assert len(refusals(world)) == 2


def test_an_identity_that_has_never_written_is_not_blocked() -> None:
    """Nor one of another tenant: the key of the record has the caller's tenant. The caller gets NOT_FOUND."""
    world = World()
    asked = pb.SenderBlock(request_id="r1", identity_id=CHAT.identity_id, until_ms=world.intake.now_ms + DAY)
    world.inbound(pb.InboundRecord(tenant=TENANT, sender_block=asked, question_id="q1"), CHAT.identity_id)
    (verdict,) = (Verdict.FromString(each.value) for each in world.log if each.topic == "ingest.verdicts.v1")
    assert verdict.refused == "UNKNOWN_IDENTITY"
    assert not write(world, "hello", 1).blocked


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.just(0)),
        st.tuples(st.just("block"), st.sampled_from([HOUR, 3 * HOUR])),
        st.tuples(st.just("unblock"), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([1, HOUR - 1, HOUR, 2 * HOUR])),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    max_size=12,
)


@given(STEPS)
@settings(max_examples=60)
def test_a_message_is_kept_exactly_while_a_block_holds(steps: list[tuple[str, int]]) -> None:
    """Against the plainest model: the end of the newest block."""
    world, until = known(CHAT), 0
    for number, (step, ms) in enumerate(steps):
        match step:
            case "write":
                assert write(world, "hello", 100 + number).blocked == (world.intake.now_ms < until)
            case "block":
                until = world.intake.now_ms + ms
                block(world, CHAT, ms)
            case "unblock":
                until = 0
                block(world, CHAT, 0)
            case "wait":
                world.wait(ms)
            case _:
                world.intake.crash()
