"""The engine forgets what grows too large, and decisions do not depend on that, or only where they must."""

import pytest
from hypothesis import given, settings

from services.policy.model.interning import name, whole
from services.router.domain import commands as cmd
from services.router.domain.engine import Engine
from services.router.domain.pool.limits import Limits
from tests.unit.router.strategies import ALL, Game, games
from tests.unit.router.test_oracle import FEW, heard, play
from tests.unit.router.test_written import Written
from tests.unit.router.world import START, World, a_pool, a_queue, an_agent, requires


@settings(FEW, max_examples=FEW.max_examples // 3)
@given(games(ALL))
def test_unused_requirement_sets_may_be_removed_at_any_time(game: Game) -> None:
    """With room for two requirement sets instead of eight thousand, every decision is the same."""
    log = play(game).log
    assert heard(log, limits=Limits(requirement_sets_kept=2)) == heard(log)


@pytest.mark.parametrize("kept", [1, 2, 3, 4])
def test_interactions_reserved_for_a_team_are_found_when_requirement_sets_were_just_removed(kept: int) -> None:
    """While it is placed, the requirement set with the team and the one without are both looked up, and either may remove others."""
    queue = a_queue(sticky_team_ms=60_000)
    pool = a_pool(an_agent("a", {"x": 1.0}, team="north"), queues=[queue], lease_ms=10**9)
    world = World(pool, engine=Engine(Limits(requirement_sets_kept=kept)))
    world.sign_in("a")
    world.holds("a", "busy")
    world.enqueue("i", preferred_team="north", requirements=(requires("x"),))
    world.complete("busy")
    assert world.offered("i") == "a"


def test_requirement_sets_above_the_limit_are_removed_unless_something_waits() -> None:
    """The limit is a fixed number, or twice the requirement sets for which something waits."""
    pool = a_pool(an_agent("a", {"x": 5.0}), lease_ms=10**9)
    world = World(pool, engine=Engine(Limits(requirement_sets_kept=4)))
    lines = world.engine.core.lines
    for n in range(5):
        world.enqueue(f"i{n}", requirements=(requires("x", 10 + n),))
    for n in range(40):
        world.enqueue("j", requirements=(requires("y", n),))
        world.tell(cmd.CancelInteraction("j"))
        assert len(lines._requirement_sets) <= 11
    assert {lines_.requirement_set.key[1] for lines_ in lines.filled} == {(requires("x", 10.0 + n),) for n in range(5)}
    world.sign_in("a")
    world.tell(cmd.UpsertAgent(an_agent("a", {"x": 11.0})))
    assert world.offered("i0") == "a"


def test_the_last_agents_of_the_newest_persons_are_remembered() -> None:
    """A person who comes again counts as new; the oldest is forgotten, in the changelog too."""
    lane = Written(Engine(Limits(persons_kept=2)))
    world = World(a_pool(an_agent("a"), queues=[a_queue(sticky_ms=1)], lease_ms=10**9), engine=lane.engine)
    world.sign_in("a")
    for n, person in enumerate(("p", "q", "p", "r", "r", "")):
        world.enqueue(f"i{n}", person_id=person)
        world.accept(f"i{n}")
        world.complete(f"i{n}")
        lane.write(world.now)
    assert lane.engine.core.last_agent == {"p": "a", "r": "a"}
    assert list(lane.engine.core.last_agent) == ["p", "r"]
    assert [person for kind, person in lane.entries if kind == "p"] == ["p", "r"]
    assert list(lane.restored().core.last_agent) == ["p", "r"]


def test_without_sticky_queues_no_last_agent_is_remembered() -> None:
    for queue, kept in (({}, 0), ({"sticky_ms": 1}, 1), ({"sticky_team_ms": 1}, 1)):
        world = World(a_pool(an_agent("a"), queues=[a_queue("other"), a_queue("q", **queue)], lease_ms=10**9))
        world.sign_in("a")
        world.holds("a", "i")
        world.complete("i")
        assert len(world.engine.core.last_agent) == kept


def test_eight_offers_that_ended_are_kept() -> None:
    """The oldest is removed first; the same holds for a smaller limit."""
    world = World(a_pool(an_agent("a"), lease_ms=10**9), engine=Engine(Limits(ended_offers_kept=2)))
    world.sign_in("a")
    world.enqueue("i")
    for _ in range(4):
        world.decline("i", retry_after_ms=1)
        world.wait(1)
    assert world.engine.core.interactions["i"].ended == {"i.6": ("a", 1), "i.8": ("a", 1)}


def test_equal_values_are_kept_once() -> None:
    first, second = (1, "a", START), (1, "a", START)
    assert first is not second
    assert whole(first) is whole(second)
    assert name("que" + "ue".lower()) is name("queue")
