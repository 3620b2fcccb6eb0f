"""Commands about configuration, repetitions and offers, and their refusals; events and selectors. One rule for each test."""

from dataclasses import replace

import pytest

from services.policy.model.routing import Operator, PoolConfig, Selector
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState, InteractionAttributes, OfferEnd
from tests.unit.router.world import (
    GATEWAY,
    World,
    a_pool,
    a_queue,
    all_of,
    an_agent,
    notices,
    only,
    requires,
)

FOREVER = 10**9


# Configuration


def test_before_any_configuration_interactions_wait_and_nothing_is_lost() -> None:
    """They are queued with a reason, and offered as soon as there is a configuration and an agent."""
    world = World()
    queued = only(world.enqueue("early", queue="q"), fx.Queued)
    assert queued.reason == "NO_CONFIGURATION"
    assert world.ask(cmd.SignIn("a", "s", reply_to=GATEWAY)) == "NO_CONFIGURATION"
    world.tell(cmd.ActivateConfiguration(a_pool(an_agent("a"))))
    world.sign_in("a")
    assert world.offered("early") == "a"


def test_an_unknown_queue_becomes_the_pools_first(world: World) -> None:
    """The interaction is never dropped: it is queued in the first queue with the reason UNKNOWN_QUEUE."""
    queued = only(world.enqueue("lost", queue="nowhere"), fx.Queued)
    assert (queued.attributes.queue, queued.reason) == ("q", "UNKNOWN_QUEUE")
    assert world.offered("lost") == "a"


def test_an_older_configuration_is_refused_and_the_same_one_changes_nothing(world: World) -> None:
    """Versions never decrease."""
    assert world.config is not None
    assert world.ask(cmd.ActivateConfiguration(PoolConfig(0))) == "STALE_CONFIGURATION"
    assert all_of(world.tell(cmd.ActivateConfiguration(world.config)), fx.Offered) == []


def test_a_removed_queue_passes_its_interactions_to_the_first(world: World) -> None:
    """Interactions that waited in it are queued again."""
    world.holds("a", "busy")
    world.enqueue("job", queue="other")
    assert world.config is not None
    dropped = replace(world.config, version=2, queues=(a_queue(),))
    queued = only(world.tell(cmd.ActivateConfiguration(dropped)), fx.Queued)
    assert (queued.attributes.queue, queued.reason, queued.again) == ("q", "QUEUE_REMOVED", True)


def test_more_capacity_or_another_skill_serves_waiting_interactions_at_once(world: World) -> None:
    """Activation and UpsertAgent are followed by offers."""
    world.enqueue("job", requirements=(requires("persian", 5),))
    assert world.offered("job") == ""
    world.tell(cmd.UpsertAgent(an_agent("a", {"persian": 7})))
    assert world.offered("job") == "a"


# Repetitions


def test_the_same_command_again_changes_nothing_and_has_the_same_result(world: World) -> None:
    """This also holds for a command that was refused."""
    enqueue = cmd.Enqueue(InteractionAttributes("i", "c", queue="q", channel="chat"), command_id="once")
    assert only(world.tell(enqueue), fx.Result).ok
    again = world.tell(enqueue)
    assert (len(again), only(again, fx.Result).ok, only(again, fx.Result).repeated) == (1, True, True)
    refused = cmd.AcceptOffer("a", "nothing.1", command_id="refused")
    assert [world.ask(refused), world.ask(refused)] == ["UNKNOWN_OFFER", "UNKNOWN_OFFER"]


def test_an_interaction_that_is_open_is_not_opened_twice(world: World) -> None:
    """Another command for the same interaction is refused."""
    world.enqueue("i")
    assert only(world.enqueue("i"), fx.Result).reason == "ALREADY_OPEN"


# Offers


def test_only_the_agent_who_was_offered_may_answer(world: World) -> None:
    """Another agent gets NOT_YOURS."""
    world.sign_in("b")
    world.enqueue("i")
    offer_id = only(world.log, fx.Offered).offer_id
    assert world.ask(cmd.AcceptOffer("b", offer_id)) == "NOT_YOURS"


def test_an_answer_that_comes_too_late_gets_the_reason(world: World) -> None:
    """The offer has expired, was revoked, or its interaction is closed."""
    world.enqueue("i")
    first = only(world.log, fx.Offered).offer_id
    world.wait(10_000)
    assert world.ask(cmd.AcceptOffer("a", first)) == "OFFER_EXPIRED"
    world.tell(cmd.SetAgentState("a", AgentState.AVAILABLE))
    second = all_of(world.log, fx.Offered)[-1].offer_id
    world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    assert world.ask(cmd.AcceptOffer("a", second)) == "OFFER_REVOKED"
    world.tell(cmd.CustomerLeft("i"))
    assert world.ask(cmd.AcceptOffer("a", second)) == "UNKNOWN_OFFER"


def test_going_away_revokes_offers_and_offers_them_to_others(world: World) -> None:
    """The interaction waits again at its place and is offered to the next agent at once."""
    world.sign_in("b")
    world.enqueue("i")
    effects = world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    assert only(effects, fx.OfferEnded).end is OfferEnd.REVOKED
    assert world.offered("i") == "b"
    assert fx.RevokedNotice(only(effects, fx.OfferEnded).offer_id, "AGENT") in notices(effects, "a")


@pytest.mark.parametrize(
    ("selector", "yes"),
    [
        (requires("persian", 5), True),
        (requires("persian", 6), False),
        (requires("persian", 5, Operator.EQUAL), True),
        (requires("persian", 5, Operator.NOT_EQUAL), False),
        (requires("french", 5, Operator.NOT_EQUAL), True),
        (requires("persian", 5, Operator.LESS), False),
        (requires("persian", 5, Operator.AT_MOST), True),
        (requires("persian", 4, Operator.GREATER), True),
        (requires("persian", 5, Operator.GREATER), False),
        (requires("persian", 0, Operator.HAS), True),
        (requires("city", 0, Operator.HAS), True),
        (requires("french", 0, Operator.HAS), False),
        (requires("city", 0, Operator.IN, texts=("qom", "tehran")), True),
        (requires("city", 0, Operator.IN, texts=("qom",)), False),
        (requires("city", 0, Operator.EQUAL, text="tehran"), True),
        (requires("city", 0, Operator.NOT_EQUAL, text="tehran"), False),
        (requires("persian", 5, Operator.UNSPECIFIED), True),
    ],
)
def test_selectors(selector: Selector, yes: bool) -> None:
    """The agent has persian 5 and city tehran."""
    world = World(a_pool(an_agent("a", {"persian": 5, "city=tehran": 1})))
    world.sign_in("a")
    world.enqueue("i", requirements=(selector,))
    assert bool(world.offered("i")) is yes


def test_every_event_has_a_reason_and_the_next_number(world: World) -> None:
    """Epochs of one interaction count from 1 without a gap."""
    world.enqueue("i")
    world.decline("i", retry_after_ms=1_000)
    world.wait(1_000)
    world.accept("i")
    world.tell(cmd.TransferInteraction("a", "i", queue="other"))
    world.sign_in("b")
    world.accept("i")
    world.complete("i")
    events = [e for e in world.log if isinstance(e, fx.Event) and e.attributes.interaction_id == "i"]
    assert [event.epoch for event in events] == list(range(1, len(events) + 1))
    assert all(event.reason for event in events)
