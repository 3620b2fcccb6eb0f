"""The multiplier of the adaptive order: when it moves and by how much; a restored engine moves it in the same way."""

from math import exp

import pytest

from services.policy.model.routing import Order, PickUpTarget
from services.router.domain import commands as cmd
from services.router.domain.changelog.snapshot import Restorer, collect
from services.router.translate import codec
from tests.unit.router.world import World, a_pool, a_queue, an_agent

LONG = 10**9
MINUTE = 60_000


def a_world(order: Order = Order.ADAPTIVE) -> World:
    """Return a world with one agent, and one queue with a target of 10 s that should answer 80 % within 1 s."""
    queue = a_queue(
        order=order, pick_up_targets=(PickUpTarget(10_000),), service_level_ms=1_000, service_level_goal=0.8
    )
    world = World(a_pool(an_agent("a"), queues=[queue], lease_ms=LONG))
    world.sign_in("a")
    return world


def multiplier(world: World) -> float:
    """Return the present factor for targets."""
    return world.engine.core.histories["q"].multiplier


def late(world: World, name: str) -> None:
    """Answer an interaction after two seconds."""
    world.enqueue(name)
    world.wait(2_000)
    assert world.accept(name) == ""
    world.complete(name)


def test_it_moves_a_minute_after_the_first_end_without_another_event() -> None:
    """No interaction was answered in time, so those that arrive now are served as if their target were shorter."""
    world = a_world()
    late(world, "i")
    world.wait(MINUTE - 1)
    assert multiplier(world) == 1.0
    world.wait(1)
    assert multiplier(world) == pytest.approx(exp(-0.5 * 0.8))
    world.enqueue("j")
    assert world.engine.core.interactions["j"].key == world.now + round(10_000 * exp(-0.4))


def test_while_nothing_ends_it_stays_and_no_timer_is_due() -> None:
    world = a_world()
    late(world, "i")
    world.wait(MINUTE)
    before = multiplier(world)
    world.wait(10 * MINUTE)
    assert multiplier(world) == before
    assert world.engine.next_wakeup() == world.engine.core.sessions["s-a"].lease_until


def test_the_next_minute_begins_with_the_next_end() -> None:
    """Only that counts: an abandoned interaction was not answered, one that is answered at once makes up for it."""
    world = a_world()
    late(world, "i")
    world.wait(90_000)
    world.enqueue("j")
    world.accept("j")
    world.wait(MINUTE)
    assert multiplier(world) == pytest.approx(exp(-0.5 * 0.8) * exp(0.5 * 0.2))


def test_other_orders_have_no_such_timer() -> None:
    world = a_world(Order.DEADLINE)
    late(world, "i")
    world.wait(2 * MINUTE)
    assert multiplier(world) == 1.0


def test_a_restored_engine_moves_it_at_the_same_time() -> None:
    world = a_world()
    late(world, "i")
    world.wait(1_000)
    restorer = Restorer()
    for (kind, name), value in collect(world.engine, world.now):
        if value is not None:
            restorer.add(name, codec.decode(kind, codec.encode(value)))
    heir = restorer.engine(world.now)
    assert heir.next_wakeup() == world.engine.next_wakeup() == world.now - 1_000 + MINUTE
    world.wait(MINUTE)
    heir.advance(world.now - 1_000)
    assert heir.core.histories["q"].multiplier == multiplier(world) != 1.0


def test_a_supervisors_configuration_keeps_the_minute() -> None:
    """A new version of the configuration in between neither loses nor doubles the timer."""
    world = a_world()
    late(world, "i")
    config = world.config
    assert config is not None
    world.tell(cmd.ActivateConfiguration(a_pool(an_agent("a"), queues=[*config.queues, a_queue("w")], lease_ms=LONG)))
    world.wait(2 * MINUTE)
    assert multiplier(world) == pytest.approx(exp(-0.5 * 0.8))
