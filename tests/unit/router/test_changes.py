"""Another configuration comes into force while interactions wait."""

from dataclasses import replace
from typing import Any

import pytest

from services.policy.model.routing import Order, PickUpTarget, PoolConfig
from services.router.domain import commands as cmd
from tests.unit.router.test_written import Written, memory, without_leases
from tests.unit.router.world import World, a_pool, a_queue, an_agent

LONG = 10**9
GOLD = (("tier", "gold"),)


def reconfigured(world: World, **queue: Any) -> PoolConfig:
    """Return the next version, with changes to queue `q`."""
    config = world.engine.core.config
    assert config is not None
    queues = tuple(replace(q, **queue) if q.name == "q" else q for q in config.queues)
    team = tuple(agent.profile for agent in world.engine.core.agents.values())
    return replace(config, version=config.version + 1, queues=queues, agents=team)


@pytest.mark.parametrize(
    ("before", "after", "due_in", "first"),
    [
        ({}, {"order": Order.DEADLINE}, -5_000, "due"),
        ({"order": Order.DEADLINE}, {"order": Order.ARRIVAL}, -5_000, "old"),
        ({"order": Order.DEADLINE, "pick_up_targets": (PickUpTarget(9_000),)}, {}, 2_500, "due"),
        (
            {"order": Order.DEADLINE, "pick_up_targets": (PickUpTarget(9_000),)},
            {"pick_up_targets": (PickUpTarget(1_000, tiers=("gold",)), PickUpTarget(90_000))},
            2_500,
            "gold",
        ),
    ],
)
def test_waiting_interactions_are_ordered_by_the_new_rule_at_once(
    before: dict[str, Any], after: dict[str, Any], due_in: int, first: str
) -> None:
    """Orders by arrival, deadline, or other targets apply at once, and the changelog holds them for a restore."""
    lane = Written()
    world = World(a_pool(an_agent("a"), queues=[a_queue(**before), a_queue("w")], lease_ms=LONG), engine=lane.engine)
    world.enqueue("old")
    world.wait(1_000)
    world.enqueue("gold", labels=GOLD)
    world.wait(1_000)
    world.enqueue("due", due_at_ms=world.now + due_in)
    world.tell(cmd.ActivateConfiguration(reconfigured(world, **after)))
    lane.write(world.now)
    assert without_leases(lane.read()) == without_leases(memory(lane.engine))
    world.sign_in("a")
    assert world.offered(first) == "a"


def test_an_equal_configuration_changes_nothing_and_its_agents_are_added() -> None:
    """Only agents that are new or changed are taken over."""
    world = World(a_pool(an_agent("a"), an_agent("b")))
    world.sign_in("a")
    config = world.engine.core.config
    assert config is not None
    world.engine.core.dirty.clear()
    assert world.ask(cmd.ActivateConfiguration(replace(config, agents=(an_agent("a"), an_agent("b"))))) == ""
    assert world.engine.core.dirty == {}
    team = (an_agent("a"), an_agent("b", {"x": 1}), an_agent("c"))
    assert world.ask(cmd.ActivateConfiguration(replace(config, agents=team))) == ""
    assert {name for kind, name in world.engine.core.dirty if kind == "a"} == {"b", "c"}
    assert sorted(world.engine.core.agents) == ["a", "b", "c"]
    assert world.engine.core.agents["b"].skills == {"x": 1}
    assert world.engine.core.config == config
