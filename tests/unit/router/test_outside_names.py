"""Names that come from outside leave nothing behind when no agent has them any more."""

from typing import Any

import pytest

from services.router.domain import commands as cmd
from services.router.domain.engine import Engine
from services.router.domain.pool.limits import Limits
from tests.unit.router.world import World, a_pool, an_agent


def remembered(world: World) -> int:
    """Return the number of entries of everything that is keyed by a name in a profile."""
    core = world.engine.core
    roster = core.roster
    return (
        len(roster.groups)
        + len(roster._by_queue)
        + len(roster._anywhere)
        + len(core.teams)
        + sum(
            len(requirement_set.groups) + len(requirement_set._scores)
            for requirement_set in core.lines._requirement_sets.values()
        )
    )


@pytest.mark.parametrize("field", ["skills", "queues", "team"])
@pytest.mark.parametrize("signed_in", [False, True])
def test_profiles_that_change_again_and_again_cost_no_memory(field: str, signed_in: bool) -> None:
    """An agent whose skills, queues or teams change again and again takes the memory of one agent."""
    world = World(a_pool(an_agent("a"), an_agent("b")))
    if signed_in:
        world.sign_in("a")
    world.enqueue("i")

    def upsert(number: int) -> None:
        value: Any = {"skills": {f"skill-{number}": 5.0}, "queues": (f"queue-{number}",), "team": f"team-{number}"}[
            field
        ]
        assert world.ask(cmd.UpsertAgent(an_agent("a", **{field: value}))) == ""

    upsert(0)
    before = remembered(world)
    for number in range(1, 200):
        upsert(number)
    assert remembered(world) == before


def test_an_agent_who_changes_back_gets_offers_again() -> None:
    """No decision changes when an agent group is removed and found again."""
    world = World(a_pool(an_agent("a")))
    for number in range(3):
        world.ask(cmd.UpsertAgent(an_agent("a", queues=(f"other-{number}",))))
        world.ask(cmd.UpsertAgent(an_agent("a")))
    world.sign_in("a")
    world.enqueue("i")
    assert list(world.engine.core.agents["a"].offers) == ["i"]


def test_a_pool_has_a_limit_of_agents() -> None:
    """Agents that are known can still be changed."""
    world = World(a_pool(an_agent("a")), engine=Engine(Limits(agents=3)))
    assert [world.ask(cmd.UpsertAgent(an_agent(name))) for name in "bcd"] == ["", "", "TOO_MANY_AGENTS"]
    assert world.ask(cmd.UpsertAgent(an_agent("b", team="x"))) == ""
    assert sorted(world.engine.core.agents) == ["a", "b", "c"]
