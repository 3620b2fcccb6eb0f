"""Examples of docs/routing-policies.md, a test for each promise that a user would try first."""

from typing import Any

import pytest

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.explain import explain
from services.router.domain.model import (
    AgentState,
    CapacityProfile,
    ChannelCapacity,
    Choice,
    Order,
    OverflowRule,
    PromisedPickUp,
    Ring,
    Selector,
    Trigger,
)
from tests.unit.router.world import World, a_capacity, a_pool, a_queue, all_of, an_agent, needs, only

SECOND = 1_000
LONG = 10**9


def at_once(world: World, interaction_id: str, **facts: Any) -> str:
    """Enqueue, and to whom it is offered at once."""
    world.enqueue(interaction_id, **facts)
    return world.offered(interaction_id)


# Requirements


def test_an_or_group_is_met_by_either_and_counts_as_its_best_member() -> None:
    either = Selector("", any_of=(needs("french", 4), needs("german", 4)))
    world = World(a_pool(an_agent("a", {"german": 5}), an_agent("b", {"french": 3}), queues=[a_queue()]))
    world.sign_in("b", "a")
    assert at_once(world, "i", requirements=(either,)) == "a"


def test_an_and_group_inside_asks_for_all() -> None:
    both = Selector("", any_of=(Selector("", all_of=(needs("french"), needs("sales"))), needs("vip")))
    world = World(a_pool(an_agent("a", {"french": 5}), an_agent("b", {"vip": 1}), queues=[a_queue()]))
    world.sign_in("a", "b")
    assert at_once(world, "i", requirements=(both,)) == "b"


def test_a_requirement_sinks_in_steps_at_their_times() -> None:
    world = World(a_pool(an_agent("a", {"french": 3}), lease_ms=LONG))
    world.sign_in("a")
    world.enqueue("i", requirements=(Selector("french", number=5, steps=((10_000, 4.0), (20_000, 3.0))),))
    world.wait(19_999)
    assert world.offered("i") == ""
    world.wait(1)
    assert world.offered("i") == "a"


def test_rings_drop_lower_and_widen() -> None:
    rings = (Ring(10_000, lower=(("french", 3.0),)), Ring(20_000, drop=("french",)), Ring(30_000, queues=("other",)))
    queues = [a_queue(rings=rings, requirements=(needs("french", 5),)), a_queue("other")]
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


def test_what_has_relaxed_stays_relaxed_in_the_next_queue() -> None:
    queues = [a_queue(), a_queue("next")]
    world = World(a_pool(an_agent("a", queues=("next",)), queues=queues))
    world.sign_in("a")
    world.enqueue("i", requirements=(needs("french", expires_after_ms=10_000), needs("sales", expires_after_ms=15_000)))
    world.wait(12_000)
    world.tell(cmd.Reroute("i", queue="next"))
    world.wait(2_999)
    assert world.offered("i") == ""
    world.wait(1)
    assert world.offered("i") == "a"


# Order


def test_deadlines_go_before_arrivals() -> None:
    queue = a_queue(order=Order.DEADLINE, promises=(PromisedPickUp(5_000, tiers=("gold",)), PromisedPickUp(60_000)))
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


def test_adaptive_queues_tighten_when_they_miss_their_goal_and_only_for_what_arrives_then() -> None:
    promise = (PromisedPickUp(100_000),)
    queues = [
        a_queue("late", order=Order.ADAPTIVE, promises=promise, service_level_ms=1, service_level_goal=0.9),
        a_queue("calm", order=Order.ADAPTIVE, promises=promise, service_level_ms=10**6, service_level_goal=0.9),
    ]
    world = World(a_pool(an_agent("a"), queues=queues))
    world.enqueue("old", queue="calm")
    for turn in range(40):
        world.enqueue(f"l{turn}", queue="late", priority=5)
        world.wait(5_000)
        world.sign_in("a", session=f"s{turn}")
        world.accept(f"l{turn}")
        world.tell(cmd.CloseSession("a", f"s{turn}", signed_out=True))
        world.tell(cmd.CancelInteraction(f"l{turn}"))
    world.enqueue("calm", queue="calm")
    world.wait(SECOND)
    world.enqueue("tight", queue="late")
    world.sign_in("a")
    assert world.offered("old") == "a"
    world.accept("old")
    world.complete("old")
    assert world.offered("tight") == "a"


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


def test_round_robin_goes_round_whoever_is_idle_longest() -> None:
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


def test_adaptive_choice_spares_whom_other_queues_need() -> None:
    queues = [a_queue("plain", choice=Choice.ADAPTIVE), a_queue("busy")]
    world = World(a_pool(an_agent("both"), an_agent("plain", queues=("plain",)), queues=queues, capacity=a_capacity(9)))
    world.sign_in("both")
    for n in range(3):
        world.enqueue(f"b{n}", queue="busy")
    world.wait(SECOND)
    world.sign_in("plain")
    assert at_once(world, "i", queue="plain") == "plain"


# Capacity


def interruptible() -> CapacityProfile:
    """Voice takes everything and may interrupt e-mail; four e-mails fit."""
    voice = ChannelCapacity("voice", 100, exclusive=True, interrupts=("email",))
    return CapacityProfile("", 100, (voice, ChannelCapacity("email", 25), ChannelCapacity("chat", 50)), 0)


def test_a_call_parks_mails_and_they_resume_before_anything_new() -> None:
    world = World(a_pool(an_agent("a"), capacity=interruptible()))
    world.sign_in("a")
    for name in ("m1", "m2"):
        world.enqueue(name, channel="email")
        world.wait(SECOND)
        world.accept(name)
    effects = world.enqueue("call", channel="voice")
    assert [e.facts.interaction_id for e in all_of(effects, fx.Parked)] == ["m2", "m1"]
    assert world.offered("call") == "a"
    assert at_once(world, "m3", channel="email") == ""
    assert "HAS_PARKED_WORK" in {x.reason for x in explain(world.engine, "m3").excluded}  # type: ignore[union-attr]
    world.accept("call")
    effects = world.complete("call")
    assert [e.facts.interaction_id for e in all_of(effects, fx.Resumed)] == ["m1", "m2"]
    assert world.offered("m3") == "a"


def test_an_unanswered_call_gives_the_mails_back() -> None:
    world = World(a_pool(an_agent("a"), capacity=interruptible()))
    world.sign_in("a")
    world.enqueue("mail", channel="email")
    world.accept("mail")
    world.enqueue("call", channel="voice")
    effects = world.wait(10_000)
    assert only(effects, fx.Resumed).facts.interaction_id == "mail"
    assert world.state("a") is AgentState.NOT_RESPONDING


def test_who_holds_a_chat_is_not_interrupted_and_an_idle_agent_goes_before_one_who_is() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), capacity=interruptible()))
    world.sign_in("a")
    world.enqueue("mail", channel="email")
    world.accept("mail")
    world.sign_in("b")
    assert at_once(world, "call", channel="voice") == "b"
    world.accept("call")
    world.enqueue("chat", channel="chat")
    assert world.offered("chat") == "a"
    assert at_once(world, "second", channel="voice") == ""


def test_the_occupancy_limit_makes_an_agent_rest() -> None:
    profile = CapacityProfile("", 1, occupancy_limit=0.5, occupancy_window_ms=20_000)
    world = World(a_pool(an_agent("a"), capacity=profile, lease_ms=LONG))
    world.sign_in("a")
    world.enqueue("i")
    world.accept("i")
    world.wait(30_000)
    world.complete("i")
    assert at_once(world, "next") == ""
    assert explain(world.engine, "next").excluded[0].reason == "RESTING"  # type: ignore[union-attr]
    world.wait(10_000)
    assert world.offered("next") == ""
    world.wait(2)
    assert world.offered("next") == "a"


def test_a_supervisor_may_force_work_over_capacity_and_it_is_counted() -> None:
    world = World(a_pool(an_agent("a")))
    world.sign_in("a")
    world.holds("a", "i")
    world.enqueue("j")
    assert world.ask(cmd.AssignInteraction("j", "a")) == "NO_CAPACITY"
    effects = world.tell(cmd.AssignInteraction("j", "a", force=True))
    assert only(effects, fx.Assigned).over_capacity
    assert only(effects, fx.Assigned).reason == "FORCED"
    world.complete("i")
    assert at_once(world, "k") == ""
    world.complete("j")
    assert world.offered("k") == "a"


def test_an_agent_picks_from_the_queue_under_the_same_conditions() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b", {"french": 1})))
    world.sign_in("a", "b")
    world.tell(cmd.SetAgentState("b", AgentState.AWAY))
    world.enqueue("i", requirements=(needs("french"),))
    assert world.ask(cmd.AssignInteraction("i", "a", picked=True)) == "SKILL_MISSING"
    assert world.ask(cmd.AssignInteraction("i", "b", picked=True)) == "AWAY"
    world.tell(cmd.SetAgentState("b", AgentState.AVAILABLE))
    world.decline("i")
    effects = world.tell(cmd.AssignInteraction("i", "b", picked=True))
    assert only(effects, fx.Assigned).reason == "PICKED"


# Kept for somebody


def test_a_team_is_asked_before_anyone_while_one_of_it_is_there() -> None:
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


def test_rules_on_length_are_asked_of_what_is_not_offered_at_once() -> None:
    rule = OverflowRule("long", Trigger.LENGTH, 2, queue="backup", set_priority=10, requirements=(needs("x"),))
    world = World(a_pool(an_agent("a", queues=("q",)), queues=[a_queue(overflow=(rule,)), a_queue("backup")]))
    world.sign_in("a")
    assert at_once(world, "0") == "a"
    for n in (1, 2):
        assert not all_of(world.enqueue(str(n)), fx.Overflowed)
    moved = only(world.enqueue("3"), fx.Overflowed)
    assert (moved.facts.queue, moved.facts.priority, moved.facts.requirements) == ("backup", 10, (needs("x"),))
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
    assert world.engine.core.works == {}


def test_a_low_service_level_overflows_newcomers() -> None:
    rule = OverflowRule("bad", Trigger.SERVICE_LEVEL, 0.5, add_priority=7)
    world = World(a_pool(queues=[a_queue(overflow=(rule,))]))
    world.enqueue("left")
    world.tell(cmd.CustomerLeft("left"))
    assert only(world.enqueue("i"), fx.Overflowed).facts.priority == 7


# Transfers, callbacks, schedules


def test_a_warm_transfer_is_held_until_somebody_accepts() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b")))
    world.sign_in("a", "b")
    world.holds("a", "i")
    assert world.ask(cmd.TransferInteraction("a", "i", warm=True, labels=(("why", "billing"),))) == ""
    assert world.offered("i") == "b"
    assert world.ask(cmd.RecordReply("a", "i", "r")) == ""
    world.accept("i")
    work = world.engine.core.works["i"]
    assert (work.agent_id, work.facts.labels) == ("b", (("why", "billing"),))
    assert not world.engine.core.agents["a"].held
    transferred = only(world.log, fx.Transferred)
    assert (transferred.from_agent_id, transferred.to_agent_id) == ("a", "b")


def test_a_warm_transfer_goes_on_without_a_giver_who_is_lost() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), grace_ms=5_000, lease_ms=5_000))
    world.sign_in("a")
    world.holds("a", "i")
    world.tell(cmd.TransferInteraction("a", "i", warm=True))
    world.wait(10_001)
    world.sign_in("b")
    assert world.offered("i") == "b"
    assert world.engine.core.works["i"].agent_id == ""


def test_work_handed_to_an_agent_waits_for_him_and_then_for_anybody() -> None:
    world = World(
        a_pool(an_agent("a"), an_agent("b"), an_agent("c"), queues=[a_queue(transfer_hold_ms=60_000)], lease_ms=LONG)
    )
    world.sign_in("a", "b")
    world.holds("a", "i")
    world.holds("b", "j")
    assert world.ask(cmd.TransferInteraction("a", "i", to_agent_id="b")) == ""
    world.sign_in("c")
    world.wait(59_999)
    assert world.offered("i") == ""
    world.wait(1)
    assert world.offered("i") == "c"


def test_a_callback_keeps_its_place_though_the_customer_hangs_up() -> None:
    world = World(a_pool(an_agent("a")))
    world.enqueue("i")
    world.enqueue("j")
    assert world.ask(cmd.RequestCallback("i")) == ""
    assert world.ask(cmd.CustomerLeft("i")) == "CALLBACK_REQUESTED"
    world.sign_in("a")
    assert world.offered("i") == "a"
    assert ("callback", "requested") in world.engine.core.works["i"].facts.labels


def test_a_callback_at_a_time_comes_then_and_is_as_old_as_it_is() -> None:
    world = World(a_pool(an_agent("a")))
    world.enqueue("i")
    world.wait(SECOND)
    world.enqueue("j")
    at = world.now + 20_000
    assert only(world.tell(cmd.RequestCallback("i", at)), fx.Scheduled).start_at_ms == at
    world.wait(20_000)
    world.sign_in("a")
    assert world.offered("i") == "a"


def test_a_schedule_counts_its_age_from_its_start() -> None:
    world = World(a_pool(an_agent("a")))
    world.enqueue("i", start_at_ms=world.now + 10_000)
    world.wait(5_000)
    world.enqueue("j")
    world.wait(5_000)
    world.sign_in("a")
    assert world.offered("j") == "a"
    assert world.engine.core.works["i"].facts.arrived_at_ms == world.now


# Refusals


@pytest.mark.parametrize(
    "broken",
    [
        {"ageing_per_minute": float("nan")},
        {"offer_ms": 0},
        {"wrap_up_ms": -1},
        {"rings": (Ring(-1),)},
        {"overflow": (OverflowRule("r", Trigger.WAIT, float("inf")),)},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_whole(broken: dict[str, Any]) -> None:
    world = World(a_pool(an_agent("a")))
    before = world.engine.core.config
    assert world.ask(cmd.ActivateConfiguration(a_pool(queues=[a_queue(**broken)]))) == "INVALID_CONFIGURATION"
    assert world.engine.core.config == before


def test_a_command_meant_for_an_earlier_state_is_refused() -> None:
    world = World(a_pool())
    world.enqueue("i")
    epoch = world.engine.core.works["i"].epoch
    assert world.ask(cmd.Reprioritise("i", 1, expected_epoch=epoch)) == ""
    assert world.ask(cmd.Reprioritise("i", 1, expected_epoch=epoch)) == "STALE_EPOCH"


# Explanations


def test_an_explanation_says_by_how_much_the_winner_was_ahead() -> None:
    world = World(a_pool(an_agent("a", {"s": 9}), an_agent("b", {"s": 6}), queues=[a_queue(choice=Choice.SKILL_SCORE)]))
    world.sign_in("b", "a")
    world.enqueue("i", requirements=(needs("s", 3),))
    said = explain(world.engine, "i")
    assert said is not None
    assert "ahead of b by skill_score" in said.summary


def test_an_explanation_of_what_waits_names_the_smallest_change() -> None:
    world = World(a_pool(an_agent("a", {"french": 2}), an_agent("b")))
    world.sign_in("a", "b")
    world.enqueue("i", requirements=(needs("french", 3),))
    said = explain(world.engine, "i")
    assert said is not None
    assert [(x.reason, x.detail) for x in said.excluded] == [
        ("SKILL_MISSING", "french >= 3"),
        ("SKILL_TOO_LOW", "french >= 3"),
    ]
    assert "lowered to what a has" in said.smallest_change
