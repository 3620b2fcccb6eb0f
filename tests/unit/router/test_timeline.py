"""D21: the changes of a waiting interaction that time alone brings, and when."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.policy.model.routing import OverflowRule, Ring, Trigger
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState
from services.router.domain.queries.explain import explain
from services.router.domain.queries.timeline import Moment
from tests.unit.router.world import START, World, a_pool, a_queue, all_of, an_agent, only, requires

LONG = 10**9


def told(world: World, interaction_id: str = "i") -> list[tuple[int, str, tuple[str, ...]]]:
    """Return the timeline: seconds from now, what, who could take it."""
    found = explain(world.engine, interaction_id)
    assert found is not None
    return [((m.at_ms - world.now) // 1_000, m.what, m.agents) for m in found.timeline]


def a_world(*agents: object, **queue: object) -> World:
    """Return a world with a queue `q` and a queue `other`, whose agents are signed in."""
    world = World(a_pool(*agents, queues=[a_queue(**queue), a_queue("other")], lease_ms=LONG))  # type: ignore[arg-type]
    world.sign_in(*(agent.agent_id for agent in agents))  # type: ignore[attr-defined]
    return world


def test_a_requirement_that_relaxes_names_what_is_enough_then_and_who_has_it() -> None:
    """French 5 is required; after 20 s French 3 is enough: then Sara; after 60 s nothing is required: then Lim too."""
    french = requires("french", 5, steps=((20_000, 3.0),), expires_after_ms=60_000)
    world = a_world(an_agent("sara", {"french": 3}), an_agent("lim"), requirements=(french,))
    world.enqueue("i")
    assert told(world) == [
        (20, "french >= 3 is enough", ("sara",)),
        (60, "nothing more is required", ("lim", "sara")),
    ]


def test_a_ring_admits_agents_of_another_queue() -> None:
    world = a_world(an_agent("omid", queues=("other",)), rings=(Ring(30_000, queues=("other",)),))
    world.enqueue("i")
    assert told(world) == [(30, "agents of other are asked too, nothing more is required", ("omid",))]


def test_a_schedule_a_delay_a_reservation_and_a_decline_end_at_their_times() -> None:
    world = a_world(an_agent("a"), delay_ms=30_000)
    world.enqueue("i")
    assert told(world) == [(30, "the delay of its queue passes", ("a",))]
    world = a_world(an_agent("a"))
    world.enqueue("i", start_at_ms=world.now + 600_000)
    assert told(world) == [(600, "its time comes", ("a",))]
    world = a_world(an_agent("a"))
    world.enqueue("i")
    world.tell(cmd.DeclineOffer("a", world.engine.core.interactions["i"].offers["a"].offer_id, retry_after_ms=40_000))
    assert told(world) == [(40, "agents who were passed over may be asked again", ("a",))]


def test_a_rule_that_moves_it_ends_the_timeline() -> None:
    """Later changes are those of the other queue."""
    rules = (
        OverflowRule("many", Trigger.LENGTH, 5_000, add_priority=1),
        OverflowRule("urgent", Trigger.WAIT, 10_000, add_priority=5),
        OverflowRule("late", Trigger.WAIT, 30_000, queue="other"),
        OverflowRule("never", Trigger.WAIT, 60_000, cancel=True),
    )
    world = a_world(overflow=rules)
    world.enqueue("i")
    assert told(world) == [
        (10, "overflow rule urgent changes its priority", ()),
        (30, "overflow rule late moves it to other", ()),
    ]
    moved = only([e for e in world.wait(30_000) if not isinstance(e, fx.Result)][1:], fx.Overflowed)
    assert moved.rule == "late"


def test_a_rule_that_cancels_it_ends_the_timeline_and_one_that_has_fired_is_past() -> None:
    rules = (
        OverflowRule("urgent", Trigger.WAIT, 10_000, add_priority=5),
        OverflowRule("end", Trigger.WAIT, 20_000, cancel=True),
        OverflowRule("later", Trigger.WAIT, 30_000, requirements=(requires("x"),)),
    )
    world = a_world(overflow=rules)
    world.enqueue("i")
    world.wait(15_000)
    assert told(world) == [(5, "overflow rule end cancels it", ())]


def test_a_team_is_preferred_for_a_while() -> None:
    """Sara's team is asked alone, and Sara is busy; after 8 s Omid of another team is asked."""
    agents = (an_agent("omid", team="south"), an_agent("sara", team="north"))
    world = a_world(*agents, sticky_team_ms=8_000)
    world.tell(cmd.SetAgentState("omid", AgentState.AWAY))
    world.holds("sara", "other")
    world.tell(cmd.SetAgentState("omid", AgentState.AVAILABLE))
    world.enqueue("i", preferred_team="north")
    assert told(world) == [(8, "it is no longer kept for the team north", ("omid",))]


def test_asking_changes_nothing() -> None:
    """The engine is at the same time, and in the same state."""
    world = a_world(an_agent("a"), delay_ms=30_000, sticky_team_ms=8_000)
    world.enqueue("i", start_at_ms=world.now + 5_000)
    core = world.engine.core
    before = core.now, replace(core.interactions["i"])
    assert told(world)
    assert (core.now, core.interactions["i"]) == before


def test_nothing_is_foretold_for_work_that_an_agent_has() -> None:
    world = a_world(an_agent("a"), delay_ms=30_000)
    world.enqueue("i")
    world.wait(30_000)
    assert told(world) == []
    world.accept("i")
    assert told(world) == []


STEPS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5)), max_size=3, unique_by=lambda step: step[0])


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    STEPS,
    st.sampled_from([0, 25_000, 45_000]),
    st.sampled_from([0, 10_000, 50_000]),
    st.sampled_from([(), (Ring(15_000, lower=(("french", 1.0),)),), (Ring(35_000, drop=("french",)),)]),
)
def test_the_first_moment_with_an_agent_is_when_it_is_offered_to_one_of_them(
    levels: list[int], steps: list[tuple[int, int]], expires_ms: int, delay_ms: int, rings: tuple[Ring, ...]
) -> None:
    """For an interaction alone in its pool, the timeline comes true without any command; asking changes nothing."""
    rising = tuple((after * 1_000, float(number)) for after, number in sorted(steps))
    needs = requires("french", 6, steps=rising, expires_after_ms=expires_ms)
    agents = [an_agent(f"a{n}", {"french": level}) for n, level in enumerate(levels)]
    world = a_world(*agents, requirements=(needs,), delay_ms=delay_ms, rings=rings)
    world.enqueue("i")
    if world.offered("i"):
        return
    found = explain(world.engine, "i")
    assert found is not None
    first: Moment | None = next((m for m in found.timeline if m.able), None)
    offers = [(e.agent_id, e.expires_at_ms) for e in all_of(world.wait(120_000), fx.Offered)][:1]
    if first is None:
        assert offers == []
        return
    offer_ms = world.engine.core.config.queues[0].offer_ms if world.engine.core.config else 0
    ((agent, expires_at),) = offers
    assert expires_at - offer_ms == first.at_ms >= START
    assert agent in first.agents or first.able > len(first.agents)
