"""Explanations: every reason with its text, every stage with its summary, counts, examples, and the smallest change."""

from typing import Any

import pytest

from services.policy.model.routing import CapacityProfile, ChannelCapacity, Choice, PoolConfig, Ring, Selector
from services.router.domain import commands as cmd
from services.router.domain.model import AgentState, Stage
from services.router.domain.queries.explain import Explanation, explain
from tests.unit.router.world import World, a_capacity, a_pool, a_queue, an_agent, requires

LONG = 10**9


def said(world: World, interaction_id: str = "i") -> Explanation:
    """Return the explanation of an open interaction, at the time of the engine's last batch."""
    world.engine.advance(world.now)
    found = explain(world.engine, interaction_id)
    assert found is not None
    return found


def left_out(world: World, interaction_id: str = "i") -> list[tuple[str, str, int, list[str]]]:
    """Return the excluded agents by reason."""
    found = said(world, interaction_id).excluded
    return [(x.reason, x.detail, x.count, x.examples) for x in found]


def one(agent: dict[str, Any] | None = None, **queue: Any) -> World:
    """Return a world with one agent `a`, signed in, and one queue."""
    world = World(a_pool(an_agent("a", **(agent or {})), queues=[a_queue(**queue), a_queue("other")], lease_ms=LONG))
    world.sign_in("a")
    return world


# Each reason alone


def test_only_open_interactions_are_explained() -> None:
    assert explain(one().engine, "i") is None


def test_not_before_its_queues_delay() -> None:
    world = one(delay_ms=5_000)
    world.enqueue("i")
    world.wait(1_400)
    assert left_out(world) == [("DELAYED", "4 s from now", 1, ["a"])]
    assert said(world).smallest_change == "the queue's delay passes"
    assert said(world).summary == "Waits: none of 1 agents can take it now (1 DELAYED (4 s from now))."


def test_not_before_its_start() -> None:
    world = one()
    world.enqueue("i", start_at_ms=world.now + 20_000)
    world.wait(5_000)
    assert left_out(world) == [("SCHEDULED", "15 s from now", 1, ["a"])]
    found = said(world)
    assert (found.state, found.smallest_change, found.considered) == ("scheduled", "its time comes", 1)
    assert (found.reason, found.decided_at_ms) == ("ENQUEUED", world.now - 5_000)
    assert found.summary == "Scheduled: it is queued 15 s from now."


def test_an_agent_of_another_queue_is_excluded_until_a_ring_adds_it() -> None:
    rings = (Ring(5_000, queues=("other",)),)
    world = one({"queues": ("other",)}, rings=rings, requirements=(requires("x"),))
    world.enqueue("i")
    assert left_out(world) == [("QUEUE_NOT_SERVED", "q", 1, ["a"])]
    assert said(world).smallest_change == "a gets the skill and a is given this queue"
    world.wait(5_000)
    assert left_out(world) == [("SKILL_MISSING", "x >= 1", 1, ["a"])]
    assert said(world).smallest_change == "a gets the skill"
    world = one({"queues": ("other",)})
    world.enqueue("i")
    assert said(world).smallest_change == "a is given this queue"


@pytest.mark.parametrize(
    ("selector", "reason", "detail", "change"),
    [
        (requires("persian", 6), "SKILL_TOO_LOW", "persian >= 6", "the requirement is lowered to what a has"),
        (requires("french", 6), "SKILL_MISSING", "french >= 6", "a gets the skill"),
        (Selector("city", text="qom"), "SKILL_TOO_LOW", "city >= qom", "the requirement is lowered to what a has"),
        (Selector("persia", text="qom"), "SKILL_MISSING", "persia >= qom", "a gets the skill"),
    ],
)
def test_a_skill_that_is_missing_or_too_low(selector: Selector, reason: str, detail: str, change: str) -> None:
    world = one({"skills": {"persian": 5, "city=tehran": 1}})
    world.enqueue("i", requirements=(selector,))
    assert left_out(world) == [(reason, detail, 1, ["a"])]
    assert said(world).smallest_change == change


def test_kept_for_another_agent() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(sticky_ms=60_000)], lease_ms=LONG))
    world.sign_in("a")
    world.holds("a", "busy")
    world.enqueue("i", preferred_agent="a")
    world.sign_in("b")
    assert left_out(world) == [("KEPT_FOR_ANOTHER_AGENT", "a", 1, ["b"]), ("NO_CAPACITY", "chat", 1, ["a"])]
    found = said(world)
    assert found.summary == "Waits for a."
    assert found.smallest_change == "a finishes something"
    world.tell(cmd.AssignInteraction("busy", "b", force=True))
    world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    assert world.offered("i") == "b"


def test_a_decline_with_and_without_a_time() -> None:
    world = one()
    world.enqueue("i")
    world.decline("i")
    until = "until the agent signs in again, or, from 300 s from now on, no other agent could take it"
    assert left_out(world) == [("DECLINED", until, 1, ["a"])]
    assert said(world).smallest_change == "a signs in again"
    world = one()
    world.enqueue("i")
    world.decline("i", retry_after_ms=1_000)
    assert left_out(world) == [("DECLINED", "until 1 s from now, as the agent asked", 1, ["a"])]


def test_the_transferring_agent_of_a_warm_transfer_is_excluded() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue()], lease_ms=LONG))
    world.sign_in("a")
    world.holds("a", "i")
    world.sign_in("b")
    world.tell(cmd.TransferInteraction("a", "i", warm=True))
    assert world.offered("i") == "b"
    assert left_out(world)[0] == ("TRANSFERRING_AGENT", "until another agent accepts the warm transfer", 1, ["a"])


def test_an_agent_with_an_open_offer_is_excluded() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(max_offers=3)], lease_ms=LONG))
    world.sign_in("a", "b")
    world.enqueue("i")
    assert left_out(world) == [("ALREADY_OFFERED", "", 1, ["b"])]
    assert said(world).summary == "Offered to a, b: 1 of 2 agents could take it."


@pytest.mark.parametrize(
    ("state", "change"), [(AgentState.AWAY, "a becomes available"), (AgentState.OFFLINE, "a signs in")]
)
def test_an_agent_who_is_away_or_offline_is_excluded(state: AgentState, change: str) -> None:
    world = one()
    world.tell(cmd.SetAgentState("a", state, "LUNCH"))
    world.enqueue("i")
    detail = "LUNCH" if state is AgentState.AWAY else ""
    assert left_out(world) == [(state.name, detail, 1, ["a"])]
    assert said(world).smallest_change == change


def test_not_responding_a_lost_connection_and_no_credit_exclude_an_agent() -> None:
    world = one()
    world.enqueue("before")
    world.wait(10_000)
    world.enqueue("i")
    assert left_out(world) == [("NOT_RESPONDING", "NO_ANSWER", 1, ["a"])]
    assert said(world).smallest_change == "a becomes available"
    world = one()
    world.tell(cmd.CloseSession("a", "s-a"))
    world.enqueue("i")
    assert left_out(world) == [("CONNECTION_LOST", "", 1, ["a"])]
    assert said(world).smallest_change == "a reconnects"
    world = World(a_pool(an_agent("a"), capacity=a_capacity(5), lease_ms=LONG))
    world.sign_in("a", credits=2)
    for name in ("before", "too", "i"):
        world.enqueue(name)
    assert left_out(world) == [("NO_CREDITS", "2", 1, ["a"])]
    assert said(world).smallest_change == "a answers an offer"


def test_an_agent_who_rests_or_has_parked_work_is_excluded() -> None:
    voice = ChannelCapacity("voice", 2, exclusive=True, interrupts=("mail",))
    profile = CapacityProfile("", 2, (voice, ChannelCapacity("mail", 1)), 1, 0.5, 20_000)
    world = World(a_pool(an_agent("a"), capacity=profile, lease_ms=LONG))
    world.sign_in("a")
    world.enqueue("mail", channel="mail")
    world.accept("mail")
    world.enqueue("call", channel="voice")
    world.enqueue("i")
    assert left_out(world) == [("HAS_PARKED_INTERACTION", "", 1, ["a"])]
    assert said(world).smallest_change == "a finishes what interrupted them and a finishes everything they hold"
    world.accept("call")
    world.wait(20_000)
    world.complete("mail")
    world.complete("call")
    assert left_out(world) == [("RESTING", "", 1, ["a"])]
    assert said(world).smallest_change == "a has rested"


@pytest.mark.parametrize(
    ("channel", "reason", "change"),
    [
        ("chat", "CHANNEL_FULL", "a finishes something on this channel"),
        ("voice", "EXCLUSIVE_CHANNEL", "a finishes everything they hold"),
        ("mail", "NO_CAPACITY", "a finishes something"),
        ("fax", "CHANNEL_NOT_SERVED", "a is given this channel"),
    ],
)
def test_a_channel_that_does_not_fit_excludes_an_agent(channel: str, reason: str, change: str) -> None:
    profile = CapacityProfile(
        "", 10, (ChannelCapacity("chat", 1, 1), ChannelCapacity("voice", 1, 0, True), ChannelCapacity("mail", 10)), 0
    )
    world = World(a_pool(an_agent("a"), capacity=profile, lease_ms=LONG))
    world.sign_in("a")
    world.holds("a", "held")
    world.enqueue("i", channel=channel)
    assert left_out(world) == [(reason, channel, 1, ["a"])]
    assert said(world).smallest_change == change


def test_agents_kept_free_are_excluded() -> None:
    world = one(keep_free=1)
    world.enqueue("i")
    assert left_out(world) == [("KEPT_FREE", "1 are kept free for other queues", 1, ["a"])]
    assert said(world).smallest_change == "one more agent becomes free"


# All together


def test_agents_are_counted_by_their_first_reason_with_three_examples() -> None:
    """Equal counts are ordered by code. The smallest change is that of the agent with the fewest reasons, then the easiest, then the smallest id."""
    agents = [an_agent(f"a{n}") for n in range(5)] + [an_agent("b", {"x": 1}), an_agent("c", {"x": 1}), an_agent("d")]
    world = World(a_pool(*agents, queues=[a_queue(requirements=(requires("x"),))], lease_ms=LONG))
    world.sign_in("a0", "b", "c", "d")
    world.tell(cmd.SetAgentState("b", AgentState.AWAY))
    world.tell(cmd.SetAgentState("c", AgentState.OFFLINE))
    world.enqueue("i")
    assert left_out(world) == [
        ("SKILL_MISSING", "x >= 1", 6, ["a0", "a1", "a2"]),
        ("AWAY", "AGENT", 1, ["b"]),
        ("OFFLINE", "", 1, ["c"]),
    ]
    found = said(world)
    assert (found.smallest_change, found.considered, found.candidates) == ("c signs in", 8, ())
    assert found.summary == (
        "Waits: none of 8 agents can take it now (6 SKILL_MISSING (x >= 1), 1 AWAY (AGENT), 1 OFFLINE)."
    )


def test_a_waiting_interaction_has_a_position_and_the_newest_reason() -> None:
    world = World(a_pool(an_agent("a")))
    world.enqueue("before")
    world.wait(1_000)
    world.enqueue("i")
    world.wait(1_000)
    found = said(world)
    assert (found.state, found.agent_id, found.reason, found.position) == ("waiting", "", "ENQUEUED", 2)
    assert found.decided_at_ms == world.now - 1_000
    assert found.attributes.interaction_id == "i"


def test_without_agents_and_without_a_configuration() -> None:
    world = World(a_pool())
    world.enqueue("i")
    assert (said(world).summary, said(world).smallest_change) == (
        "Waits: the pool has no agents.",
        "an agent is added to the pool",
    )
    world = World()
    world.enqueue("i")
    assert said(world).summary == "Waits: no configuration has been activated in this pool."
    assert said(world).smallest_change == "a configuration is activated"
    world = World(PoolConfig(1))
    world.enqueue("i")
    assert said(world).excluded == ()


# The decision


def test_an_offer_shows_its_candidates_and_the_lead_of_the_first() -> None:
    """Measures are those of the decision: the queue's own, then the idle time of each agent."""
    world = World(
        a_pool(
            an_agent("a", {"s": 9}), an_agent("b", {"s": 6}), queues=[a_queue(choice=Choice.SKILL_SCORE)], lease_ms=LONG
        )
    )
    world.sign_in("b")
    world.wait(2_000)
    world.sign_in("a")
    world.wait(1_000)
    world.enqueue("i", requirements=(requires("s", 3),))
    found = said(world)
    assert (found.state, found.agent_id, found.reason, found.considered) == ("offered", "a", "BEST_SKILL_SCORE", 2)
    assert [(agent, [name for name, _ in measures]) for agent, measures in found.candidates] == [
        ("a", ["skill_score", "idle_ms"]),
        ("b", ["skill_score", "idle_ms"]),
    ]
    assert [dict(measures)["idle_ms"] for _, measures in found.candidates] == [1_000.0, 3_000.0]
    assert (
        found.summary
        == "Offered to a: 2 of 2 agents could take it, ahead of b by skill_score (0.880797 against 0.731059)."
    )
    assert (found.smallest_change, found.position, left_out(world)) == ("", 0, [])


def test_among_equal_agents_the_smaller_id_is_first() -> None:
    world = World(a_pool(an_agent("a"), an_agent("b"), lease_ms=LONG))
    world.sign_in("b", "a")
    world.enqueue("i")
    assert said(world).summary == "Offered to a: 2 of 2 agents could take it, level with b and first by id."


def test_held_parked_and_wrapped_up_interactions_are_summarised() -> None:
    """The number of agents is that of the decision."""
    voice = ChannelCapacity("voice", 2, exclusive=True, interrupts=("mail",))
    profile = CapacityProfile("", 2, (voice, ChannelCapacity("mail", 1)), 1)
    queue = a_queue(wrap_up_ms=5_000)
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[queue], capacity=profile, lease_ms=LONG))
    world.sign_in("a", "b")
    world.tell(cmd.SetAgentState("b", AgentState.AWAY))
    world.enqueue("i", channel="mail")
    world.accept("i")
    assert said(world).summary == "Held by a, chosen from 1 who could take it."
    assert (said(world).state, said(world).agent_id) == ("assigned", "a")
    world.enqueue("call", channel="voice")
    assert said(world).summary == "Held by a, parked for something more urgent, chosen from 1 who could take it."
    assert said(world, "call").candidates == (("a", (("parked", 1.0),)),)
    world.accept("call")
    world.complete("call")
    assert said(world, "call").summary == "Completed; a is wrapping up."
    assert said(world, "call").state == "wrap-up"
    assert world.engine.core.interactions["call"].stage is Stage.WRAP_UP
