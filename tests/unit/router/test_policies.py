"""Examples of docs/routing-policies.md: requirements, order, choice, preferred agents and overflow. One test for each rule."""

from services.policy.model.routing import Choice, Order, OverflowRule, PickUpTarget, Ring, Selector, Trigger
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState
from services.router.domain.queries.explain import explain
from tests.unit.router.world import World, a_capacity, a_pool, a_queue, all_of, an_agent, at_once, only, requires

SECOND = 1_000
LONG = 10**9


# Requirements


def test_an_or_group_is_met_by_either_member_and_counts_as_its_best_one() -> None:
    either = Selector("", any_of=(requires("french", 4), requires("german", 4)))
    world = World(a_pool(an_agent("a", {"german": 5}), an_agent("b", {"french": 3}), queues=[a_queue()]))
    world.sign_in("b", "a")
    assert at_once(world, "i", requirements=(either,)) == "a"


def test_a_nested_and_group_requires_all_members() -> None:
    both = Selector("", any_of=(Selector("", all_of=(requires("french"), requires("sales"))), requires("vip")))
    world = World(a_pool(an_agent("a", {"french": 5}), an_agent("b", {"vip": 1}), queues=[a_queue()]))
    world.sign_in("a", "b")
    assert at_once(world, "i", requirements=(both,)) == "b"


def test_a_requirement_is_lowered_in_steps_at_their_times() -> None:
    world = World(a_pool(an_agent("a", {"french": 3}), lease_ms=LONG))
    world.sign_in("a")
    world.enqueue("i", requirements=(Selector("french", number=5, steps=((10_000, 4.0), (20_000, 3.0))),))
    world.wait(19_999)
    assert world.offered("i") == ""
    world.wait(1)
    assert world.offered("i") == "a"


def test_rings_drop_lower_and_widen() -> None:
    rings = (Ring(10_000, lower=(("french", 3.0),)), Ring(20_000, drop=("french",)), Ring(30_000, queues=("other",)))
    queues = [a_queue(rings=rings, requirements=(requires("french", 5),)), a_queue("other")]
    agents = (
        an_agent("lower", {"french": 3}, queues=("q",)),
        an_agent("none", queues=("q",)),
        an_agent("other", queues=("other",)),
    )
    world = World(a_pool(*agents, queues=queues, lease_ms=LONG))
    for agent, after in (("lower", 10_000), ("none", 20_000), ("other", 30_000)):
        world.sign_in(agent)
        world.enqueue(agent)
        world.wait(after - 1)
        assert world.offered(agent) == ""
        world.wait(1)
        assert world.offered(agent) == agent
        world.tell(cmd.SetAgentState(agent, AgentState.AWAY))
        world.tell(cmd.CancelInteraction(agent))


def test_relaxed_requirements_stay_relaxed_in_the_next_queue() -> None:
    queues = [a_queue(), a_queue("next")]
    world = World(a_pool(an_agent("a", queues=("next",)), queues=queues))
    world.sign_in("a")
    world.enqueue(
        "i", requirements=(requires("french", expires_after_ms=10_000), requires("sales", expires_after_ms=15_000))
    )
    world.wait(12_000)
    world.tell(cmd.Reroute("i", queue="next"))
    world.wait(2_999)
    assert world.offered("i") == ""
    world.wait(1)
    assert world.offered("i") == "a"


# Order


def test_deadlines_go_before_arrivals() -> None:
    queue = a_queue(order=Order.DEADLINE, pick_up_targets=(PickUpTarget(5_000, tiers=("gold",)), PickUpTarget(60_000)))
    world = World(a_pool(an_agent("a"), queues=[queue]))
    world.enqueue("plain")
    world.wait(SECOND)
    world.enqueue("gold", labels=(("tier", "gold"),))
    world.wait(SECOND)
    world.enqueue("due", due_at_ms=world.now + 1)
    world.sign_in("a")
    assert world.offered("due") == "a"
    world.accept("due")
    world.complete("due")
    assert world.offered("gold") == "a"


def test_a_deadline_set_later_moves_it_forward() -> None:
    world = World(a_pool(an_agent("a"), queues=[a_queue(order=Order.DEADLINE)]))
    world.enqueue("first")
    world.wait(SECOND)
    world.enqueue("second")
    assert world.ask(cmd.Reprioritise("second", 0, due_at_ms=world.now - 5_000)) == ""
    world.sign_in("a")
    assert world.offered("second") == "a"


def test_some_agents_are_kept_free_for_more_urgent_queues() -> None:
    queues = [a_queue("mail", keep_free=1), a_queue("calls", priority=5)]
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=queues))
    world.sign_in("a", "b")
    assert at_once(world, "m1", queue="mail") == "a"
    assert at_once(world, "m2", queue="mail") == ""
    assert explain(world.engine, "m2").excluded[0].reason == "KEPT_FREE"  # type: ignore[union-attr]
    assert at_once(world, "c1", queue="calls") == "b"
    world.accept("m1")
    world.complete("m1")
    assert world.offered("m2") == ""
    world.accept("c1")
    world.complete("c1")
    assert world.offered("m2") == "a"


# Choice


def test_round_robin_ignores_idle_time() -> None:
    world = World(
        a_pool(
            an_agent("a"),
            an_agent("b"),
            an_agent("c"),
            queues=[a_queue(choice=Choice.ROUND_ROBIN)],
            capacity=a_capacity(5),
        )
    )
    world.sign_in("c", "b", "a")
    assert [at_once(world, f"i{n}") for n in range(6)] == ["a", "b", "c", "a", "b", "c"]


def test_adaptive_choice_spares_agents_whom_other_queues_need() -> None:
    queues = [a_queue("plain", choice=Choice.ADAPTIVE), a_queue("busy")]
    world = World(a_pool(an_agent("both"), an_agent("plain", queues=("plain",)), queues=queues, capacity=a_capacity(9)))
    world.sign_in("both")
    for n in range(3):
        world.enqueue(f"b{n}", queue="busy")
    world.wait(SECOND)
    world.sign_in("plain")
    assert at_once(world, "i", queue="plain") == "plain"


# Kept for an agent or a team


def test_a_team_is_asked_first_while_a_member_is_available() -> None:
    queue = a_queue(sticky_team_ms=15_000)
    world = World(a_pool(an_agent("a", team="north"), an_agent("b"), queues=[queue]))
    world.sign_in("b")
    assert at_once(world, "nobody there", preferred_team="north") == "b"
    world.tell(cmd.CancelInteraction("nobody there"))
    world.sign_in("a")
    world.enqueue("busy", preferred_team="north")
    world.accept("busy")
    assert at_once(world, "i", preferred_team="north") == ""
    world.wait(9_000)
    assert world.offered("i") == ""
    world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    assert world.offered("i") == "b"


def test_a_preferred_agent_goes_before_the_last_one() -> None:
    world = World(a_pool(an_agent("last"), an_agent("asked"), queues=[a_queue(sticky_ms=5_000)]))
    world.sign_in("last")
    world.enqueue("before", person_id="p")
    world.accept("before")
    world.complete("before")
    world.sign_in("asked")
    world.enqueue("i", person_id="p", preferred_agent="asked")
    assert world.offered("i") == "asked"


# Overflow


def test_rules_on_length_apply_to_interactions_not_offered_at_once() -> None:
    rule = OverflowRule("long", Trigger.LENGTH, 2, queue="backup", set_priority=10, requirements=(requires("x"),))
    world = World(a_pool(an_agent("a", queues=("q",)), queues=[a_queue(overflow=(rule,)), a_queue("backup")]))
    world.sign_in("a")
    assert at_once(world, "0") == "a"
    for n in (1, 2):
        assert not all_of(world.enqueue(str(n)), fx.Overflowed)
    moved = only(world.enqueue("3"), fx.Overflowed)
    assert (moved.attributes.queue, moved.attributes.priority, moved.attributes.requirements) == (
        "backup",
        10,
        (requires("x"),),
    )
    assert (moved.from_queue, moved.rule, moved.reason) == ("q", "long", "LENGTH")


def test_a_rule_may_cancel_and_no_rule_fires_twice() -> None:
    there = OverflowRule("there", Trigger.WAIT, 10_000, queue="back")
    back = OverflowRule("back", Trigger.WAIT, 10_000, queue="q")
    end = OverflowRule("end", Trigger.WAIT, 30_000, cancel=True)
    world = World(a_pool(queues=[a_queue(overflow=(there, end)), a_queue("back", overflow=(back,))]))
    world.enqueue("i")
    effects = world.wait(120_000)
    assert [e.rule for e in all_of(effects, fx.Overflowed)] == ["there", "back"]
    assert only(effects, fx.Cancelled).reason == "OVERFLOW"
    assert world.engine.core.interactions == {}


def test_a_low_service_level_overflows_new_interactions() -> None:
    rule = OverflowRule("bad", Trigger.SERVICE_LEVEL, 0.5, add_priority=7)
    world = World(a_pool(queues=[a_queue(overflow=(rule,))]))
    world.enqueue("left")
    world.tell(cmd.CustomerLeft("left"))
    assert only(world.enqueue("i"), fx.Overflowed).attributes.priority == 7
