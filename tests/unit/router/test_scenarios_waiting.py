"""Scenarios 5, 6, 8 and 9 of the routing reference, and problems known from other systems that must be impossible here."""

from services.policy.model.routing import OverflowRule, Trigger
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState, OfferEnd
from tests.unit.router.world import World, a_capacity, a_pool, a_queue, all_of, an_agent, notices, only, requires

SECOND = 1_000
LONG = 10**9


def test_5_job_eleven_lands_in_the_backup_queue_with_priority_and_one_more_selector() -> None:
    rule = OverflowRule("full", Trigger.LENGTH, 10, queue="backup", set_priority=10, requirements=(requires("x", 2),))
    world = World(a_pool(queues=[a_queue(overflow=(rule,)), a_queue("backup")]))
    for n in range(10):
        assert not all_of(world.enqueue(f"i{n}", requirements=(requires("own"),)), fx.Overflowed)
    moved = only(world.enqueue("i10", requirements=(requires("own"),)), fx.Overflowed).attributes
    assert (moved.queue, moved.priority, moved.requirements) == ("backup", 10, (requires("own"), requires("x", 2)))


def test_5_a_wait_of_thirty_seconds_moves_to_the_fallback_queue() -> None:
    rule = OverflowRule("late", Trigger.WAIT, 30_000, queue="fallback", set_priority=100)
    world = World(a_pool(queues=[a_queue(overflow=(rule,)), a_queue("fallback")]))
    world.enqueue("i")
    assert not all_of(world.wait(29_999), fx.Overflowed)
    moved = only(world.wait(1), fx.Overflowed).attributes
    assert (moved.queue, moved.priority) == ("fallback", 100)


def test_5_two_rules_on_one_job_both_happen_in_order() -> None:
    rules = (
        OverflowRule("move", Trigger.WAIT, 300_000, queue="other"),
        OverflowRule("raise", Trigger.WAIT, 60_000, set_priority=10),
    )
    world = World(a_pool(queues=[a_queue(overflow=rules), a_queue("other")]))
    world.enqueue("i")
    happened = all_of(world.wait(400_000), fx.Overflowed)
    assert [(e.rule, e.attributes.queue, e.attributes.priority) for e in happened] == [
        ("raise", "q", 10),
        ("move", "other", 10),
    ]


def test_6_two_agents_are_offered_and_the_first_accept_revokes_the_other() -> None:
    world = World(a_pool(*(an_agent(name) for name in "abc"), queues=[a_queue(max_offers=2)]))
    world.sign_in("a", "b", "c")
    offered = all_of(world.enqueue("i"), fx.Offered)
    assert [offer.agent_id for offer in offered] == ["a", "b"]
    effects = world.tell(cmd.AcceptOffer("b", offered[1].offer_id))
    ended = only(effects, fx.OfferEnded)
    assert (ended.agent_id, ended.end, ended.reason) == ("a", OfferEnd.REVOKED, "ACCEPTED_BY_ANOTHER")
    assert [type(notice) for notice in notices(effects, "a")] == [fx.RevokedNotice]
    assert world.ask(cmd.AcceptOffer("a", offered[0].offer_id)) == "OFFER_REVOKED"
    assert world.ask(cmd.DeclineOffer("b", offered[1].offer_id)) == "OFFER_ALREADY_ACCEPTED"


def test_6_with_one_credit_and_two_jobs_the_second_comes_after_the_first_is_answered() -> None:
    world = World(a_pool(an_agent("a"), queues=[a_queue(max_offers=2)], capacity=a_capacity(5)))
    world.sign_in("a", credits=1)
    world.enqueue("i")
    world.enqueue("j")
    assert (world.offered("i"), world.offered("j")) == ("a", "")
    world.accept("i")
    assert world.offered("j") == "a"


def test_6_an_interaction_without_an_offer_goes_before_a_second_offer() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(max_offers=2)]))
    world.sign_in("a")
    world.enqueue("i")
    world.enqueue("j")
    world.sign_in("b")
    assert (world.offered("i"), world.offered("j")) == ("a", "b")


def test_8_nothing_before_its_time_and_offered_at_it() -> None:
    world = World(a_pool(an_agent("a")))
    world.sign_in("a")
    world.enqueue("i", start_at_ms=world.now + 10_000)
    assert not all_of(world.wait(9_999), fx.Offered)
    assert only(world.wait(1), fx.Offered).agent_id == "a"


def classes() -> World:
    """Return a world with classes: T1 and T2 at once, T3 after 20 s, T4 after 80 s; an agent who can take one interaction at a time."""
    queues = [
        a_queue("T1", priority=30),
        a_queue("T2", priority=30),
        a_queue("T3", priority=20, delay_ms=20_000),
        a_queue("T4", priority=10, delay_ms=80_000),
    ]
    return World(a_pool(an_agent("a"), an_agent("b"), queues=queues, lease_ms=LONG))


def test_9_a_lower_class_is_not_served_before_its_delay_even_with_nothing_else_waiting() -> None:
    world = classes()
    world.sign_in("a")
    world.enqueue("t3", queue="T3")
    world.wait(19_999)
    assert world.offered("t3") == ""
    world.wait(1)
    assert world.offered("t3") == "a"


def test_9_after_its_delay_only_when_the_higher_classes_are_empty() -> None:
    world = classes()
    world.enqueue("t4", queue="T4")
    world.wait(65_000)
    world.enqueue("t3", queue="T3")
    world.wait(25_000)
    world.enqueue("t2", queue="T2")
    world.wait(SECOND)
    world.enqueue("t1", queue="T1")
    world.sign_in("a")
    served = []
    for _ in range(4):
        name = next(name for name in ("t1", "t2", "t3", "t4") if world.offered(name))
        served.append(name)
        world.accept(name)
        world.complete(name)
    assert served == ["t2", "t1", "t3", "t4"]


# Problems known from other systems


def test_freed_capacity_drains_the_queue_oldest_first() -> None:
    world = World(a_pool(an_agent("a"), capacity=a_capacity(2)))
    world.sign_in("a")
    world.holds("a", "x", "y")
    for name in ("1", "2", "3"):
        world.enqueue(name)
        world.wait(SECOND)
    world.complete("x")
    assert world.offered("1") == "a"
    world.accept("1")
    world.complete("y")
    assert world.offered("2") == "a"
    assert world.offered("3") == ""


def test_a_backlog_is_offered_oldest_first_when_agents_return() -> None:
    world = World(a_pool(an_agent("a"), capacity=a_capacity(3)))
    for name in ("1", "2", "3"):
        world.enqueue(name)
        world.wait(SECOND)
    effects = world.sign_in("a")
    assert [e.attributes.interaction_id for e in all_of(effects, fx.Offered)] == ["1", "2", "3"]


def test_a_flush_of_the_backlog_never_overloads_an_agent() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), capacity=a_capacity(2)))
    for n in range(9):
        world.enqueue(f"{n}")
    world.sign_in("a", "b")
    assert [len(world.engine.core.agents[name].offers) for name in ("a", "b")] == [2, 2]


def test_one_interaction_is_not_reassigned_by_racing_acceptances() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(max_offers=2)]))
    world.sign_in("a", "b")
    offers = all_of(world.enqueue("i"), fx.Offered)
    answers = [world.ask(cmd.AcceptOffer(offer.agent_id, offer.offer_id)) for offer in offers * 3]
    assert answers == ["", "OFFER_REVOKED", *["OFFER_ALREADY_ACCEPTED", "OFFER_REVOKED"] * 2]
    assert len(all_of(world.log, fx.Assigned)) == 1


def test_an_agent_who_is_away_gets_nothing_of_their_earlier_customer() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(sticky_ms=60_000)]))
    world.sign_in("a")
    world.enqueue("i", person_id="p")
    world.accept("i")
    world.complete("i")
    world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    world.sign_in("b")
    world.enqueue("again", person_id="p")
    assert world.offered("again") == "b"


def test_no_agent_is_stuck_in_an_offer_a_wrap_up_or_a_lost_session() -> None:
    world = World(a_pool(an_agent("a"), queues=[a_queue(wrap_up_ms=5_000)], lease_ms=20_000, grace_ms=10_000))
    world.sign_in("a")
    world.holds("a", "i")
    world.complete("i")
    world.enqueue("j")
    world.wait(5_000)
    assert world.offered("j") == "a"
    world.wait(60_000)
    core = world.engine.core
    assert (core.sessions, core.agents["a"].offers, core.agents["a"].held) == ({}, {}, {})
    assert list(core.interactions) == ["j"]


def test_wrap_up_is_not_ended_by_another_queue() -> None:
    world = World(a_pool(an_agent("a"), queues=[a_queue(wrap_up_ms=30_000), a_queue("other")], lease_ms=LONG))
    world.sign_in("a")
    world.holds("a", "i")
    world.complete("i")
    world.enqueue("j", queue="other", priority=100)
    world.wait(29_999)
    assert world.offered("j") == ""
    world.wait(1)
    assert world.offered("j") == "a"


# D9: rules on who is at work


def test_9_what_waits_moves_when_the_last_agent_leaves_and_what_comes_later_moves_at_once() -> None:
    rule = OverflowRule("alone", Trigger.NO_AGENTS, 0, queue="other")
    world = World(a_pool(an_agent("a", queues=("q",)), queues=[a_queue(overflow=(rule,)), a_queue("other")]))
    world.sign_in("a")
    for name in ("first", "second"):
        world.enqueue(name)
    world.accept("first")
    assert world.engine.core.interactions["second"].attributes.queue == "q"
    effects = world.tell(cmd.CloseSession("a", "s-a", signed_out=True))
    assert [(e.attributes.interaction_id, e.reason) for e in all_of(effects, fx.Overflowed)] == [
        ("first", "NO_AGENTS"),
        ("second", "NO_AGENTS"),
    ]
    assert only(world.enqueue("third"), fx.Overflowed).attributes.queue == "other"


def test_9_fewer_agents_than_a_number_raise_the_priority_once() -> None:
    rule = OverflowRule("few", Trigger.AGENTS, 2, add_priority=5)
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(overflow=(rule,))], lease_ms=LONG))
    world.sign_in("a", "b")
    for name in ("first", "second", "third"):
        world.enqueue(name)
    effects = world.tell(cmd.SetAgentState("b", AgentState.AWAY))
    assert [(e.attributes.interaction_id, e.attributes.priority) for e in all_of(effects, fx.Overflowed)] == [
        ("second", 5),
        ("third", 5),
    ]
    world.tell(cmd.SetAgentState("b", AgentState.AVAILABLE))
    assert not all_of(world.tell(cmd.SetAgentState("b", AgentState.AWAY)), fx.Overflowed)


def test_9_an_agent_whose_connection_is_lost_for_a_moment_is_still_at_work() -> None:
    rule = OverflowRule("alone", Trigger.NO_AGENTS, 0, queue="other")
    world = World(a_pool(an_agent("a"), queues=[a_queue(overflow=(rule,)), a_queue("other")], lease_ms=20_000))
    world.sign_in("a")
    world.tell(cmd.CloseSession("a", "s-a"))
    assert not all_of(world.enqueue("i"), fx.Overflowed)
    assert only(world.wait(20_000), fx.Overflowed).reason == "NO_AGENTS"


def test_9_an_unknown_estimate_counts_as_too_long_where_the_rule_says_so() -> None:
    for unknown_too in (False, True):
        rule = OverflowRule("slow", Trigger.ESTIMATE, 5_000, queue="other", unknown_too=unknown_too)
        world = World(a_pool(queues=[a_queue(overflow=(rule,)), a_queue("other")]))
        assert bool(all_of(world.enqueue("i"), fx.Overflowed)) is unknown_too
