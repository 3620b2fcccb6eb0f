"""Examples of docs/routing-policies.md: capacity, transfers, callbacks, refused commands, explanations. One test for each rule."""

from typing import Any

import pytest

from services.policy.model.routing import CapacityProfile, ChannelCapacity, Choice, OverflowRule, Ring, Trigger
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState
from services.router.domain.queries.explain import explain
from tests.unit.router.world import World, a_pool, a_queue, all_of, an_agent, at_once, only, requires

SECOND = 1_000
LONG = 10**9


# Capacity


def interruptible() -> CapacityProfile:
    """Return a profile in which voice takes the whole capacity and may interrupt e-mail; four e-mails fit."""
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
    assert [e.attributes.interaction_id for e in all_of(effects, fx.Parked)] == ["m2", "m1"]
    assert world.offered("call") == "a"
    assert at_once(world, "m3", channel="email") == ""
    assert "HAS_PARKED_INTERACTION" in {x.reason for x in explain(world.engine, "m3").excluded}  # type: ignore[union-attr]
    world.accept("call")
    effects = world.complete("call")
    assert [e.attributes.interaction_id for e in all_of(effects, fx.Resumed)] == ["m1", "m2"]
    assert world.offered("m3") == "a"


def test_an_unanswered_call_resumes_the_mails() -> None:
    world = World(a_pool(an_agent("a"), capacity=interruptible()))
    world.sign_in("a")
    world.enqueue("mail", channel="email")
    world.accept("mail")
    world.enqueue("call", channel="voice")
    effects = world.wait(10_000)
    assert only(effects, fx.Resumed).attributes.interaction_id == "mail"
    assert world.state("a") is AgentState.NOT_RESPONDING


def test_an_agent_with_a_chat_is_not_interrupted_and_an_idle_agent_goes_first() -> None:
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


def test_a_supervisor_may_exceed_capacity_and_this_is_counted() -> None:
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
    world.enqueue("i", requirements=(requires("french"),))
    assert world.ask(cmd.AssignInteraction("i", "a", picked=True)) == "SKILL_MISSING"
    assert world.ask(cmd.AssignInteraction("i", "b", picked=True)) == "AWAY"
    world.tell(cmd.SetAgentState("b", AgentState.AVAILABLE))
    world.decline("i")
    effects = world.tell(cmd.AssignInteraction("i", "b", picked=True))
    assert only(effects, fx.Assigned).reason == "PICKED"


# Transfers, callbacks, schedules


def test_a_warm_transfer_is_held_until_another_agent_accepts() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b")))
    world.sign_in("a", "b")
    world.holds("a", "i")
    assert world.ask(cmd.TransferInteraction("a", "i", warm=True, labels=(("why", "billing"),))) == ""
    assert world.offered("i") == "b"
    assert world.ask(cmd.RecordReply("a", "i", "r")) == ""
    world.accept("i")
    interaction = world.engine.core.interactions["i"]
    assert (interaction.agent_id, interaction.attributes.labels) == ("b", (("why", "billing"),))
    assert not world.engine.core.agents["a"].held
    transferred = only(world.log, fx.Transferred)
    assert (transferred.from_agent_id, transferred.to_agent_id) == ("a", "b")


def test_a_warm_transfer_goes_on_when_the_transferring_agent_is_lost() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), grace_ms=5_000, lease_ms=5_000))
    world.sign_in("a")
    world.holds("a", "i")
    world.tell(cmd.TransferInteraction("a", "i", warm=True))
    world.wait(10_001)
    world.sign_in("b")
    assert world.offered("i") == "b"
    assert world.engine.core.interactions["i"].agent_id == ""


def test_a_transfer_to_an_agent_waits_for_them_and_then_for_any_agent() -> None:
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
    assert ("callback", "requested") in world.engine.core.interactions["i"].attributes.labels


def test_a_callback_at_a_time_comes_then_and_keeps_its_age() -> None:
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
    assert world.engine.core.interactions["i"].attributes.arrived_at_ms == world.now


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
def test_an_invalid_configuration_is_refused_as_a_whole(broken: dict[str, Any]) -> None:
    world = World(a_pool(an_agent("a")))
    before = world.engine.core.config
    assert world.ask(cmd.ActivateConfiguration(a_pool(queues=[a_queue(**broken)]))) == "INVALID_CONFIGURATION"
    assert world.engine.core.config == before


def test_a_command_for_an_earlier_state_is_refused() -> None:
    world = World(a_pool())
    world.enqueue("i")
    epoch = world.engine.core.interactions["i"].epoch
    assert world.ask(cmd.Reprioritise("i", 1, expected_epoch=epoch)) == ""
    assert world.ask(cmd.Reprioritise("i", 1, expected_epoch=epoch)) == "STALE_EPOCH"


# Explanations


def test_an_explanation_shows_the_lead_of_the_chosen_agent() -> None:
    world = World(a_pool(an_agent("a", {"s": 9}), an_agent("b", {"s": 6}), queues=[a_queue(choice=Choice.SKILL_SCORE)]))
    world.sign_in("b", "a")
    world.enqueue("i", requirements=(requires("s", 3),))
    said = explain(world.engine, "i")
    assert said is not None
    assert "ahead of b by skill_score" in said.summary


def test_an_explanation_of_a_waiting_interaction_names_the_smallest_change() -> None:
    world = World(a_pool(an_agent("a", {"french": 2}), an_agent("b")))
    world.sign_in("a", "b")
    world.enqueue("i", requirements=(requires("french", 3),))
    said = explain(world.engine, "i")
    assert said is not None
    assert [(x.reason, x.detail) for x in said.excluded] == [
        ("SKILL_MISSING", "french >= 3"),
        ("SKILL_TOO_LOW", "french >= 3"),
    ]
    assert "lowered to what a has" in said.smallest_change
