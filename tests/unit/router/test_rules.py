"""What commands do and refuse, one rule a test."""

import pytest

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState, Facts, OfferEnd, Operator, PoolConfig, Selector, Stage
from tests.unit.router.world import (
    GATEWAY,
    World,
    a_capacity,
    a_pool,
    a_queue,
    all_of,
    an_agent,
    needs,
    notices,
    only,
)

FOREVER = 10**9


@pytest.fixture
def world() -> World:
    """Two agents `a` and `b` who take one thing at a time; `a` is signed in."""
    made = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(), a_queue("other")], lease_ms=FOREVER))
    made.sign_in("a")
    return made


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
    """Never dropped: queued in the first queue with the reason UNKNOWN_QUEUE."""
    queued = only(world.enqueue("lost", queue="nowhere"), fx.Queued)
    assert (queued.facts.queue, queued.reason) == ("q", "UNKNOWN_QUEUE")
    assert world.offered("lost") == "a"


def test_an_older_configuration_is_refused_and_the_same_one_changes_nothing(world: World) -> None:
    """Versions only grow."""
    assert world.config is not None
    assert world.ask(cmd.ActivateConfiguration(PoolConfig(0))) == "STALE_CONFIGURATION"
    assert all_of(world.tell(cmd.ActivateConfiguration(world.config)), fx.Offered) == []


def test_a_queue_that_a_configuration_drops_hands_its_work_to_the_first(world: World) -> None:
    """What waited in it is queued again."""
    world.holds("a", "busy")
    world.enqueue("job", queue="other")
    dropped = PoolConfig(2, lease_ms=FOREVER, queues=(a_queue(),), profiles=(a_capacity(),))
    queued = only(world.tell(cmd.ActivateConfiguration(dropped)), fx.Queued)
    assert (queued.facts.queue, queued.reason, queued.again) == ("q", "UNKNOWN_QUEUE", True)


def test_more_capacity_or_another_skill_serves_what_waits_at_once(world: World) -> None:
    """Activation and UpsertAgent are followed by offers."""
    world.enqueue("job", requirements=(needs("persian", 5),))
    assert world.offered("job") == ""
    world.tell(cmd.UpsertAgent(an_agent("a", {"persian": 7})))
    assert world.offered("job") == "a"


# Repetitions


def test_the_same_command_again_changes_nothing_and_has_the_same_result(world: World) -> None:
    """Also when it was refused."""
    enqueue = cmd.Enqueue(Facts("i", "c", queue="q", channel="chat"), command_id="once")
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
    """Another one is told NOT_YOURS."""
    world.sign_in("b")
    world.enqueue("i")
    offer_id = only(world.log, fx.Offered).offer_id
    assert world.ask(cmd.AcceptOffer("b", offer_id)) == "NOT_YOURS"


def test_an_answer_that_comes_too_late_is_told_why(world: World) -> None:
    """Expired, revoked, or of an interaction that is closed."""
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


def test_going_away_takes_back_offers_and_gives_them_to_others(world: World) -> None:
    """The interaction waits again at its place and is offered to the next at once."""
    world.sign_in("b")
    world.enqueue("i")
    effects = world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    assert only(effects, fx.OfferEnded).end is OfferEnd.REVOKED
    assert world.offered("i") == "b"
    assert fx.RevokedNotice(only(effects, fx.OfferEnded).offer_id, "AGENT") in notices(effects, "a")


# Work that is held


def test_replies_and_completion_are_the_holders_alone(world: World) -> None:
    """NOT_YOURS for others, NOT_ASSIGNED while nobody holds it, UNKNOWN_INTERACTION when it is closed."""
    world.enqueue("i")
    assert world.ask(cmd.RecordReply("a", "i", "r")) == "NOT_ASSIGNED"
    world.accept("i")
    assert world.ask(cmd.RecordReply("b", "i", "r")) == "NOT_YOURS"
    assert [only(world.tell(cmd.RecordReply("a", "i", f"r{n}")), fx.Replied).first for n in range(2)] == [True, False]
    assert world.ask(cmd.CompleteInteraction("b", "i")) == "NOT_YOURS"
    world.complete("i")
    assert world.ask(cmd.RecordReply("a", "i", "late")) == "UNKNOWN_INTERACTION"


def test_wrap_up_keeps_the_capacity_until_it_ends() -> None:
    """By time, or when the agent says so; then the next one is offered."""
    world = World(a_pool(an_agent("a"), queues=[a_queue(wrap_up_ms=30_000)], lease_ms=FOREVER))
    world.sign_in("a")
    world.holds("a", "first")
    completed = only(world.complete("first"), fx.Completed)
    assert completed.wrap_up_until_ms == world.now + 30_000
    world.enqueue("second")
    assert world.ask(cmd.CustomerMessaged("first", "m")) == "INTERACTION_COMPLETED"
    assert not world.offered("second")
    assert only(world.wait(30_000), fx.WrapUpEnded).reason == "WRAP_UP_TIME_OVER"
    assert world.offered("second") == "a"
    world.accept("second")
    world.complete("second")
    world.enqueue("third")
    assert world.ask(cmd.EndWrapUp("a", "second")) == ""
    assert world.offered("third") == "a"


def test_a_customer_who_leaves_abandons_what_waits_and_is_reported_to_the_holder(world: World) -> None:
    """Waiting, offered, assigned."""
    world.holds("a", "held")
    assert fx.CustomerNotice("held", "", True) in notices(world.tell(cmd.CustomerLeft("held")), "a")
    world.enqueue("waiting")
    world.wait(4_000)
    assert only(world.tell(cmd.CustomerLeft("waiting")), fx.Abandoned).waited_ms == 4_000
    world.complete("held")
    world.enqueue("offered")
    effects = world.tell(cmd.CustomerLeft("offered"))
    assert only(effects, fx.OfferEnded).reason == only(effects, fx.Abandoned).reason == "CUSTOMER_LEFT"
    assert world.engine.core.works == {}


def test_a_customers_message_is_recorded_and_told_to_the_holder(world: World) -> None:
    """Also recorded while it waits."""
    world.holds("a", "i")
    assert fx.CustomerNotice("i", "m", False) in notices(world.tell(cmd.CustomerMessaged("i", "m")), "a")
    world.enqueue("w")
    assert only(world.tell(cmd.CustomerMessaged("w", "m2")), fx.CustomerActed).message_id == "m2"


def test_cancelling_takes_it_from_wherever_it_is(world: World) -> None:
    """And the freed agent is offered the next."""
    world.holds("a", "held")
    world.enqueue("next")
    effects = world.tell(cmd.CancelInteraction("held", "DUPLICATE"))
    assert only(effects, fx.Cancelled).reason == "DUPLICATE"
    assert fx.EndedNotice("held", "DUPLICATE") in notices(effects, "a")
    assert world.offered("next") == "a"


def test_a_transfer_to_a_queue_never_comes_back_to_the_giver(world: World) -> None:
    """Though he is the only one there: another agent gets it when he comes."""
    world.holds("a", "i")
    effects = world.tell(cmd.TransferInteraction("a", "i", queue="other"))
    assert (only(effects, fx.Transferred).from_agent_id, only(effects, fx.Queued).again) == ("a", True)
    assert not world.offered("i")
    world.sign_in("b")
    assert world.offered("i") == "b"


def test_a_transfer_to_an_agent_waits_for_that_agent_and_falls_back_when_he_leaves(world: World) -> None:
    """Skills are not asked for; who is absent, unknown or oneself is refused."""
    world.holds("a", "i")
    transfer = cmd.TransferInteraction("a", "i", to_agent_id="b")
    assert world.ask(transfer) == "AGENT_NOT_AVAILABLE"
    assert world.ask(cmd.TransferInteraction("a", "i", to_agent_id="x")) == "UNKNOWN_AGENT"
    assert world.ask(cmd.TransferInteraction("a", "i", to_agent_id="a")) == "SAME_AGENT"
    world.sign_in("b")
    world.enqueue("busy")
    assert world.offered("busy") == "b"
    world.accept("busy")
    assert world.ask(transfer) == ""
    assert world.ask(cmd.CompleteInteraction("a", "i")) == "NOT_ASSIGNED"
    effects = world.complete("busy")
    assert only(effects, fx.Offered).reason == "TRANSFERRED_TO_AGENT"
    world.decline("i")
    assert world.engine.core.works["i"].stage is Stage.WAITING


def test_waiting_time_adds_up_over_queues_and_holders(world: World) -> None:
    """4 s before a supervisor transfers it, 3 s after; then 2 s more after it came back from an agent."""
    world.holds("a", "busy")
    world.enqueue("i")
    world.wait(4_000)
    assert world.ask(cmd.TransferInteraction("", "i", queue="other")) == ""
    world.wait(3_000)
    world.complete("busy")
    world.accept("i")
    assert all_of(world.log, fx.Assigned)[-1].waited_ms == 7_000
    world.wait(60_000)
    world.tell(cmd.TransferInteraction("a", "i", queue="q"))
    world.wait(2_000)
    assert only(world.tell(cmd.CustomerLeft("i")), fx.Abandoned).waited_ms == 9_000


def test_rerouting_changes_queue_and_requirements(world: World) -> None:
    """Also of work that is held: it leaves the agent."""
    world.holds("a", "i")
    effects = world.tell(cmd.Reroute("i", "other", (needs("persian", 5),)))
    assert only(effects, fx.Queued).facts.queue == "other"
    assert not world.offered("i")
    assert world.ask(cmd.Reroute("i", "nowhere")) == "UNKNOWN_QUEUE"
    assert only(world.tell(cmd.Reroute("i", "", ())), fx.Offered).agent_id == "a"


def test_rerouting_may_add_requirements_to_those_that_there_are(world: World) -> None:
    """Once, however often it is asked; the queue stays when none is named."""
    world.enqueue("i", requirements=(needs("persian", 5),))
    added = (needs("senior", 1), needs("persian", 5))
    for _ in range(2):
        assert world.ask(cmd.Reroute("i", added=added)) == ""
    assert all_of(world.log, fx.Queued)[-1].facts.requirements == (needs("persian", 5), needs("senior", 1))


def test_what_an_agent_holds_is_left_to_him_where_only_waiting_work_is_meant(world: World) -> None:
    """An escalation that comes after somebody has accepted takes nothing away from him."""
    world.holds("a", "i")
    assert world.ask(cmd.Reroute("i", "other", waiting_only=True)) == "NOT_WAITING"
    world.enqueue("j")
    assert world.ask(cmd.Reroute("j", "other", waiting_only=True)) == ""


def test_a_raised_priority_goes_first(world: World) -> None:
    """Reprioritise moves what waits."""
    world.holds("a", "busy")
    world.enqueue("one")
    world.enqueue("two")
    assert only(world.tell(cmd.Reprioritise("two", 5, "SLA_WARNING")), fx.Changed).reason == "SLA_WARNING"
    world.complete("busy")
    assert world.offered("two") == "a"


# Sessions


def test_a_second_session_replaces_the_first_and_takes_over_what_is_held(world: World) -> None:
    """The old desk is told; its offers are revoked and made again at the new one."""
    world.enqueue("i")
    effects = world.sign_in("a", session="second")
    assert fx.SessionEndedNotice("SESSION_REPLACED") in notices(effects, "a")
    assert only(effects, fx.OfferEnded).reason == "SESSION_REPLACED"
    assert only(effects, fx.Offered).agent_id == "a"
    snapshot = next(n for n in notices(effects, "a") if isinstance(n, fx.SnapshotNotice))
    assert snapshot.session_id == "second"


def test_a_resumed_session_keeps_state_and_assignments(world: World) -> None:
    """The snapshot lists what is held; declines still count."""
    world.holds("a", "held")
    world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    world.tell(cmd.CloseSession("a", "s-a"))
    effects = world.sign_in("a", session="new", resumes="s-a")
    snapshot = next(n for n in notices(effects, "a") if isinstance(n, fx.SnapshotNotice))
    assert snapshot.state is AgentState.AWAY
    assert [view.facts.interaction_id for view in snapshot.assignments] == ["held"]


def test_a_lost_connection_takes_back_offers_at_once() -> None:
    """They are made again to whoever is there; the agent gets nothing while nobody is at his desk."""
    world = World(a_pool(an_agent("a"), an_agent("b"), lease_ms=20_000))
    world.sign_in("a")
    world.enqueue("i")
    effects = world.tell(cmd.CloseSession("a", "s-a"))
    assert only(effects, fx.OfferEnded).reason == "CONNECTION_LOST"
    assert not world.offered("i")
    world.sign_in("a", session="new", resumes="s-a")
    assert world.offered("i") == "a"


def test_a_lease_that_is_not_renewed_ends_the_session() -> None:
    """The agent is OFFLINE; what he holds waits for the grace and is then routed again with its age; what is renewed lives."""
    world = World(a_pool(an_agent("a"), an_agent("b"), lease_ms=20_000, grace_ms=60_000))
    world.sign_in("a")
    arrived = world.now
    world.holds("a", "i")
    for _ in range(10):
        world.wait(15_000)
        world.tell(cmd.RenewLeases(("s-a",)))
    assert world.state("a") is AgentState.AVAILABLE
    changed = only(world.wait(20_000), fx.AgentStateChanged)
    assert (changed.after, changed.reason) == (AgentState.OFFLINE, "LEASE_EXPIRED")
    assert all_of(world.wait(59_999), fx.Queued) == []
    queued = only(world.wait(1), fx.Queued)
    assert (queued.reason, queued.again, queued.facts.arrived_at_ms) == ("AGENT_LOST", True, arrived)
    world.sign_in("b")
    assert world.offered("i") == "b"


def test_an_agent_who_comes_back_within_the_grace_keeps_what_he_holds() -> None:
    """Even with a new session."""
    world = World(a_pool(an_agent("a"), lease_ms=20_000, grace_ms=60_000))
    world.sign_in("a")
    world.holds("a", "i")
    world.wait(50_000)
    world.sign_in("a", session="later")
    world.tell(cmd.RenewLeases(("later",)))
    world.wait(19_000)
    assert world.engine.core.works["i"].agent_id == "a"


def test_a_session_resumed_after_its_lease_finds_the_agent_in_the_state_he_chose() -> None:
    """Who was away is not suddenly given work; a new session without the token is available."""
    world = World(a_pool(an_agent("a"), lease_ms=20_000))
    world.sign_in("a")
    world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    world.wait(20_000)
    world.enqueue("i")
    world.sign_in("a", session="late", resumes="s-a")
    assert (world.state("a"), world.offered("i")) == (AgentState.AWAY, "")
    world.sign_in("a", session="new")
    assert world.offered("i") == "a"


def test_signing_out_hands_over_at_once(world: World) -> None:
    """Nobody waits for an agent who has gone home."""
    world.holds("a", "i")
    world.sign_in("b")
    world.tell(cmd.CloseSession("a", "s-a", signed_out=True))
    assert world.state("a") is AgentState.OFFLINE
    assert world.offered("i") == "b"


def test_a_gateway_that_renews_a_session_nobody_knows_is_told(world: World) -> None:
    """So that its desk reconnects instead of waiting for ever."""
    effects = world.tell(cmd.RenewLeases(("s-a", "ghost"), reply_to=GATEWAY))
    ended = only(effects, fx.ToDesk)
    assert (ended.session_id, ended.notice) == ("ghost", fx.SessionEndedNotice("UNKNOWN_SESSION"))


def test_a_supervisor_cannot_make_an_absent_agent_available(world: World) -> None:
    """But may set one who is there."""
    assert world.ask(cmd.SetAgentState("b", AgentState.AVAILABLE)) == "AGENT_NOT_SIGNED_IN"
    assert world.ask(cmd.SetAgentState("x", AgentState.AWAY)) == "UNKNOWN_AGENT"
    assert world.ask(cmd.SetAgentState("a", AgentState.AWAY, supervisor=True)) == ""


def test_signing_in_away_gets_no_offer(world: World) -> None:
    """The state asked for at once counts from the first moment."""
    world.holds("a", "busy")
    world.enqueue("i")
    effects = world.sign_in("b", state=AgentState.AWAY)
    assert all_of(effects, fx.Offered) == []
    world.tell(cmd.SetAgentState("b", AgentState.AVAILABLE))
    assert world.offered("i") == "b"


@pytest.mark.parametrize(
    ("selector", "yes"),
    [
        (needs("persian", 5), True),
        (needs("persian", 6), False),
        (needs("persian", 5, Operator.EQUAL), True),
        (needs("persian", 5, Operator.NOT_EQUAL), False),
        (needs("french", 5, Operator.NOT_EQUAL), True),
        (needs("persian", 5, Operator.LESS), False),
        (needs("persian", 5, Operator.AT_MOST), True),
        (needs("persian", 4, Operator.GREATER), True),
        (needs("persian", 5, Operator.GREATER), False),
        (needs("persian", 0, Operator.HAS), True),
        (needs("city", 0, Operator.HAS), True),
        (needs("french", 0, Operator.HAS), False),
        (needs("city", 0, Operator.IN, texts=("qom", "tehran")), True),
        (needs("city", 0, Operator.IN, texts=("qom",)), False),
        (needs("city", 0, Operator.EQUAL, text="tehran"), True),
        (needs("city", 0, Operator.NOT_EQUAL, text="tehran"), False),
        (needs("persian", 5, Operator.UNSPECIFIED), True),
    ],
)
def test_selectors(selector: Selector, yes: bool) -> None:
    """Agent: persian 5, city tehran."""
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
    events = [e for e in world.log if isinstance(e, fx.Event) and e.facts.interaction_id == "i"]
    assert [event.epoch for event in events] == list(range(1, len(events) + 1))
    assert all(event.reason for event in events)
