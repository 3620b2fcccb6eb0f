"""Interactions of `skill_score` queues that may be offered at the same time are matched as a batch: see docs/routing-policies.md."""

from itertools import permutations
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.policy.model.routing import CapacityProfile, ChannelCapacity, Choice, Operator, OverflowRule, Trigger
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.assignment.choosing import MOST_TOGETHER
from services.router.domain.assignment.matching import least_total
from services.router.domain.changelog.snapshot import Restorer, collect
from services.router.domain.engine import Engine
from services.router.domain.model import InteractionAttributes
from services.router.domain.queries.explain import explain
from services.router.translate import codec
from tests.unit.router.oracle_pair import Pair
from tests.unit.router.strategies import Dice
from tests.unit.router.world import GATEWAY, START, World, a_capacity, a_pool, a_queue, all_of, an_agent, requires

LONG = 10**9
WINDOW = 1_000


def scoring(name: str = "q", **more: Any) -> Any:
    """Return a queue with a match window of one second that chooses by skill score."""
    return a_queue(name, **{"choice": Choice.SKILL_SCORE, "match_window_ms": WINDOW, **more})


def a_world(*agents: Any, **more: Any) -> World:
    """Return a world in which all agents have signed in before the window begins."""
    world = World(a_pool(*agents, **{"queues": [scoring()], "lease_ms": LONG, **more}))
    world.sign_in(*(agent.agent_id for agent in agents))
    return world


# Match windows


def test_interactions_of_one_window_are_offered_at_its_end() -> None:
    """Windows start at multiples of their length, so the end is the same for all; an interaction that comes at the end belongs to the next window."""
    world = a_world(an_agent("a"), an_agent("b"), an_agent("c"))
    world.enqueue("first")
    world.wait(999)
    world.enqueue("second")
    assert (world.offered("first"), world.offered("second")) == ("", "")
    world.wait(1)
    world.enqueue("third")
    assert "" not in (world.offered("first"), world.offered("second"))
    world.wait(999)
    assert world.offered("third") == ""
    world.wait(1)
    assert world.offered("third") != ""


def test_requeued_and_transferred_interactions_do_not_wait_for_a_window() -> None:
    world = a_world(an_agent("a"), an_agent("b"))
    world.enqueue("i")
    world.wait(WINDOW)
    world.wait(300)
    first = world.offered("i")
    world.decline("i")
    second = world.offered("i")
    assert {first, second} == {"a", "b"}
    world.accept("i")
    world.tell(cmd.TransferInteraction(second, "i", to_agent_id=first))
    assert world.offered("i") == first


def test_an_interaction_in_a_match_window_cannot_be_picked_and_explain_says_why() -> None:
    world = a_world(an_agent("a"))
    world.enqueue("i")
    assert world.ask(cmd.AssignInteraction("i", "a", picked=True)) == "MATCH_WINDOW"
    found = explain(world.engine, "i")
    assert found is not None
    assert [(e.reason, e.detail) for e in found.excluded] == [("MATCH_WINDOW", "1 s from now")]
    assert found.smallest_change == "the window ends within which it is matched as a batch with others"


def test_rules_on_entering_are_asked_when_the_window_ends() -> None:
    """Ten interactions come at once, eight are served: the queue is too long only after that, also for an engine that was restored in between."""
    rule = OverflowRule("long", Trigger.LENGTH, 1, "w")
    world = a_world(
        *(an_agent(f"a{n}") for n in range(8)),
        queues=[scoring(overflow=(rule,)), a_queue("w", requirements=(requires("x"),))],
    )
    effects = [effect for n in range(10) for effect in world.enqueue(f"i{n}")]
    assert not all_of(effects, fx.Overflowed)
    restorer = Restorer()
    for (kind, name), value in collect(world.engine, world.now):
        assert value is not None
        restorer.add(name, codec.decode(kind, codec.encode(value)))
    heir = restorer.engine(world.now)
    moved = all_of(world.wait(WINDOW), fx.Overflowed)
    assert [effect.attributes.interaction_id for effect in moved] == ["i8"]
    assert all_of(heir.advance(world.now), fx.Overflowed) == moved


# The assignment


def test_the_total_is_the_largest_not_each_in_turn() -> None:
    """The first interaction would suit agent b best, but only b can take the second."""
    world = a_world(an_agent("a", {"x": 2}), an_agent("b", {"x": 3, "y": 1}))
    world.enqueue("first", requirements=(requires("x", 1),))
    world.enqueue("second", requirements=(requires("y", 1),))
    world.wait(WINDOW)
    assert (world.offered("first"), world.offered("second")) == ("a", "b")


def test_the_first_gives_way_where_the_others_gain_more_than_it_loses() -> None:
    """Each interaction could be assigned to either of the two agents."""
    world = a_world(an_agent("a", {"x": 2, "y": 1}), an_agent("b", {"x": 3, "y": 4}))
    world.enqueue("first", requirements=(requires("x", 1),))
    world.enqueue("second", requirements=(requires("y", 1),))
    world.wait(WINDOW)
    assert (world.offered("first"), world.offered("second")) == ("a", "b")


def test_urgency_alone_decides_which_interactions_are_served() -> None:
    """Two interactions need the only agent: the more urgent one gets the agent, though the other would score more."""
    world = a_world(an_agent("a", {"x": 9, "y": 1}))
    world.enqueue("scores", requirements=(requires("x", 1),))
    world.enqueue("urgent", requirements=(requires("y", 1),), priority=1)
    world.wait(WINDOW)
    assert (world.offered("urgent"), world.offered("scores")) == ("a", "")


def test_among_equal_totals_the_first_gets_the_agent_it_would_get_alone() -> None:
    world = a_world(an_agent("a"), an_agent("b"), an_agent("c"))
    for name in ("i2", "i1", "i3"):
        world.enqueue(name)
        world.wait(1)
    world.wait(WINDOW)
    assert [world.offered(name) for name in ("i2", "i1", "i3")] == ["a", "b", "c"]


def test_the_first_keeps_its_preference_when_another_must_give_way() -> None:
    """Only agent a can take the third. There are two ways to make room; the one that the first in the order prefers is used."""
    world = a_world(an_agent("a", {"x": 1}), an_agent("b"), an_agent("c"))
    world.enqueue("i1")
    world.enqueue("i2")
    world.enqueue("i3", requirements=(requires("x", operator=Operator.HAS),))
    world.wait(WINDOW)
    assert [world.offered(name) for name in ("i1", "i2", "i3")] == ["b", "c", "a"]


def test_an_interaction_without_a_place_does_not_hide_those_behind_it() -> None:
    """Agent a declined the first, and b gets a more urgent one: a gets the next in the line."""
    queues = [scoring(), a_queue("w", wrap_up_ms=5_000)]
    world = World(a_pool(an_agent("a"), an_agent("b", {"y": 1}), queues=queues, lease_ms=LONG))
    world.sign_in("b")
    world.enqueue("h", queue="w")
    world.accept("h")
    world.complete("h")
    world.sign_in("a")
    world.enqueue("first")
    world.wait(WINDOW)
    world.decline("first")
    world.wait(3_500)
    world.enqueue("urgent", priority=1, requirements=(requires("y"),))
    world.enqueue("second")
    world.wait(500)
    assert [world.offered(name) for name in ("urgent", "first", "second")] == ["b", "", "a"]


def test_an_agent_with_room_for_several_gets_several_where_that_scores_more() -> None:
    world = a_world(an_agent("a", {"x": 9}), an_agent("b", {"x": 1}), capacity=a_capacity(2))
    for name in ("i1", "i2", "i3"):
        world.enqueue(name, requirements=(requires("x", 1),))
    world.wait(WINDOW)
    assert [world.offered(name) for name in ("i1", "i2", "i3")] == ["a", "a", "b"]


def test_a_desk_that_can_show_one_offer_gets_one() -> None:
    world = World(
        a_pool(
            an_agent("a", {"x": 9}), an_agent("b", {"x": 1}), queues=[scoring()], capacity=a_capacity(2), lease_ms=LONG
        )
    )
    world.sign_in("a", "b", credits=1)
    world.enqueue("i1", requirements=(requires("x", 1),))
    world.enqueue("i2", requirements=(requires("x", 1),))
    world.wait(WINDOW)
    assert [world.offered(name) for name in ("i1", "i2")] == ["a", "b"]


def test_agents_who_become_free_together_are_matched_without_a_window() -> None:
    """Both wrap-ups end at the same time; the older interaction leaves the agent who alone can take the younger one."""
    queue = scoring(match_window_ms=0, wrap_up_ms=5_000)
    world = a_world(an_agent("a", {"x": 2}), an_agent("b", {"x": 3, "y": 1}), queues=[queue])
    for name in ("h1", "h2"):
        world.enqueue(name)
        world.accept(name)
    for name in ("h1", "h2"):
        world.complete(name)
    world.enqueue("first", requirements=(requires("x", 1),))
    world.enqueue("second", requirements=(requires("y", 1),))
    world.wait(5_000)
    assert (world.offered("first"), world.offered("second")) == ("a", "b")


def test_another_queues_work_takes_its_turn_between() -> None:
    """More urgent interactions are matched first, then the other queue's gets the agent it prefers of those left, then the rest are matched."""
    queues = [scoring(), a_queue("w", match_window_ms=WINDOW, priority=1)]
    world = a_world(an_agent("a", {"x": 1}), an_agent("b", {"x": 9}), queues=queues)
    world.enqueue("scores", requirements=(requires("x", 1),))
    world.enqueue("other", queue="w")
    world.wait(WINDOW)
    assert (world.offered("other"), world.offered("scores")) == ("a", "b")


def test_agents_who_could_park_something_come_after_those_with_room() -> None:
    """One is matched with the idle agent; for the other an agent parks their mail."""
    voice = ChannelCapacity("voice", 1, exclusive=True, interrupts=("mail",))
    world = a_world(an_agent("a", {"x": 9}), an_agent("b", {"x": 1}), capacity=CapacityProfile("", 1, (voice,)))
    world.enqueue("mail", channel="mail", requirements=(requires("x", 5),))
    world.wait(WINDOW)
    world.accept("mail")
    for name in ("i1", "i2"):
        world.enqueue(name, channel="voice", requirements=(requires("x", 1),))
    world.wait(WINDOW)
    assert (world.offered("i1"), world.offered("i2")) == ("b", "a")
    assert world.engine.core.interactions["mail"].parked


def test_a_burst_above_the_limit_is_split_by_urgency() -> None:
    """A hundred interactions for a hundred agents: all are served, and the last are not matched with the first."""
    count = 100
    world = a_world(*(an_agent(f"a{n:03}", {"x": float(n + 1)}) for n in range(count)))
    for n in range(count):
        world.enqueue(f"i{n:03}", requirements=(requires("x", 1),))
    world.wait(WINDOW)
    interactions = world.engine.core.interactions
    assert sorted(world.offered(name) for name in interactions) == sorted(world.engine.core.agents)
    sizes = [interactions[f"i{n:03}"].rationale.matched + 1 for n in range(count)]
    assert sizes == [MOST_TOGETHER] * MOST_TOGETHER + [count - MOST_TOGETHER] * (count - MOST_TOGETHER)


def test_explain_shows_the_batch_and_an_agent_who_alone_would_have_suited_better() -> None:
    world = a_world(an_agent("a", {"x": 2}), an_agent("b", {"x": 3, "y": 1}))
    world.enqueue("first", requirements=(requires("x", 1),))
    world.enqueue("second", requirements=(requires("y", 1),))
    effects = world.wait(WINDOW)
    assert {offered.reason for offered in all_of(effects, fx.Offered)} == {"BEST_TOTAL_SCORE"}
    found = explain(world.engine, "first")
    assert found is not None
    assert found.summary == (
        "Offered to a: 2 of 2 agents could take it, matched together with 1 other for the largest total skill score "
        "(1.23106, of which this 0.731059); b (0.880797) alone would have suited it better."
    )
    alone = explain(world.engine, "second")
    assert alone is not None
    assert "better" not in alone.summary


def test_a_batch_is_explained_the_same_after_a_restore() -> None:
    world = a_world(an_agent("a", {"x": 2}), an_agent("b", {"x": 3, "y": 1}))
    world.enqueue("first", requirements=(requires("x", 1),))
    world.enqueue("second", requirements=(requires("y", 1),))
    world.wait(WINDOW)
    restorer = Restorer()
    for (kind, name), value in collect(world.engine, world.now):
        assert value is not None
        restorer.add(name, codec.decode(kind, codec.encode(value)))
    heir = restorer.engine(world.now)
    assert explain(heir, "first") == explain(world.engine, "first")
    assert heir.core.config == world.engine.core.config


# Against naive implementations


@st.composite
def costs(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    """Rows that may each take some of the columns; there is a place for all rows."""
    count = draw(st.integers(1, 5))
    columns = draw(st.permutations(range(6)))
    rows = []
    for row in range(count):
        listed = draw(st.sets(st.integers(0, 5))) | {columns[row]}
        rows.append([(column, draw(st.integers(0, 20))) for column in sorted(listed)])
    return rows


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(costs())
def test_no_other_assignment_costs_less(rows: list[list[tuple[int, int]]]) -> None:
    priced = [dict(row) for row in rows]
    ways = [
        way for way in permutations(range(6), len(rows)) if all(c in row for c, row in zip(way, priced, strict=True))
    ]
    given_ = least_total(rows)
    assert tuple(given_) in ways
    assert sum(row[c] for c, row in zip(given_, priced, strict=True)) == min(
        sum(row[c] for c, row in zip(way, priced, strict=True)) for way in ways
    )


def burst(numbers: bytes) -> Pair:
    """Play two bursts of up to eight interactions, with some agents and three queues, in the engine and in the oracle."""
    dice = Dice(numbers)
    skills = [{"x": dice.of(1.0, 2.0, 4.0, 8.0), "y": dice.of(0.0, 1.0, 3.0, 9.0)} for _ in range(dice.of(3, 4, 5, 2))]
    profiles = (a_capacity(1, "one"), CapacityProfile("three", 3, (ChannelCapacity("mail", 2),)), a_capacity(2, "two"))
    agents = [
        an_agent(f"a{n}", {s: v for s, v in has.items() if v}, capacity_profile=dice.of("one", "one", "two", "three"))
        for n, has in enumerate(skills)
    ]
    queues = [
        scoring("q", max_offers=dice.of(1, 1, 2)),
        scoring("w", priority=dice.of(0, 1), match_window_ms=dice.of(WINDOW, 0)),
        a_queue("z", match_window_ms=WINDOW, keep_free=dice.of(0, 0, 1)),
    ]
    pair = Pair(a_pool(*agents, queues=queues, capacity=profiles, lease_ms=LONG))
    for n, agent in enumerate(agents):
        pair.tell(cmd.SignIn(agent.agent_id, f"s{n}", credits=dice.of(0, 0, 1), reply_to=GATEWAY))
        pair.wait(dice.of(0, 100))
    asked = (requires("x", 1), requires("x", 2), requires("y", 1), requires("x", 4), requires("y", 3))
    for name in ("i", "j"):
        for n in range(dice.of(4, 5, 6, 8)):
            wanted = tuple({s.attribute: s for s in (dice.of(*asked), dice.of(*asked))}.values())
            attributes = InteractionAttributes(
                f"{name}{n}", f"c{name}{n}", channel=dice.of("chat", "chat", "chat", "mail"), queue=dice.of("q", "q", "w", "q", "z"),
                priority=dice.of(0, 0, 0, 1), requirements=wanted[: dice.of(1, 2, 1)], arrived_at_ms=pair.now,
            )  # fmt: skip
            pair.tell(cmd.Enqueue(attributes))
            pair.wait(dice.of(0, 0, 30))
        pair.wait(dice.of(1_500, 1_000))
        for offer in [offer for job in pair.oracle.jobs.values() for offer in job.offers]:
            if dice.one_in(3):
                pair.tell(cmd.DeclineOffer(offer.agent_id, offer.offer_id))
            else:
                pair.tell(cmd.AcceptOffer(offer.agent_id, offer.offer_id))
    for job in list(pair.oracle.jobs.values()):
        if job.holder:
            pair.tell(cmd.CompleteInteraction(job.holder, job.id))
    pair.wait(LONG // 10)
    return pair


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.binary(min_size=200, max_size=200))
def test_bursts_are_matched_as_the_oracle_does(numbers: bytes) -> None:
    """The naive engine compares every possible assignment of a burst: the same interactions are served by the same agents."""
    pair = burst(numbers)
    assert pair.now > START


def test_the_order_of_commands_within_a_burst_decides_nothing() -> None:
    """Interactions that arrive at the same time are ordered by their ids, not by the order of the commands."""
    offered = []
    for names in (("i1", "i2", "i3"), ("i3", "i1", "i2")):
        world = World(
            a_pool(*(an_agent(f"a{n}", {"x": n}) for n in (1, 2, 3)), queues=[scoring()], lease_ms=LONG),
            engine=Engine(),
        )
        world.sign_in("a1", "a2", "a3")
        for name in names:
            world.enqueue(name, requirements=(requires("x", int(name[1])),))
        world.wait(WINDOW)
        offered.append({name: world.offered(name) for name in sorted(names)})
    assert offered[0] == offered[1] == {"i1": "a1", "i2": "a2", "i3": "a3"}
