"""The relay delivers at least once: the intake lane handles each kind of notice once, whenever it comes again."""

from typing import Any

import pytest

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from tests.flow.ingest.world import TENANT, World, a_message, an_identity

DAY = 24 * 3_600_000
RETENTION = 40 * DAY
"""Longer than routing.events.v1 keeps a record, so longer than the relay can repeat it."""
NOTICES: dict[str, dict[str, Any]] = {
    "queued": {"position": 3},
    "assigned": {"agent_id": "sara"},
    "customer_message_recorded": {"message_id": derive(an_identity().identity_id, "m1", "0")},
    "customer_silent": {"closes_at_ms": 10**15},
    "completed": {"agent_id": "sara"},
    "abandoned": {},
    "cancelled": {},
}


def deliver_again(world: World, *, crash: bool = False) -> None:
    """Let the relay write its newest record once more."""
    if crash:
        world.intake.crash()
    assert len(world.relay.handle_again()) == 1
    world.pump()


def outputs(world: World) -> list[tuple[str, bytes]]:
    """Return topic and key of everything that the lanes have written."""
    return [(send.topic, send.key) for send in world.log if send.topic != "inbound.v1"]


def test_each_kind_of_notice_is_here() -> None:
    """`NOTICES` has the event of each kind."""
    kinds = {kind.removeprefix("INTERACTION_NOTICE_KIND_") for kind in records_pb2.InteractionNoticeKind.keys()}  # noqa: SIM118
    named = {"MESSAGE_RECORDED" if name == "customer_message_recorded" else name.upper() for name in NOTICES}
    assert named == kinds - {"UNSPECIFIED"}


@pytest.mark.parametrize("kind", NOTICES)
@pytest.mark.parametrize("how", ["in the next batch", "after a crash", "after the retention"])
def test_a_repeated_notice_changes_nothing(kind: str, how: str) -> None:
    """In a later batch, after a restart, and after the time for which the relay can repeat it."""
    world = World()
    world.customer(a_message(), a_message("two", native_message_id="m2"))
    world.routing(kind, world.enqueued[0], **NOTICES[kind])
    if how == "after the retention":
        world.wait(RETENTION)
    before = outputs(world), dict(world.intake.changelog), dict(world.sender.changelog)
    deliver_again(world, crash=how != "in the next batch")
    assert (outputs(world), world.intake.changelog, world.sender.changelog) == before
    assert world.intake.dead_letters == []


@pytest.mark.parametrize("kind", NOTICES)
def test_a_notice_twice_in_one_batch_counts_once(kind: str) -> None:
    """The relay's batch and its repetition may be one batch of the lane."""
    once, twice = World(), World()
    for world in (once, twice):
        world.customer(a_message(), a_message("two", native_message_id="m2"))
        (send,) = world.relayed(kind, world.enqueued[0], **NOTICES[kind])
        world.relay.sent.clear()  # `pump` passes none of it on: the batch below does
        count = 2 if world is twice else 1
        world.intake.batch(*(world.intake.record(send.value, key=send.key, headers=send.headers) for _ in range(count)))
        world.pump()
    assert outputs(twice) == outputs(once)
    assert twice.intake.changelog.keys() == once.intake.changelog.keys()


def test_a_queued_notice_that_was_not_acknowledged_is_not_acknowledged_by_its_repetition() -> None:
    """The account has a gap between acknowledgements: a repetition after the gap would give the customer an old position."""
    world = World()
    world.customer(a_message())
    world.routing("queued", world.enqueued[0], position=1)
    world.routing("completed", world.enqueued[0], agent_id="sara")
    world.customer(a_message("again", native_message_id="m2"))
    world.routing("queued", world.enqueued[1], position=7)
    acknowledged = len(world.deliveries)
    world.wait(2 * 3_600_000)
    deliver_again(world)
    assert len(world.deliveries) == acknowledged


def test_a_header_that_no_relay_writes_is_refused() -> None:
    """Only services write to this topic; a header that names no place is a fault of one of them."""
    world = World()
    record = records_pb2.InboundRecord(tenant=TENANT, notice=records_pb2.InteractionNotice(event_id="e"))
    for place in (b"", b"routing.events.v1/0", b"routing.events.v1/0/-1/5", b"x/0/99999999999999999999/1"):
        world.intake.handle(record.SerializeToString(), key=b"acme/x", headers=(("relayed-from", place),))
    assert [why.reason for _, why in world.intake.dead_letters] == ["UNDECODABLE"] * 4
