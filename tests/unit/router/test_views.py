"""Views of a pool: queues, waiting interactions, agents, estimates, and the numbers of the gauges."""

from typing import Any

import pytest

from services.policy.model.routing import CapacityProfile, ChannelCapacity
from services.router.domain import commands as cmd
from services.router.domain.model import AgentState
from services.router.domain.queries import views
from services.router.domain.queries.views import EstimateNow, QueueNow
from tests.unit.router.world import START, World, a_capacity, a_pool, a_queue, an_agent, requires

LONG = 10**9


def a_floor() -> World:
    """Return a world with two queues. In `q` one is held, one is offered, three wait. `b` serves only `q` and is away, `c` has never signed in."""
    queues = [a_queue("q", service_level_ms=3_000, ageing_per_minute=1.0), a_queue("p", requirements=(requires("x"),))]
    agents = (an_agent("a"), an_agent("b", queues=("q", "gone")), an_agent("c", queues=("p",)))
    world = World(a_pool(*agents, queues=queues, capacity=a_capacity(2), lease_ms=LONG))
    world.sign_in("a")
    world.wait(1_000)
    world.sign_in("b", state=AgentState.AWAY)
    world.enqueue("held")
    world.accept("held")
    world.enqueue("offered", arrived_at_ms=world.now - 500)
    world.wait(2_000)
    world.enqueue("young")
    world.enqueue("old", arrived_at_ms=world.now - 4_000)
    world.enqueue("first", priority=1)
    world.enqueue("skilled", queue="p")
    world.wait(3_000)
    return world


def test_queues_show_waiting_offered_and_held_interactions_and_agents() -> None:
    """Queues are listed by name. `available`: signed in, with room for something; the oldest is the longest waiting time."""
    world = a_floor()
    assert views.queues(world.engine, world.now) == [
        QueueNow("p", 1, 0, 0, 3_000, 1, 0, -1, 0, 0, 0),
        QueueNow("q", 3, 1, 1, 7_000, 2, 0, -1, 1, 1, 0),
    ]
    world.complete("held")
    world.accept("first")
    assert views.queues(world.engine, world.now)[1] == QueueNow("q", 2, 1, 1, 7_000, 2, 0, -1, 2, 2, 0)
    world.tell(cmd.CustomerLeft("old"))
    world.tell(cmd.CancelInteraction("young"))
    world.tell(cmd.CancelInteraction("first"))
    assert views.queues(world.engine, world.now)[1] == QueueNow("q", 0, 1, 0, 0, 2, 1, 0, 2, 2, 1)


def test_before_any_configuration_waiting_interactions_are_listed_without_queues() -> None:
    world = World()
    world.enqueue("i", queue="x", priority=1)
    world.enqueue("late", queue="x", arrived_at_ms=world.now - 10)
    world.enqueue("old", queue="x", arrived_at_ms=world.now - 20)
    world.enqueue("j", queue="y", priority=2)
    assert views.queues(world.engine, world.now) == []
    seen = [
        (w.attributes.interaction_id, w.position, w.priority, w.reason) for w in views.waiting(world.engine, "", START)
    ]
    none = "NO_CONFIGURATION"
    assert seen == [("j", 1, 2.0, none), ("i", 2, 1.0, none), ("old", 3, 0.0, none), ("late", 4, 0.0, none)]
    assert [(w.attributes.interaction_id, w.position) for w in views.waiting(world.engine, "y", START)] == [("j", 1)]
    assert {w.queued_at_ms for w in views.waiting(world.engine, "", START)} == {START}
    assert views.gauges(world.engine, START) == ({}, {}, 0, 0)


def test_waiting_interactions_are_listed_in_the_order_of_service_with_their_priority() -> None:
    """Priority grows by one point a minute of age; an empty name lists all queues."""
    world = a_floor()
    seen = list(views.waiting(world.engine, "q", world.now))
    assert [(w.attributes.interaction_id, w.position, w.queued_at_ms - START) for w in seen] == [
        ("first", 1, 3_000),
        ("old", 2, 3_000),
        ("young", 3, 3_000),
    ]
    assert [w.priority for w in seen] == pytest.approx([1.05, 7 / 60, 0.05])
    assert [w.attributes.interaction_id for w in views.waiting(world.engine, "", world.now)] == [
        *("first", "old", "young"),
        "skilled",
    ]
    assert list(views.waiting(world.engine, "nowhere", world.now)) == []


@pytest.mark.parametrize("again", ["by a transfer", "because the agent is lost"])
def test_queues_and_waiting_interactions_have_one_waiting_time_after_a_transfer(again: str) -> None:
    """Both count the time in which no agent holds it, before and after; the time in the present queue has its own name.

    A metric shows the same time.
    """
    world = World(a_pool(an_agent("a"), queues=[a_queue("q"), a_queue("p")], lease_ms=20_000, grace_ms=0))
    world.enqueue("i", arrived_at_ms=world.now - 3_000)
    world.wait(7_000)
    world.sign_in("a", state=AgentState.AVAILABLE)
    world.accept("i")
    began = world.now
    if again == "by a transfer":
        world.wait(15_000)
        world.tell(cmd.SetAgentState("a", AgentState.AWAY))
        world.tell(cmd.TransferInteraction("a", "i", queue="p"))
    else:
        world.wait(20_000)
    requeued = world.now
    assert requeued - began >= 15_000
    world.wait(4_000)
    (seen,) = views.waiting(world.engine, "", world.now)
    assert seen.waited_ms == 3_000 + 7_000 + world.now - requeued
    (queue,) = (q for q in views.queues(world.engine, world.now) if q.waiting)
    assert queue.oldest_ms == seen.waited_ms
    assert views.gauges(world.engine, world.now)[0][queue.queue] == (1, seen.waited_ms)
    if again == "by a transfer":
        assert world.now - seen.queued_at_ms == 4_000


def test_the_reason_for_waiting_is_one_code() -> None:
    queues = [
        a_queue("q"),
        a_queue("d", delay_ms=1_000),
        a_queue("k", sticky_ms=60_000),
        a_queue("s", requirements=(requires("x"),)),
    ]
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=queues, lease_ms=LONG))
    world.sign_in("a")
    world.enqueue("d", queue="d")
    world.holds("a", "busy")
    for name in ("q", "s"):
        world.enqueue(name, queue=name)
    world.enqueue("k", queue="k", preferred_agent="a")
    reasons = {w.attributes.interaction_id: w.reason for w in views.waiting(world.engine, "", world.now)}
    assert reasons == {
        "d": "DELAYED",
        "q": "NO_ELIGIBLE_AGENT_AVAILABLE",
        "s": "NO_AGENT_WITH_SKILLS",
        "k": "KEPT_FOR_AGENT",
    }


# Estimates


def drained(**more: Any) -> World:
    """Return a queue from which an interaction was assigned every 10 s, four times, while something waited; one still waits and the agent is busy."""
    world = World(a_pool(an_agent("a"), queues=[a_queue(**more)], lease_ms=LONG))
    world.sign_in("a")
    for n in range(6):
        world.enqueue(f"{n}")
    for n in range(4):
        world.accept(f"{n}")
        world.wait(10_000)
        world.complete(f"{n}")
    world.accept("4")
    return world


def test_the_estimate_for_a_new_interaction() -> None:
    """Position, median and ninth decile follow from the queue's rate; unknown without a history, zero when an agent is free."""
    world = World(a_pool(an_agent("a"), queues=[a_queue()], lease_ms=LONG))
    assert views.estimate(world.engine, "q", world.now) == EstimateNow(-1, -1, 1, "NO_AGENTS", 0)
    world.sign_in("a")
    assert views.estimate(world.engine, "q", world.now) == EstimateNow(0, 0, 1, "AGENT_FREE", 0)
    assert views.estimate(world.engine, "nowhere", world.now) == EstimateNow(-1, -1, 1, "NO_AGENTS", 0)
    world = drained()
    assert views.estimate(world.engine, "q", world.now) == EstimateNow(15_330, 42_778, 2, "PACE_AND_PATIENCE", 4)
    world.tell(cmd.CancelInteraction("5"))
    assert views.estimate(world.engine, "q", world.now) == EstimateNow(6_352, 24_050, 1, "PACE_AND_PATIENCE", 4)
    world.complete("4")
    assert views.estimate(world.engine, "q", world.now) == EstimateNow(0, 0, 1, "AGENT_FREE", 4)
    assert views.estimate(World().engine, "q", START) == EstimateNow(-1, -1, 1, "NO_AGENTS", 0)


def test_a_queue_that_nobody_serves_any_more_has_no_estimate() -> None:
    """D2: the only agent signs out, and a visitor writes; they come back, and the pace is known; ten hours later it is not."""
    world = drained()
    world.tell(cmd.CloseSession("a", "s-a", signed_out=True))
    assert views.estimate(world.engine, "q", world.now).method == "NO_AGENTS"
    world.enqueue("visitor")
    assert world.engine.core.interactions["visitor"].announced == (-1, -1)
    world.sign_in("a")
    assert views.estimate(world.engine, "q", world.now).method == "PACE_AND_PATIENCE"
    assert views.estimate(world.engine, "q", world.now + 36_000_000).method == "NO_HISTORY"


def test_a_pause_counts_as_absence_and_work_does_not() -> None:
    """Agents at work are those who are AVAILABLE, however busy; a connection that is lost for a moment does not count."""
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue()], lease_ms=LONG))
    world.sign_in("a", "b")
    core = world.engine.core
    world.enqueue("1")
    assert core.staff("q") == 2
    world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    assert core.staff("q") == 1
    world.tell(cmd.CloseSession("b", "s-b"))
    assert core.staff("q") == 1
    world.tell(cmd.CloseSession("b", "s-b", signed_out=True))
    assert core.staff("q") == 0


def test_an_interaction_that_no_one_at_work_could_take_has_no_estimate() -> None:
    """Its own requirements count, not only those of the queue."""
    world = drained()
    world.enqueue("french", requirements=(requires("french"),))
    assert world.engine.core.interactions["french"].announced == (-1, -1)


def test_the_announced_wait_is_the_whole_wait_and_is_compared_with_the_assignment() -> None:
    """Position 2 behind one that waits; then, after 5 s, rerouted within its queue: the time it has waited counts."""
    world = drained()
    world.enqueue("new")
    interaction = world.engine.core.interactions["new"]
    assert interaction.announced == (15_330, 42_778)
    world.wait(5_000)
    world.tell(cmd.Reroute("new"))
    assert interaction.announced == (20_327, 47_784)


def test_an_agent_of_another_queue_or_without_skills_or_channels_is_not_free() -> None:
    profile = CapacityProfile("", 1, (ChannelCapacity("voice", 1), ChannelCapacity("mail", 0)), 0)
    agents = (an_agent("a", queues=("q",)), an_agent("b", {"x": 1}, queues=("s",)))
    queues = [a_queue("q"), a_queue("s", requirements=(requires("x", 2),)), a_queue("t")]
    world = World(a_pool(*agents, queues=queues, capacity=profile, lease_ms=LONG))
    world.sign_in("a", "b")
    methods = [views.estimate(world.engine, queue, world.now).method for queue in "qst"]
    assert methods == ["AGENT_FREE", "NO_AGENTS", "NO_AGENTS"]
    world.enqueue("call", channel="voice")
    assert views.estimate(world.engine, "q", world.now).method == "NO_HISTORY"


# Agents


def test_agents_are_listed_by_id_in_pages() -> None:
    world = World(a_pool(*(an_agent(name) for name in "dbca")))
    assert [found.profile.agent_id for found in views.agents(world.engine, "", 3)] == ["a", "b", "c"]
    assert [found.profile.agent_id for found in views.agents(world.engine, "b", 3)] == ["c", "d"]
    assert views.agent(world.engine, "x") is None


def test_an_agent_is_shown_with_their_state_and_interactions() -> None:
    """`idle_since_ms` is set only while the agent is available and has nothing."""
    world = a_floor()
    found = views.agent(world.engine, "a")
    assert found is not None
    assert (found.state_since_ms, found.idle_since_ms) == (START, 0)
    assert (found.snapshot.used, found.snapshot.total, found.snapshot.state) == (2, 2, AgentState.AVAILABLE)
    assert [notice.attributes.interaction_id for notice in found.snapshot.offers] == ["offered"]
    assert [notice.attributes.interaction_id for notice in found.snapshot.assignments] == ["held"]
    away = views.agent(world.engine, "b")
    assert away is not None
    assert (away.state_since_ms, away.idle_since_ms) == (START + 1_000, 0)
    world.tell(cmd.SetAgentState("b", AgentState.AVAILABLE))
    for name in ("first", "old", "young"):
        world.accept(name)
        world.wait(1)
        world.complete(name)
    back = views.agent(world.engine, "b")
    assert back is not None
    assert back.idle_since_ms == world.now


# Gauges


def test_gauges_count_signed_in_agents_by_state_and_their_capacity() -> None:
    """For each queue: how many wait, and the age of the oldest."""
    world = a_floor()
    lines, states, used, total = views.gauges(world.engine, world.now)
    assert lines == {"q": (3, 7_000), "p": (1, 3_000)}
    assert (states, used, total) == ({"available": 1, "away": 1}, 2, 4)
    world.sign_in("c", state=AgentState.AWAY)
    assert views.gauges(world.engine, world.now)[1:] == ({"available": 1, "away": 2}, 2, 6)
