"""Rings as a preference (D18): a free agent whom an earlier ring admits goes before agents of later rings, however long those are idle."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.model.routing import Choice, Ring
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState
from tests.unit.router.world import World, a_capacity, a_pool, a_queue, all_of, an_agent, requires

FOREVER = 10**9
RINGS = (Ring(10_000, lower=(("french", 3),)), Ring(20_000, drop=("french",), queues=("other",)))


def bullseye(*agents: tuple[str, float], **queue: Any) -> World:
    """Return a world with a queue that asks for French of 5, then 3, then nothing; agents as (name, French), signed in one after the other."""
    team = [an_agent(name, {"french": french} if french else {}) for name, french in agents]
    own: dict[str, Any] = {"requirements": (requires("french", 5),), "rings": RINGS, "prefer_rings": True, **queue}
    world = World(a_pool(*team, queues=[a_queue(**own), a_queue("other")], capacity=a_capacity(2), lease_ms=FOREVER))
    for name, _ in agents:
        world.sign_in(name)
        world.tell(cmd.SetAgentState(name, AgentState.AWAY))
    return world


def back(world: World, *agents: str) -> None:
    """Let agents become available at one time, as a match sees several at once: they are idle since different times."""
    for agent in agents:
        world.wait(1)
        world.tell(cmd.SetAgentState(agent, AgentState.AVAILABLE))


@pytest.mark.parametrize(
    "choice", [Choice.LONGEST_IDLE, Choice.LOAD_RATIO, Choice.SKILL_SCORE, Choice.ROUND_ROBIN, Choice.ADAPTIVE]
)
def test_a_ring_1_agent_goes_before_a_ring_2_agent_who_is_idle_longer(choice: Choice) -> None:
    """All three are free when the interaction may be offered: it goes through the rings, against the order of idle times."""
    world = bullseye(("third", 0), ("second", 4), ("first", 5), choice=choice, delay_ms=25_000)
    back(world, "third", "second", "first")
    world.enqueue("i")
    world.wait(25_000)
    asked = []
    for _ in range(3):
        asked.append(world.offered("i"))
        world.decline("i", retry_after_ms=60_000)
    assert asked == ["first", "second", "third"]


def test_without_the_setting_the_longest_idle_of_all_rings_is_chosen() -> None:
    """The example of the case, both ways: at 10 s both are free, and the ring-2 agent is idle for longer."""
    for prefers, chosen in ((True, "one"), (False, "two")):
        world = bullseye(("two", 3), ("one", 5), prefer_rings=prefers, choice=Choice.LONGEST_IDLE, delay_ms=12_000)
        back(world, "two", "one")
        world.enqueue("i")
        world.wait(12_000)
        assert world.offered("i") == chosen


def test_a_busy_ring_1_agent_with_room_goes_before_an_idle_ring_2_agent() -> None:
    """And when no ring-1 agent has room, ring 2 is asked."""
    world = bullseye(("two", 3), ("one", 5), delay_ms=12_000)
    back(world, "two", "one")
    for name in ("first", "second", "third"):
        world.enqueue(name)
    world.wait(12_000)
    assert [(o.attributes.interaction_id, o.agent_id) for o in all_of(world.log, fx.Offered)] == [
        ("first", "one"),
        ("second", "one"),
        ("third", "two"),
    ]


@settings(max_examples=60, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from([0, 2, 3, 4, 5, 6]), st.integers(0, 3)), min_size=1, max_size=7),
    st.sampled_from([Choice.LONGEST_IDLE, Choice.LOAD_RATIO, Choice.SKILL_SCORE, Choice.ROUND_ROBIN]),
)
def test_no_agent_of_a_later_ring_is_chosen_while_one_of_an_earlier_ring_has_room(
    team: list[tuple[int, int]], choice: Choice
) -> None:
    """Whatever the team, its order and the choice: the offers go through the rings."""
    agents = [(f"a{n}", float(french)) for n, (french, _) in enumerate(team)]
    world = bullseye(*agents, choice=choice, delay_ms=25_000)
    back(world, *(name for name, _ in agents))
    for n in range(len(agents)):
        world.enqueue(f"i{n}")
    world.wait(25_000)
    french = dict(agents)
    rings = [
        0 if french[o.agent_id] >= 5 else 1 if french[o.agent_id] >= 3 else 2 for o in all_of(world.log, fx.Offered)
    ]
    assert rings == sorted(rings)
    assert len(rings) == len(agents)
