"""A customer who floods: every message is taken, in order, at their pace; other customers are not slowed down."""

from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.ingest.v1 import records_pb2
from services.chassis.pacing import Rate
from services.ingest.lanes.paced_intake import MOST_WAITING, WAITING_STATE
from tests.flow.ingest.world import TENANT, World, a_message, an_identity

FLOODER, NEIGHBOUR = an_identity("1", "telegram", "bot"), an_identity("2", "telegram", "bot")
PACE = Rate(5.0, 60.0)


def a_flood(many: int, identity: records_pb2.Identity = FLOODER) -> list[records_pb2.InboundRecord]:
    """Messages of one customer, as an edge publishes them."""
    return [a_message(f"text {n}", native_message_id=f"m{n}", identity=identity) for n in range(many)]


def texts(world: World, identity: records_pb2.Identity = FLOODER) -> list[str]:
    """Return the texts of one customer, in the order of the conversation."""
    mine = [r for r in world.conversation if r.identity_id == identity.identity_id]
    return [r.message.text for r in mine if r.WhichOneof("record") == "message"]


def paced(world: World, outcome: str) -> float | None:
    """Return the number of messages with this outcome."""
    return world.metrics.value("chapar_intake_paced_total", TENANT, "telegram", outcome)


def test_150_quick_messages_are_taken_in_order_at_the_customers_pace() -> None:
    """C21. The burst at once, and the rest at five a second."""
    world = World(pace=PACE)
    world.customer(*a_flood(150))
    assert texts(world) == [f"text {n}" for n in range(60)]
    world.wait(1_000)
    assert len(texts(world)) == 65
    world.wait(17_000)
    assert texts(world) == [f"text {n}" for n in range(150)]
    assert paced(world, "WAITED") == 90
    assert len(world.enqueued) == 1


def test_a_neighbour_does_not_wait() -> None:
    """Neither with the same account nor in the same batch."""
    world = World(pace=PACE)
    world.customer(*a_flood(150), a_message("hello", identity=NEIGHBOUR), *a_flood(300)[150:])
    assert texts(world, NEIGHBOUR) == ["hello"]
    assert len(texts(world)) == 60


def test_a_later_message_does_not_overtake_one_that_waits() -> None:
    """Also when the pace would allow it, and when the provider repeats one that waits."""
    world = World(pace=Rate(1.0, 2.0))
    world.customer(*a_flood(4))
    world.wait(1_000)
    world.customer(*a_flood(5)[3:])
    world.wait(10_000)
    assert texts(world) == [f"text {n}" for n in range(5)]


def test_messages_that_wait_survive_a_crash() -> None:
    """They are in the changelog, sealed as they came, and leave it when they are taken."""
    world = World(pace=PACE)
    world.customer(*a_flood(150))
    waiting = [key for key in world.intake.changelog if key.startswith(WAITING_STATE)]
    assert len(waiting) == 90
    world.intake.crash()
    world.wait(60_000)
    assert texts(world) == [f"text {n}" for n in range(150)]
    assert not [key for key in world.intake.changelog if key.startswith(WAITING_STATE)]


def test_at_the_bound_the_oldest_message_is_taken_early() -> None:
    """Nothing is lost, the order remains, and the memory does not grow."""
    world = World(pace=Rate(0.001, 1.0))
    world.customer(*a_flood(MOST_WAITING + 21))
    assert texts(world) == [f"text {n}" for n in range(21)]
    assert (paced(world, "WAITED"), paced(world, "AT_BOUND")) == (MOST_WAITING + 20, 20)


def test_requests_of_others_do_not_wait() -> None:
    """A notice of the router about the customer is handled while their messages wait."""
    world = World(pace=Rate(0.001, 1.0))
    world.customer(*a_flood(5))
    world.routing("queued", world.enqueued[0], position=1, estimated_wait_ms=60_000)
    assert [r.purpose for r in (o.request for o in world.outbound) if r.request_id] == [
        records_pb2.OUTBOUND_PURPOSE_ACKNOWLEDGEMENT
    ]


def test_a_message_that_can_no_longer_be_handled_becomes_a_dead_letter() -> None:
    """Its tenant was removed while it waited: the other messages of the lane go on."""
    world = World(pace=Rate(1.0, 1.0))
    world.customer(*a_flood(2))
    world.removed.add(TENANT)
    world.wait(5_000)
    (letter,) = world.intake.sent_to("deadletters.v1")
    assert b"UNKNOWN_TENANT" in letter.value
    assert texts(world) == ["text 0"]


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3_000), st.booleans()), max_size=8),
    st.sampled_from([Rate(1.0, 1.0), Rate(3.0, 2.0), Rate(0.2, 4.0)]),
)
def test_whatever_the_rhythm_and_the_crashes_nothing_is_lost_doubled_or_out_of_order(
    calls: list[tuple[int, int, bool]], pace: Rate
) -> None:
    """Batches of any size, pauses of any length, and crashes between them."""
    world = World(pace=pace)
    sent = 0
    for many, pause_ms, crash in calls:
        world.customer(*a_flood(sent + many)[sent:])
        sent += many
        if crash:
            world.intake.crash()
        world.wait(pause_ms)
    world.wait(600_000)
    assert texts(world) == [f"text {n}" for n in range(sent)]
