"""Refusals and their reason codes in each state; bounds at their last valid and first invalid value."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.policy.model.routing import (
    CapacityProfile,
    ChannelCapacity,
    OverflowRule,
    PoolConfig,
    QueueConfig,
    Trigger,
)
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState, Stage
from tests.unit.router.world import GATEWAY, World, a_capacity, a_pool, a_queue, all_of, an_agent, only, requires

LONG = 10**9
YEAR = 366 * 86_400_000
WEEK = 7 * 86_400_000
MOST = 1_000_000


def floor() -> World:
    """`held` is assigned to a, `wrap` is in wrap-up with b, `waiting` waits, `later` is scheduled; c has never signed in."""
    queues = [a_queue(wrap_up_ms=60_000), a_queue("other")]
    world = World(a_pool(an_agent("a"), an_agent("b"), an_agent("c"), queues=queues, lease_ms=LONG))
    world.sign_in("b")
    world.holds("b", "wrap")
    world.complete("wrap")
    world.sign_in("a")
    world.holds("a", "held")
    world.enqueue("waiting")
    world.enqueue("later", start_at_ms=world.now + 60_000)
    return world


ABOUT: dict[str, Callable[[str], cmd.Command]] = {
    "update": lambda i: cmd.UpdateInteraction(i, (("a", "b"),)),
    "message": lambda i: cmd.CustomerMessaged(i, "m"),
    "left": cmd.CustomerLeft,
    "cancel": cmd.CancelInteraction,
    "reply": lambda i: cmd.RecordReply("a", i, "r"),
    "complete": lambda i: cmd.CompleteInteraction("a", i),
    "end": lambda i: cmd.EndWrapUp("a", i),
    "transfer": lambda i: cmd.TransferInteraction("a", i, "other"),
    "order": lambda i: cmd.TransferInteraction("", i, "other"),
    "warm": lambda i: cmd.TransferInteraction("a", i, "other", warm=True),
    "recall": lambda i: cmd.RecallTransfer("a", i),
    "reroute": lambda i: cmd.Reroute(i, "other"),
    "raise": lambda i: cmd.Reprioritise(i, 1),
    "assign": lambda i: cmd.AssignInteraction(i, "c"),
    "callback": cmd.RequestCallback,
}
SAID = {
    "update": ("UNKNOWN_INTERACTION", "", "", "", ""),
    "message": ("UNKNOWN_INTERACTION", "", "INTERACTION_COMPLETED", "", ""),
    "left": ("UNKNOWN_INTERACTION", "", "INTERACTION_COMPLETED", "", ""),
    "cancel": ("UNKNOWN_INTERACTION", "", "INTERACTION_COMPLETED", "", ""),
    "reply": ("UNKNOWN_INTERACTION", "", "NOT_YOURS", "NOT_ASSIGNED", "NOT_ASSIGNED"),
    "complete": ("UNKNOWN_INTERACTION", "", "NOT_YOURS", "NOT_ASSIGNED", "NOT_ASSIGNED"),
    "end": ("UNKNOWN_INTERACTION", "NOT_WRAPPING_UP", "NOT_YOURS", "NOT_WRAPPING_UP", "NOT_WRAPPING_UP"),
    "transfer": ("UNKNOWN_INTERACTION", "", "INTERACTION_COMPLETED", "NOT_ASSIGNED", "NOT_ASSIGNED"),
    "order": ("UNKNOWN_INTERACTION", "", "INTERACTION_COMPLETED", "", ""),
    "warm": ("UNKNOWN_INTERACTION", "", "INTERACTION_COMPLETED", "NOT_ASSIGNED", "NOT_ASSIGNED"),
    "recall": ("UNKNOWN_INTERACTION", "NOT_HANDED_ON", "NOT_YOURS", "NOT_ASSIGNED", "NOT_ASSIGNED"),
    "reroute": ("UNKNOWN_INTERACTION", "", "INTERACTION_COMPLETED", "", ""),
    "raise": ("UNKNOWN_INTERACTION", "", "INTERACTION_COMPLETED", "", ""),
    "assign": (
        "UNKNOWN_INTERACTION",
        "NOT_WAITING",
        "INTERACTION_COMPLETED",
        "AGENT_NOT_SIGNED_IN",
        "AGENT_NOT_SIGNED_IN",
    ),
    "callback": ("UNKNOWN_INTERACTION", "NOT_WAITING", "NOT_WAITING", "", "NOT_WAITING"),
}
STATES = ("unknown", "held", "wrap", "waiting", "later")


@pytest.mark.parametrize(("what", "place"), [(what, n) for what in ABOUT for n in range(5)])
def test_each_command_is_accepted_or_refused_by_the_interactions_state(what: str, place: int) -> None:
    """The states are: unknown, held by `a`, in wrap-up with another agent, waiting, scheduled."""
    world = floor()
    result = only(world.tell(ABOUT[what](STATES[place])), fx.Result)
    assert (result.reason, result.ok) == (SAID[what][place], not SAID[what][place])


def test_in_wrap_up_the_agents_commands_get_interaction_completed() -> None:
    world = floor()
    assert world.ask(cmd.RecordReply("b", "wrap", "r")) == "INTERACTION_COMPLETED"
    assert world.ask(cmd.CompleteInteraction("b", "wrap")) == "INTERACTION_COMPLETED"
    assert world.ask(cmd.EndWrapUp("b", "wrap")) == ""
    assert world.ask(cmd.EndWrapUp("b", "wrap")) == "UNKNOWN_INTERACTION"


def test_targets_of_transfers_and_assignments() -> None:
    """A target agent must be present, another agent, and able to take the channel with an empty load; a target queue must exist."""
    no_chat = CapacityProfile("mail", 1, (ChannelCapacity("mail", 1),), 0)
    agents = (an_agent("a"), an_agent("b"), an_agent("m", capacity_profile="mail"), an_agent("off"))
    queues = [a_queue(), a_queue("other")]
    world = World(a_pool(*agents, queues=queues, capacity=[a_capacity(1, "one"), no_chat], lease_ms=LONG))
    world.sign_in("a")
    world.holds("a", "i")
    world.sign_in("m", "b")
    world.tell(cmd.SetAgentState("b", AgentState.AWAY))
    asked = [world.ask(cmd.TransferInteraction("a", "i", to_agent_id=to)) for to in ("x", "a", "off", "b", "m")]
    assert asked == ["UNKNOWN_AGENT", "SAME_AGENT", "AGENT_NOT_AVAILABLE", "AGENT_NOT_AVAILABLE", "CHANNEL_NOT_SERVED"]
    assert world.ask(cmd.TransferInteraction("a", "i", "gone")) == "UNKNOWN_QUEUE"
    assert world.ask(cmd.TransferInteraction("b", "i", "other")) == "NOT_YOURS"
    assert world.ask(cmd.TransferInteraction("", "i", "other", warm=True)) == "NOT_YOURS"
    assert world.ask(cmd.Reroute("i", "gone")) == "UNKNOWN_QUEUE"
    world.tell(cmd.SetAgentState("b", AgentState.AVAILABLE))
    world.tell(cmd.CloseSession("b", "s-b"))
    assert world.ask(cmd.TransferInteraction("a", "i", to_agent_id="b")) == "AGENT_NOT_AVAILABLE"
    world.enqueue("j")
    assert world.ask(cmd.AssignInteraction("j", "x")) == "UNKNOWN_AGENT"
    assert world.ask(cmd.AssignInteraction("j", "off", force=True)) == "AGENT_NOT_SIGNED_IN"
    assert world.ask(cmd.AssignInteraction("j", "m")) == "CHANNEL_NOT_SERVED"
    assert world.ask(cmd.AssignInteraction("j", "b")) == "CONNECTION_LOST"
    assert world.ask(cmd.AssignInteraction("j", "a")) == "NO_CAPACITY"


def test_a_warm_transfer_is_made_once_and_not_of_a_parked_interaction() -> None:
    voice = ChannelCapacity("voice", 2, exclusive=True, interrupts=("mail",))
    world = World(a_pool(an_agent("a"), an_agent("b"), capacity=CapacityProfile("", 2, (voice,), 1), lease_ms=LONG))
    world.sign_in("a")
    world.enqueue("mail", channel="mail")
    world.accept("mail")
    world.enqueue("call", channel="voice")
    assert world.ask(cmd.TransferInteraction("a", "mail", warm=True)) == "PARKED"
    world.accept("call")
    assert world.ask(cmd.TransferInteraction("a", "call", warm=True)) == ""
    assert world.ask(cmd.TransferInteraction("a", "call", warm=True)) == "ALREADY_HANDED_ON"
    assert world.ask(cmd.RequestCallback("call")) == "NOT_WAITING"
    assert world.ask(cmd.AssignInteraction("call", "a")) == "NOT_WAITING"
    assert world.ask(cmd.RecallTransfer("b", "call")) == "NOT_YOURS"
    assert world.ask(cmd.RecallTransfer("a", "call")) == ""
    assert world.ask(cmd.RecallTransfer("a", "call")) == "NOT_HANDED_ON"


def test_before_any_configuration() -> None:
    world = World()
    queued = only(world.enqueue("i"), fx.Queued)
    assert (queued.reason, queued.position) == ("NO_CONFIGURATION", 0)
    assert (queued.estimated_wait_ms, queued.estimated_p90_ms) == (-1, -1)
    assert world.engine.core.interactions["i"].announced == (-1, -1)
    for command, reason in (
        (cmd.SignIn("a", "s", reply_to=GATEWAY), "NO_CONFIGURATION"),
        (cmd.SetAgentState("a", AgentState.AWAY), "NO_CONFIGURATION"),
        (cmd.UpsertAgent(an_agent("a")), "NO_CONFIGURATION"),
        (cmd.TransferInteraction("", "i", "q"), "UNKNOWN_QUEUE"),
        (cmd.Reroute("i", "q"), "UNKNOWN_QUEUE"),
        (cmd.AssignInteraction("i", "a"), "UNKNOWN_AGENT"),
        (cmd.CloseSession("a", "s"), "UNKNOWN_SESSION"),
        (cmd.GrantCredits("a", "s", 1), "UNKNOWN_SESSION"),
        (cmd.Reprioritise("i", 1), ""),
        (cmd.RequestCallback("i"), ""),
        (cmd.RenewLeases(("s",)), ""),
    ):
        assert world.ask(command) == reason, command
    assert only(world.tell(cmd.CancelInteraction("i")), fx.Cancelled).reason == "CANCELLED"


def test_unknown_agents_and_sessions_are_refused() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), lease_ms=LONG))
    world.sign_in("a", "b")
    for command, reason in (
        (cmd.SignIn("x", "s", reply_to=GATEWAY), "UNKNOWN_AGENT"),
        (cmd.SignIn("a", "s"), "NO_GATEWAY"),
        (cmd.CloseSession("a", "s-b"), "UNKNOWN_SESSION"),
        (cmd.CloseSession("b", "s-b", signed_out=True), ""),
        (cmd.CloseSession("b", "s-b"), "UNKNOWN_SESSION"),
        (cmd.GrantCredits("a", "s-b", 1), "UNKNOWN_SESSION"),
        (cmd.GrantCredits("b", "s-a", 1), "UNKNOWN_SESSION"),
        (cmd.GrantCredits("a", "s-a", 1), ""),
        (cmd.SetAgentState("x", AgentState.AWAY), "UNKNOWN_AGENT"),
        (cmd.SetAgentState("b", AgentState.AWAY), "AGENT_NOT_SIGNED_IN"),
        (cmd.SetAgentState("b", AgentState.OFFLINE), ""),
        (cmd.SetAgentState("a", AgentState.UNSPECIFIED), "INVALID_STATE"),
        (cmd.SetAgentState("a", AgentState.NOT_RESPONDING), "INVALID_STATE"),
        (cmd.SetAgentState("a", AgentState.OFFLINE), ""),
        (cmd.UpsertAgent(an_agent("")), "UNKNOWN_AGENT"),
        (cmd.AcceptOffer("a", "i"), "UNKNOWN_OFFER"),
        (cmd.DeclineOffer("a", "i.1"), "UNKNOWN_OFFER"),
    ):
        assert world.ask(command) == reason, command


def test_answers_to_ended_offers_are_refused() -> None:
    """The engine remembers how the newest eight ended; an offer of another agent is never revealed."""
    world = World(a_pool(an_agent("a"), an_agent("b"), lease_ms=LONG))
    world.sign_in("a")
    world.enqueue("i")
    offers = [world.engine.core.interactions["i"].offer.offer_id]  # type: ignore[union-attr]
    for _ in range(9):
        world.decline("i", retry_after_ms=1)
        world.wait(1)
        offers.append(world.engine.core.interactions["i"].offer.offer_id)  # type: ignore[union-attr]
    answers = [world.ask(cmd.AcceptOffer("a", offer_id)) for offer_id in offers[:-1]]
    assert answers == ["UNKNOWN_OFFER", *["OFFER_DECLINED"] * 8]
    assert world.ask(cmd.AcceptOffer("b", offers[-2])) == "NOT_YOURS"
    assert world.ask(cmd.AcceptOffer("b", offers[-1])) == "NOT_YOURS"
    assert world.ask(cmd.AcceptOffer("a", offers[-1])) == ""
    assert world.ask(cmd.DeclineOffer("a", offers[-1])) == "OFFER_ALREADY_ACCEPTED"


def test_an_expected_epoch_is_checked_when_it_is_set() -> None:
    world = World(a_pool())
    world.enqueue("i")
    assert world.ask(cmd.Reprioritise("i", 1, expected_epoch=2)) == "STALE_EPOCH"
    assert world.ask(cmd.Reprioritise("x", 1, expected_epoch=2)) == "UNKNOWN_INTERACTION"
    assert world.ask(cmd.Reprioritise("i", 1, expected_epoch=1)) == ""
    assert world.ask(cmd.Reprioritise("i", 1)) == ""
    assert world.ask(cmd.UpsertAgent(an_agent("a"), expected_epoch=9)) == ""


# Bounds


def test_priorities_stay_within_a_million() -> None:
    """This holds for new interactions, for changed priorities, and for rules that add to them."""
    world = World(a_pool())
    for name, asked, kept in (("a", MOST, MOST), ("b", MOST + 1, MOST), ("c", -MOST - 1, -MOST), ("d", -MOST, -MOST)):
        assert only(world.enqueue(name, priority=asked), fx.Queued).attributes.priority == kept
    assert only(world.tell(cmd.Reprioritise("a", 1)), fx.Changed).attributes.priority == MOST
    assert only(world.tell(cmd.Reprioritise("a", -2)), fx.Changed).attributes.priority == MOST - 2
    assert only(world.tell(cmd.Reprioritise("c", -1)), fx.Changed).attributes.priority == -MOST
    assert only(world.tell(cmd.Reprioritise("c", 1)), fx.Changed).attributes.priority == 1 - MOST


@pytest.mark.parametrize(
    ("own", "rule", "kept"),
    [
        *(
            (MOST - 1, {"add_priority": 1}, MOST),
            (MOST, {"add_priority": 1}, MOST),
            (0, {"set_priority": MOST + 9}, MOST),
        ),
        *((1 - MOST, {"add_priority": -1}, -MOST), (-MOST, {"add_priority": -1}, -MOST), (5, {"set_priority": 0}, 0)),
    ],
)
def test_a_rule_stays_within_the_same_million(own: int, rule: dict[str, int], kept: int) -> None:
    rules = (replace(OverflowRule("r", Trigger.LENGTH, 0), **rule),)  # type: ignore[arg-type]
    world = World(a_pool(queues=[a_queue(overflow=rules)]))
    assert only(world.enqueue("i", priority=own), fx.Overflowed).attributes.priority == kept


def test_an_agent_cannot_pick_when_all_are_kept_free() -> None:
    """The agent counts too: with one kept free, the only agent may not pick, one of two may. A supervisor's assignment does not check it."""
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(keep_free=1)], lease_ms=LONG))
    world.sign_in("a")
    world.enqueue("i")
    assert world.offered("i") == ""
    assert world.ask(cmd.AssignInteraction("i", "a", picked=True)) == "KEPT_FREE"
    assert world.ask(cmd.AssignInteraction("i", "a")) == ""
    world.complete("i")
    world.sign_in("b")
    world.enqueue("j")
    assert world.offered("j") == "a"
    assert world.ask(cmd.AssignInteraction("j", "b", picked=True)) == "KEPT_FREE"
    assert world.ask(cmd.AssignInteraction("j", "a", picked=True)) == ""


@pytest.mark.parametrize("able", [1, 2, 3])
def test_no_free_agent_picks_up_to_the_number_kept_free(able: int) -> None:
    world = World(a_pool(*(an_agent(name) for name in "abc"), queues=[a_queue(keep_free=able)], lease_ms=LONG))
    world.sign_in(*"abc"[:able])
    world.enqueue("i")
    assert world.offered("i") == ""
    assert world.ask(cmd.AssignInteraction("i", "a", picked=True)) == "KEPT_FREE"


def test_an_arrival_in_the_future_or_without_a_time_is_now() -> None:
    world = World(a_pool())
    for name, asked, kept in (("a", 0, 0), ("b", 1, 1), ("c", -1, 0), ("d", world.now, 0), ("e", world.now + 1, 0)):
        attributes = only(world.enqueue(name, arrived_at_ms=asked), fx.Queued).attributes
        assert attributes.arrived_at_ms == (kept or world.now)


def test_schedules_and_callbacks_lie_within_a_year() -> None:
    """A start time in the past is not a schedule; a callback too far ahead is refused, a start is moved to the limit."""
    world = World(a_pool())
    assert only(world.enqueue("now", start_at_ms=world.now), fx.Queued).attributes.start_at_ms == 0
    for name, asked in (("year", YEAR), ("more", YEAR + 1)):
        scheduled = only(world.enqueue(name, start_at_ms=world.now + asked), fx.Scheduled)
        assert (scheduled.start_at_ms, scheduled.attributes.arrived_at_ms) == (world.now + YEAR, world.now + YEAR)
    world.enqueue("i")
    assert world.ask(cmd.RequestCallback("i", world.now + YEAR + 1)) == "TOO_FAR_AHEAD"
    assert all_of(world.tell(cmd.RequestCallback("i", world.now)), fx.Scheduled) == []
    assert only(world.tell(cmd.RequestCallback("i", world.now + YEAR)), fx.Scheduled).start_at_ms == world.now + YEAR


def test_a_retry_is_at_most_a_week_away() -> None:
    world = World(a_pool(an_agent("a"), lease_ms=2 * WEEK))
    world.sign_in("a")
    world.enqueue("i")
    world.decline("i", retry_after_ms=WEEK + 1)
    world.wait(WEEK - 1)
    assert world.offered("i") == ""
    world.wait(1)
    assert world.offered("i") == "a"


def test_an_offer_may_be_answered_until_it_expires_and_no_later() -> None:
    world = World(a_pool(an_agent("a"), lease_ms=LONG))
    world.sign_in("a")
    world.enqueue("i")
    world.wait(9_999)
    assert world.accept("i") == ""
    world.complete("i")
    world.enqueue("j")
    world.wait(10_000)
    assert world.ask(cmd.AcceptOffer("a", "j.2")) == "OFFER_EXPIRED"
    assert world.state("a") is AgentState.NOT_RESPONDING


def test_a_new_owner_extends_leases_offers_and_grace() -> None:
    """Everything gets at least a lease, an offer five seconds, a grace period a lease; what ends later anyway stays."""
    queues = [a_queue(offer_ms=3_000), a_queue("slow", offer_ms=30_000)]
    agents = (an_agent("a"), an_agent("b"), an_agent("lost"))
    world = World(a_pool(*agents, queues=queues, capacity=a_capacity(3), lease_ms=20_000, grace_ms=15_000))
    world.sign_in("lost")
    world.holds("lost", "held")
    world.wait(19_000)
    world.sign_in("a")
    world.wait(1_000)
    assert world.state("lost") is AgentState.OFFLINE
    world.enqueue("quick")
    world.enqueue("slow", queue="slow")
    world.now += 2_000
    core = world.engine.core
    assert world.engine.take_over(world.now) == []
    assert core.sessions["s-a"].lease_until == world.now + 20_000
    offers = {name: core.interactions[name].offer for name in ("quick", "slow")}
    assert {name: offer.expires_at - world.now for name, offer in offers.items() if offer} == {
        "quick": 5_000,
        "slow": 28_000,
    }
    assert core.agents["lost"].grace_until == world.now + 20_000
    assert {entity for entity in core.dirty if entity[0] in "ai"} >= {("a", "lost"), ("i", "quick")}
    world.wait(4_999)
    assert world.offered("quick") == "a"
    ended = [(e.attributes.interaction_id, e.reason) for e in all_of(world.wait(1), fx.OfferEnded)]
    assert ended == [("quick", "NO_ANSWER"), ("slow", "NO_ANSWER")]
    assert only(world.wait(15_000), fx.Queued).reason == "AGENT_LOST"
    assert World().engine.take_over(world.now) == []


def test_an_interaction_is_never_refused_for_its_queue() -> None:
    """A pool without queues keeps interactions under the name of their own queue."""
    world = World(PoolConfig(1, queues=()))
    assert only(world.enqueue("i", queue="x"), fx.Queued).attributes.queue == "x"
    world.tell(cmd.ActivateConfiguration(PoolConfig(2, queues=(QueueConfig("y"), QueueConfig("z")))))
    assert world.engine.core.interactions["i"].attributes.queue == "y"
    assert world.engine.core.interactions["i"].stage is Stage.WAITING


def test_a_scheduled_interaction_starts_in_time_when_its_queue_no_longer_exists() -> None:
    """A configuration that removes the queue moves it to the first queue, and keeps its time."""
    world = World(a_pool(an_agent("a"), queues=[a_queue(), a_queue("old")]))
    world.enqueue("i", queue="old", start_at_ms=world.now + 60_000)
    world.tell(cmd.ActivateConfiguration(PoolConfig(2, queues=(a_queue(),))))
    assert world.wait(59_999) == []
    queued = only(world.wait(1), fx.Queued)
    assert (queued.reason, queued.attributes.queue) == ("SCHEDULE_DUE", "q")


def test_requirements_of_a_reroute_take_the_place_of_its_own_and_none_keep_them() -> None:
    world = World(a_pool(queues=[a_queue(), a_queue("other")]))
    world.enqueue("i", requirements=(requires("x"),))
    assert only(world.tell(cmd.Reroute("i", "other")), fx.Queued).attributes.requirements == (requires("x"),)
    assert only(world.tell(cmd.Reroute("i", "", (requires("y"),))), fx.Queued).attributes.requirements == (
        requires("y"),
    )
    assert only(world.tell(cmd.Reroute("i", "", ())), fx.Queued).attributes.requirements == ()
