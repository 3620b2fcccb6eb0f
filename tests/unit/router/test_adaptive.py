"""The adaptive order: when the shifts of its queues move, by how much, and what never happens; a restored engine moves them in the same way."""

from dataclasses import replace

import pytest

from services.policy.model.routing import AgentProfile, Order, PickUpTarget, QueueConfig, Selector
from services.router.domain import commands as cmd
from services.router.domain.changelog.snapshot import Restorer, collect
from services.router.translate import codec
from tests.unit.router.world import World, a_pool, a_queue, an_agent, requires

LONG = 10**9
MINUTE = 60_000
TARGET = (PickUpTarget(10_000),)
SHORT = a_queue("short", order=Order.ADAPTIVE, pick_up_targets=TARGET, service_level_ms=1_000, service_level_goal=0.8)
WIDE = a_queue("wide", order=Order.ADAPTIVE, pick_up_targets=TARGET, service_level_ms=9_000, service_level_goal=0.9)


def a_world(*queues: QueueConfig, agents: tuple[AgentProfile, ...] = (an_agent("a"),)) -> World:
    """Return a world with agents at work: two queues that share them unless the agents say which they serve."""
    world = World(a_pool(*agents, queues=list(queues or (SHORT, WIDE)), lease_ms=LONG))
    for agent in agents:
        world.sign_in(agent.agent_id)
    return world


def shift(world: World, queue: str) -> float:
    """Return the present shift of a queue."""
    return world.engine.core.histories[queue].shift_ms


def answer(world: World, name: str, queue: str, after_ms: int = 0) -> None:
    """Answer an interaction after a time."""
    world.enqueue(name, queue=queue)
    world.wait(after_ms)
    assert world.accept(name) == ""
    world.complete(name)


def one_late_one_in_time(world: World) -> None:
    """Answer an interaction of `wide` in time, and one of `short` late. The minute begins with the first of them."""
    answer(world, "w", "wide")
    answer(world, "s", "short", 2_000)


# By how much


def test_the_queue_below_its_goal_gains_what_the_other_loses() -> None:
    """Surplus: short 0 - .8, wide 1 - .9; their mean is -.35. The first outcome moves by 1 / 4.5 of the queue's threshold."""
    world = a_world()
    one_late_one_in_time(world)
    world.wait(MINUTE - 2_000)
    by = [1_000 / 4.5 * (0 - (0.8 - 0.35)), 9_000 / 4.5 * (1 - (0.9 - 0.35))]
    middle = sum(by) / 2
    assert shift(world, "short") == pytest.approx(by[0] - middle)
    assert shift(world, "wide") == pytest.approx(by[1] - middle)
    assert shift(world, "short") < 0 < shift(world, "wide")


def test_an_interaction_is_ordered_by_arrival_target_and_shift() -> None:
    world = a_world()
    one_late_one_in_time(world)
    world.wait(MINUTE)
    world.enqueue("next", queue="short")
    assert world.engine.core.interactions["next"].key == world.now + 10_000 + round(shift(world, "short"))


def test_without_a_pick_up_target_the_threshold_of_the_service_level_counts() -> None:
    world = a_world(replace(SHORT, pick_up_targets=()), WIDE)
    world.enqueue("i", queue="short")
    assert world.engine.core.interactions["i"].key == world.now + 1_000


def test_the_queue_below_its_goal_is_served_before_one_that_waits_longer() -> None:
    world = a_world()
    one_late_one_in_time(world)
    world.wait(MINUTE)
    world.enqueue("busy", queue="wide")
    assert world.accept("busy") == ""
    world.enqueue("longer", queue="wide")
    world.wait(1_000)
    world.enqueue("below", queue="short")
    world.complete("busy")
    assert world.offered("below") == "a"


def test_a_shift_counts_for_later_arrivals_only() -> None:
    """An interaction that waits keeps its place, also when it is late: nothing is moved back for the sake of the share."""
    world = a_world()
    one_late_one_in_time(world)
    world.enqueue("busy", queue="wide")
    assert world.accept("busy") == ""
    world.enqueue("waiting", queue="short")
    before = world.engine.core.interactions["waiting"].key
    world.wait(MINUTE)
    assert shift(world, "short") != 0
    assert world.engine.core.interactions["waiting"].key == before


def test_equal_surplus_moves_nothing() -> None:
    """Both goals are missed by the same share: the shortfall is shared already."""
    world = a_world(SHORT, replace(WIDE, service_level_goal=0.8, service_level_ms=1_500))
    answer(world, "w", "wide", 2_000)
    answer(world, "s", "short", 2_000)
    world.wait(MINUTE)
    assert shift(world, "short") == shift(world, "wide") == 0.0


def test_shifts_stay_within_four_times_the_largest_threshold() -> None:
    """The queue can't be helped: its shift does not run away, so that it can come back."""
    world = a_world()
    for number in range(800):
        answer(world, f"w{number}", "wide")
        answer(world, f"s{number}", "short", 2_000)
        world.wait(MINUTE)
    assert (shift(world, "short"), shift(world, "wide")) == (-36_000, 36_000)


@pytest.mark.parametrize(
    ("first", "needs"),
    [(an_agent("a", queues=("short", "wide")), ()), (an_agent("a"), (requires("x", 5),))],
    ids=["by the queues that they serve", "by skill"],
)
def test_a_queue_without_common_agents_changes_nothing_for_others(
    first: AgentProfile, needs: tuple[Selector, ...]
) -> None:
    """An overloaded queue with agents of its own neither gains from the others nor moves them."""
    alone = replace(SHORT, name="alone", requirements=needs)
    agents = (first, an_agent("b", {"x": 5}, queues=("alone",)))
    with_it, without = a_world(SHORT, WIDE, alone, agents=agents), a_world(agents=agents[:1])
    for world in (with_it, without):
        one_late_one_in_time(world)
    answer(with_it, "x", "alone", 5_000)
    for world in (with_it, without):
        world.wait(2 * MINUTE)
    apart = [shift(world, "wide") - shift(world, "short") for world in (with_it, without)]
    assert apart[0] == pytest.approx(apart[1])


def test_the_common_surplus_is_weighted_by_common_agents() -> None:
    """Two agents serve both queues and one serves `wide` only: for `wide` each surplus counts per agent who serves the queue that has it."""
    both = (an_agent("a", queues=("short", "wide")), an_agent("b", queues=("short", "wide")))
    world = a_world(agents=(*both, an_agent("c", queues=("wide",))))
    one_late_one_in_time(world)
    world.wait(MINUTE)
    common = {"short": (2 * -0.8 + 2 * 0.1) / 4, "wide": (2 * -0.8 + 3 * 0.1) / 5}
    by = [1_000 / 4.5 * (0 - (0.8 + common["short"])), 9_000 / 4.5 * (1 - (0.9 + common["wide"]))]
    assert shift(world, "wide") - shift(world, "short") == pytest.approx(by[1] - by[0])


def test_one_adaptive_queue_has_nothing_to_move_against() -> None:
    world = a_world(SHORT)
    answer(world, "i", "short", 2_000)
    world.wait(2 * MINUTE)
    assert shift(world, "short") == 0.0


# When


def test_shifts_move_a_minute_after_the_first_outcome_without_another_event() -> None:
    world = a_world()
    one_late_one_in_time(world)
    world.wait(MINUTE - 2_001)
    assert shift(world, "short") == 0.0
    world.wait(1)
    assert shift(world, "short") != 0.0


def test_while_nothing_ends_they_stay_and_no_timer_is_due() -> None:
    world = a_world()
    one_late_one_in_time(world)
    world.wait(MINUTE)
    before = shift(world, "short")
    world.wait(10 * MINUTE)
    assert shift(world, "short") == before
    assert world.engine.next_wakeup() == world.engine.core.sessions["s-a"].lease_until


def test_other_orders_have_no_such_timer() -> None:
    world = a_world(replace(SHORT, order=Order.DEADLINE), replace(WIDE, order=Order.DEADLINE))
    one_late_one_in_time(world)
    world.wait(2 * MINUTE)
    assert shift(world, "short") == 0.0


def test_a_queue_that_becomes_adaptive_begins_with_its_next_outcome() -> None:
    """What ended before belongs to another order."""
    world = a_world(replace(SHORT, order=Order.ARRIVAL), WIDE)
    one_late_one_in_time(world)
    world.tell(cmd.ActivateConfiguration(a_pool(an_agent("a"), queues=[SHORT, WIDE], lease_ms=LONG)))
    assert world.engine.core.histories["short"].minute_since == 0
    answer(world, "s2", "short")
    assert world.engine.core.histories["short"].in_minute == (1, 1)


def test_a_queue_that_is_not_adaptive_any_more_has_no_minute() -> None:
    world = a_world()
    one_late_one_in_time(world)
    plain = replace(SHORT, order=Order.ARRIVAL)
    world.tell(cmd.ActivateConfiguration(a_pool(an_agent("a"), queues=[plain, WIDE], lease_ms=LONG)))
    world.wait(2 * MINUTE)
    history = world.engine.core.histories["short"]
    assert (history.minute_since, history.in_minute, history.shift_ms) == (0, (0, 0), 0.0)


def test_a_restored_engine_moves_them_at_the_same_time() -> None:
    world = a_world()
    one_late_one_in_time(world)
    world.wait(1_000)
    restorer = Restorer()
    for (kind, name), value in collect(world.engine, world.now):
        if value is not None:
            restorer.add(name, codec.decode(kind, codec.encode(value)))
    heir = restorer.engine(world.now)
    assert heir.next_wakeup() == world.engine.next_wakeup() == world.now - 3_000 + MINUTE
    world.wait(MINUTE)
    heir.advance(world.now - 3_000)
    assert heir.core.histories["short"].shift_ms == shift(world, "short") != 0.0


def test_a_supervisors_configuration_keeps_the_minute() -> None:
    """A new version of the configuration in between neither loses nor doubles the timer."""
    world, other = a_world(), a_world()
    one_late_one_in_time(world)
    one_late_one_in_time(other)
    more = [SHORT, WIDE, a_queue("third")]
    world.tell(cmd.ActivateConfiguration(a_pool(an_agent("a"), queues=more, lease_ms=LONG)))
    world.wait(2 * MINUTE)
    other.wait(2 * MINUTE)
    assert shift(world, "short") == shift(other, "short") != 0.0
