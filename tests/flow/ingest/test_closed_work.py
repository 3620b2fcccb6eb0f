"""What the lanes keep of work that is over: little memory, and everything that the next record needs."""

import gc
import tracemalloc
from collections.abc import Mapping

from chapar.ingest.v1 import records_pb2
from services.chassis.kafka.contract import LaneContext
from services.chassis.kafka.outbox import BatchOutbox
from services.ingest.domain.deliveries import Outcome
from tests.fakes.lane import FakeLane
from tests.flow.ingest.world import TENANT, World, a_message, an_identity

HOUR = 3_600_000
MOST_BYTES = 200
"""For each closed customer, in each lane. As objects, a customer needed 2,340 to 3,070 bytes in the intake lane and 1,290 to
2,120 in the sender lane."""


def a_customer(number: int) -> records_pb2.Identity:
    """Return a customer with an id and a name as long as real ones."""
    channel, account = (("webchat", "site"), ("telegram", "bot"))[number % 2]
    who = an_identity(str(100_000_000 + 7_919 * number), channel, account)
    who.display_name = f"Customer {7_919 * number % 100_003}"
    return who


def served(world: World, number: int) -> str:
    """Let a customer write once and get two replies; return the conversation, which is over."""
    world.customer(a_message(native_message_id=f"m{number}", identity=a_customer(number)))
    interaction = world.enqueued[-1]
    world.routing("assigned", interaction)
    for reply in range(2):
        before = len(world.attempts.jobs)
        world.reply(interaction.conversation_id, "an answer", f"r{number}-{reply}")
        for job in world.attempts.jobs[before:]:
            world.outcome(Outcome.ACCEPTED, job, native_ids=("1",))
    world.routing("completed", interaction)
    return interaction.conversation_id


def bytes_of(lane: FakeLane, entries: Mapping[bytes, bytes]) -> int:
    """Return the memory of a processor that has restored these entries."""
    gc.collect()
    tracemalloc.start()
    processor = lane._factory(LaneContext(0, 1))
    for key, value in entries.items():
        processor.restore(key, value)
    processor.start(lane.now_ms, BatchOutbox(1, 1 << 20))
    gc.collect()
    needed = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return needed


def test_a_closed_customer_needs_at_most_200_bytes() -> None:
    """A day after the conversation: identity, route, owned interactions, and the ids of handled messages are still known."""
    world = World()
    for number in range(120):
        served(world, number)
    world.wait(30 * HOUR)
    for lane in (world.intake, world.sender):
        entries = dict(lane.changelog)
        owners = sorted({key.split(b"/")[2] for key in entries if key[:2] != b"o/"})
        few = {key: value for key, value in entries.items() if key.split(b"/")[2] in owners[:40]}
        assert len(owners) == 120
        bytes_of(lane, few)  # what is allocated once in a process
        needed = (bytes_of(lane, entries) - bytes_of(lane, few)) / 80
        assert needed <= MOST_BYTES


def test_a_closed_customer_is_as_known_as_an_open_one() -> None:
    """A repeated message is a duplicate, a repeated reply is not sent again, and the next message opens an interaction of the
    same conversation: with the memory of the lanes, and after each of them was restored."""
    world = World()
    conversation_id = served(world, 1)
    for _ in range(2):
        before = len(world.attempts.jobs), len(world.enqueued), len(world.conversation)
        world.customer(a_message(native_message_id="m1", identity=a_customer(1)))
        world.reply(conversation_id, "an answer", "r1-0")
        assert (len(world.attempts.jobs), len(world.enqueued), len(world.conversation)) == before
        world.intake.crash()
        world.sender.crash()
        world.pump()
    world.customer(a_message(native_message_id="m2", identity=a_customer(1)))
    assert [each.conversation_id for each in world.enqueued] == [conversation_id] * 2
    world.reply(conversation_id, "another answer", "r-new")
    assert world.attempts.jobs[-1].route.identity.display_name == a_customer(1).display_name


def test_a_lane_that_was_restored_has_the_timers_of_the_one_before() -> None:
    """And after all of them, nothing is left: neither in memory nor in the changelog."""
    world = World()
    for number in range(5):
        served(world, number)
        world.wait(7 * 60_000)
    for lane in (world.intake, world.sender):
        before = lane.processor.next_wakeup()
        assert before is not None
        lane.crash()
        assert lane.processor.next_wakeup() == before
    world.wait(40 * 24 * HOUR)
    assert {key[:2] for key in (*world.intake.changelog, *world.sender.changelog)} == {b"o/"}
    assert world.intake.processor.next_wakeup() is world.sender.processor.next_wakeup() is None


def test_an_erased_customer_is_forgotten_while_packed() -> None:
    """The key that sealed the entry is destroyed, then the lane is asked to forget."""
    world = World()
    served(world, 1)
    who = a_customer(1)
    world.keys.destroy(TENANT, who.identity_id)
    world.keys.makes = False
    erase = records_pb2.InboundRecord(tenant=TENANT, erasure=records_pb2.IdentityErasure(request_id="e1"))
    world.inbound(erase, who.identity_id)
    assert not [key for key in world.intake.changelog if who.identity_id.encode() in key]
    world.intake.crash()
    world.wait(60 * 24 * HOUR)
    assert not world.intake.dead_letters
