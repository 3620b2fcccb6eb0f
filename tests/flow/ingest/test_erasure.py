"""Erasing a person: everything in progress ends, no personal data is written in clear, and the next message begins a
new history.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from chapar.common.v1.dead_letter_pb2 import DeadLetter
from chapar.common.v1.privacy_pb2 import ErasureOutcome
from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.chassis.kafka.headers import REPLAYED
from services.chassis.kafka.records import Record
from services.chassis.keys import tenant_key
from services.ingest.adapters.history.fold import Rows
from services.ingest.adapters.history.mapping import fact
from services.ingest.domain.deliveries import Finished, Outcome, SenderLimits
from services.ingest.lanes.outbound_records import prepare
from services.ingest.translate.sender import finished_record
from tests.flow.ingest import world as worlds
from tests.flow.ingest.world import TENANT, World, a_message

NEEDLE = "needle 41ab"
PERSONAL_TOPICS = ("inbound.v1", "conversations.v1", "outbound.v1", "deliveries.v1", "deadletters.v1")


def an_identity(native_id: str) -> records_pb2.Identity:
    return worlds.an_identity(native_id, "telegram", "bot")


def an_erasure(identity_id: str, *conversations: str, request_id: str = "erase-1") -> records_pb2.InboundRecord:
    return records_pb2.InboundRecord(
        tenant=TENANT,
        erasure=records_pb2.IdentityErasure(
            request_id=request_id, identity_id=identity_id, conversation_ids=conversations
        ),
    )


def outcomes(world: World) -> dict[tuple[str, str], dict[str, int]]:
    found = [ErasureOutcome.FromString(each.value) for each in world.log if each.topic == "personal.erasures.v1"]
    return {(each.store, each.part): dict(each.counts) for each in found}


def everything(world: World) -> bytes:
    """Return all that the lanes wrote and keep in state, as bytes."""
    return b"\n".join(
        [each.key + b"=" + each.value for each in world.log]
        + [key + b"=" + value for lane in (world.intake, world.sender) for key, value in lane.changelog.items()]
    )


def a_full_life(world: World, native_id: str = NEEDLE) -> str:
    """Create a customer with a needle in every text field, a sent answer and a waiting one."""
    who = an_identity(native_id)
    who.display_name = f"{native_id} name"
    record = a_message(f"{native_id} text", identity=who, native_message_id=f"{native_id} m", subject=f"{native_id} s")
    record.message.labels["note"] = f"{native_id} label"
    record.message.in_reply_to = f"{native_id} parent"
    record.message.raw = f"{native_id} raw".encode()
    record.message.attachments.add(content_type="image/png", name=f"{native_id}.png", reference=f"x/{native_id}")
    world.customer(record)
    conversation = derive("conversation", record.message.message_id)
    world.reply(conversation, f"{native_id} first answer", derive(native_id, "r1"))
    world.outcome(Outcome.ACCEPTED, native_ids=(f"{native_id} wamid",))
    world.reply(conversation, f"{native_id} second answer", derive(native_id, "r2"))
    world.reply(conversation, f"{native_id} third answer", derive(native_id, "r3"))
    return conversation


def test_nothing_personal_is_written_in_clear_by_any_lane() -> None:
    world = World()
    a_full_life(world)
    assert f"{NEEDLE} text" in world.texts
    assert NEEDLE.encode() not in everything(world)


def test_what_waits_is_cancelled_and_what_is_open_ends() -> None:
    world = World()
    conversation = a_full_life(world)
    key = an_identity(NEEDLE).identity_id
    world.inbound(an_erasure(key, conversation, "past-conversation"), key)
    ends = [c for c in world.commands if c.WhichOneof("command") == "customer_left"]
    assert len(ends) == 1
    assert outcomes(world)["intake", key] == {
        "identities": 1,
        "interactions_ended": 1,
        "follow_ups_cancelled": 0,
        "surveys_closed": 0,
    }
    assert outcomes(world)["sender", conversation] == {"conversations": 1, "deliveries_cancelled": 1}
    assert outcomes(world)["sender", "past-conversation"] == {"conversations": 0, "deliveries_cancelled": 0}
    assert world.deliveries[-2:] == [("UNKNOWN", "ERASED"), ("FAILED", "ERASED")]
    assert not [key for key in (*world.intake.changelog, *world.sender.changelog) if key.startswith((b"c/", b"t/"))]
    erased = [r.conversation_id for r in world.conversation if r.WhichOneof("record") == "erased"]
    assert sorted(erased) == sorted([conversation, "past-conversation"])
    assert [c.WhichOneof("command") for c in world.responses] == ["erase"]
    assert world.responses[0].person_id == derive("person", key)
    jobs = len(world.attempts.jobs)
    world.wait(60_000)
    assert len(world.attempts.jobs) == jobs


def test_the_place_of_an_erased_attempt_goes_to_the_next_conversation() -> None:
    """A reply that waits because too many attempts are in flight is sent when the erasure ends one of them: no other
    record needs to arrive first."""
    world = World(sender_limits=SenderLimits(max_in_flight=1))
    people = [an_identity(name) for name in ("first", "second")]
    for number, who in enumerate(people):
        world.customer(a_message(identity=who))
        world.reply(world.enqueued[number].conversation_id, f"reply {number}", f"r{number}")
    assert [j.delivery.request.text for j in world.attempts.jobs] == ["reply 0"]
    world.inbound(an_erasure(people[0].identity_id, world.enqueued[0].conversation_id), people[0].identity_id)
    assert [j.delivery.request.text for j in world.attempts.jobs] == ["reply 0", "reply 1"]


def test_an_identity_that_left_memory_is_also_erased() -> None:
    world = World()
    world.inbound(an_erasure("unknown", "long-ago"), "unknown")
    assert [r.conversation_id for r in world.conversation] == ["long-ago"]
    assert outcomes(world)["intake", "unknown"]["identities"] == 0
    world.inbound(an_erasure("never"), "never")
    last = world.conversation[-1]
    assert (last.conversation_id, last.identity_id, last.WhichOneof("record")) == ("", "never", "erased")
    assert not world.intake.dead_letters
    assert not world.sender.dead_letters


def test_records_whose_key_is_destroyed_are_passed_over() -> None:
    """Records that were on their way when the person was erased open without their personal fields and have no effect."""
    world = World()
    conversation = a_full_life(world)
    key = an_identity(NEEDLE).identity_id
    late = [each for each in world.log if each.topic == "outbound.v1"]
    world.inbound(an_erasure(key, conversation), key)
    world.keys.destroy(TENANT, key)
    before = len(world.attempts.jobs)
    for send in late:
        world.sender.handle(send.value, key=send.key)
    world.pump()
    assert len(world.attempts.jobs) == before
    assert not world.sender.dead_letters
    assert not [entry for entry in world.sender.changelog if entry.startswith(b"t/")]


def test_a_crash_after_the_key_is_destroyed_restores_without_the_person() -> None:
    world = World()
    a_full_life(world)
    world.customer(a_message("hello", identity=an_identity("neighbour")))
    world.keys.destroy(TENANT, an_identity(NEEDLE).identity_id)
    world.intake.crash()
    world.crash()
    entries = [key for key in (*world.intake.changelog, *world.sender.changelog) if key.startswith((b"c/", b"t/"))]
    neighbour = f"c/{TENANT}/{an_identity('neighbour').identity_id}".encode()
    assert neighbour in entries
    assert len(entries) == 2, "the neighbour's customer and thread"
    world.wait(60_000)
    assert not world.intake.dead_letters


def test_others_are_untouched_and_the_erased_person_begins_again() -> None:
    world = World()
    a_full_life(world)
    a_full_life(world, "neighbour")
    key = an_identity(NEEDLE).identity_id
    old = world.keys.current(TENANT, key)
    world.inbound(an_erasure(key), key)
    world.keys.destroy(TENANT, key)
    assert not [text for text in world.texts if NEEDLE in text]
    assert "neighbour text" in world.texts
    assert world.intake.processor is not None
    world.customer(a_message("back again", identity=an_identity(NEEDLE), native_message_id="m-new"))
    assert world.keys.current(TENANT, key) is not old
    assert "back again" in world.texts
    opened = [r for r in world.conversation if r.WhichOneof("record") == "opened"]
    assert len({r.conversation_id for r in opened}) == 3
    assert NEEDLE.encode() not in everything(world)


def test_a_dead_letter_holds_the_sealed_request_and_can_be_put_back() -> None:
    world = World()
    conversation = a_full_life(world)
    world.outcome(Outcome.REJECTED)
    letters = [each for each in world.log if each.topic == "deadletters.v1"]
    assert len(letters) == 1
    assert NEEDLE.encode() not in letters[0].value
    letter = DeadLetter.FromString(letters[0].value)
    jobs = len(world.attempts.jobs)
    world.outcome(Outcome.ACCEPTED)
    world.sender.handle(letter.value, key=letter.key, headers=((REPLAYED, b"1"),))
    world.pump()
    assert [job.delivery.request.text for job in world.attempts.jobs[jobs:]] == [f"{NEEDLE} second answer"]
    assert tenant_key(TENANT, conversation) == letter.key


def _plain(record: Any, _key: object, _topic: str, _record_key: bytes) -> bytes:
    return bytes(record.SerializeToString())


@pytest.mark.parametrize(
    "switched_off",
    [
        ("services.ingest.lanes.intake_outputs.seal", _plain),
        ("services.ingest.lanes.sender_outputs.seal", _plain),
        ("services.chassis.privacy.lanes.EntryKeys.sealed", lambda _self, _entry, value, _key: value),
    ],
    ids=["intake", "sender", "changelogs"],
)
def test_the_search_finds_what_is_not_sealed(
    monkeypatch: pytest.MonkeyPatch, switched_off: tuple[str, Callable[..., bytes]]
) -> None:
    """With sealing switched off in one place, the search above fails: so it is able to find a needle."""
    monkeypatch.setattr(*switched_off)
    world = World()
    a_full_life(world)
    assert NEEDLE.encode() in everything(world)


def test_history_learns_of_a_link_before_the_identity_writes_again() -> None:
    """Erasing the person later must find the identity, although it has sent nothing since the link."""
    world = World()
    home, other = an_identity("home"), an_identity("other")
    world.customer(a_message("hello", identity=home, native_message_id="m1"))
    world.customer(a_message("hello", identity=other, native_message_id="m2"))
    link = records_pb2.IdentityLink(
        request_id="l1", identity_id=other.identity_id, home_identity_id=home.identity_id, evidence="signed login"
    )
    world.inbound(records_pb2.InboundRecord(tenant=TENANT, link=link), home.identity_id)
    (moved,) = [r for r in world.conversation if r.WhichOneof("record") == "belongs"]
    assert (moved.identity_id, moved.belongs.person_id) == (other.identity_id, derive("person", home.identity_id))
    found = fact(Record("conversations.v1", 0, 0, 1, b"k", moved.SerializeToString(), ()), world.keys)
    assert found is not None
    rows = Rows()
    rows.fold([found])
    assert rows.identities[TENANT, other.identity_id].person_id == derive("person", home.identity_id)
    assert not rows.conversations
    unlink = records_pb2.IdentityLink(request_id="l2", identity_id=other.identity_id)
    world.inbound(records_pb2.InboundRecord(tenant=TENANT, link=unlink), other.identity_id)
    assert world.conversation[-1].belongs.person_id == derive("person", other.identity_id)


def test_labels_leave_the_conversation_only_when_they_are_declared() -> None:
    world = World(worlds.a_configuration())
    world.configuration.routing_labels.append("plan")
    told = {"plan": "basic", "note": NEEDLE, "tier": "gold", "public": f"{NEEDLE} is no word"}
    world.customer(a_message("hello", identity=an_identity("v"), labels=told))
    assert dict(world.enqueued[0].labels) == {"plan": "basic", "tier": "gold", "vip": "true"}
    assert NEEDLE.encode() not in everything(world)


def test_routing_rules_see_all_labels() -> None:
    world = World(worlds.a_configuration())
    world.configuration.rules[0].when = "labels['note'].contains('needle')"
    world.customer(a_message("hello", identity=an_identity("v"), labels={"note": NEEDLE}))
    assert world.enqueued[0].queue == "sales"
    assert not world.enqueued[0].labels


async def prepared(world: World, *records: Record) -> None:
    """Prepare the keys, as the sender lane does before it handles records."""
    await prepare(world.keys)(records)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_outcome_that_comes_after_the_keys_are_destroyed_writes_nothing(outcome: Outcome) -> None:
    """Before the erase record has arrived: no key is created for erased data, and nothing of it is sealed again."""
    world = World()
    conversation = a_full_life(world)
    world.keys.makes = False
    key = an_identity(NEEDLE).identity_id
    world.keys.destroy(TENANT, key, conversation)
    made, written, entries = dict(world.keys.newest), len(world.log), dict(world.sender.changelog)
    job = world.attempts.jobs[-1]
    event = Finished(delivery_id=job.delivery.delivery_id, attempt=job.delivery.number, outcome=outcome)
    record = finished_record(job.tenant, job.conversation_id, event, world.sender.now_ms)
    said = Record("outbound.v1", 0, 0, 0, tenant_key(TENANT, conversation), record.SerializeToString(), ())
    asyncio.run(prepared(world, said))
    world.outcome(outcome, job, reason="R", native_ids=("wamid",))
    world.wait(3_600_000)
    assert world.keys.newest == made
    assert len(world.log) == written
    assert dict(world.sender.changelog) == entries
    assert not world.sender.dead_letters
    world.inbound(an_erasure(key, conversation), key)
    assert outcomes(world)["sender", conversation]["conversations"] == 1


def test_a_request_that_comes_after_the_keys_are_destroyed_seals_no_route_with_a_key_of_its_own() -> None:
    """The conversation has a new key, created for the request: the route and the texts of the erased person are not
    written with it."""
    world = World()
    conversation = a_full_life(world)
    world.keys.makes = False
    world.keys.destroy(TENANT, an_identity(NEEDLE).identity_id, conversation)
    entries, jobs = dict(world.sender.changelog), len(world.attempts.jobs)
    asyncio.run(world.keys.ensure(TENANT, conversation))
    world.reply(conversation, "too late", "r9")
    world.wait(3_600_000)
    assert dict(world.sender.changelog) == entries
    assert len(world.attempts.jobs) == jobs
