"""The choice among many agents: both ways to find the best one give the same answer, and the decision is remembered.

`test_oracle` compares small pools with the oracle. Here more than 64 agent groups have room, so the engine walks the orders of
the whole pool instead of looking at each group. A naive search through all agents must find the same.
"""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from services.policy.model.eligibility import meets, score
from services.policy.model.routing import CapacityProfile, ChannelCapacity, Choice, Selector
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.assignment.choosing import REASONS
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent
from tests.unit.router.world import World, a_capacity, a_pool, a_queue, an_agent, only, requires

LONG = 10**9
HOUR = 3_600_000
MANY = 90
FEW = 64
CHOICES = (Choice.LONGEST_IDLE, Choice.LOAD_RATIO, Choice.SKILL_SCORE, Choice.ROUND_ROBIN, Choice.ADAPTIVE)


def name_of(choice: Choice) -> str:
    """Return the name of the queue with this choice."""
    return choice.name.lower()


def a_crowd(seed: int, agents: int = MANY) -> tuple[World, random.Random]:
    """Return a world with many agents, each a group of their own, with different loads and idle times; a queue for each choice, two for demand."""
    dice = random.Random(seed)
    others = ("asked", "wanted")
    team = [
        an_agent(
            f"a{n:02}",
            {"x": dice.randint(1, 5), f"only{n}": 1},
            capacity_profile=f"of {dice.choice((2, 3, 4))}",
            queues=dice.choice(((), (), (*map(name_of, CHOICES), dice.choice(others)))),
        )
        for n in range(agents)
    ]
    queues = [a_queue(name_of(choice), choice=choice, offer_ms=HOUR) for choice in CHOICES] + [
        a_queue(name) for name in others
    ]
    capacity = [a_capacity(total, name=f"of {total}") for total in (2, 3, 4)]
    world = World(a_pool(*team, queues=queues, capacity=capacity, lease_ms=LONG))
    for profile in dice.sample(team, len(team)):
        world.sign_in(profile.agent_id)
        world.wait(dice.choice((0, 0, 1_000)))
    for n in range(agents):
        world.enqueue(f"before{n}", queue=dice.choice(others))
        world.accept(f"before{n}")
        world.wait(dice.choice((0, 1_000)))
    return world, dice


def busy(agent: Agent) -> bool:
    """Whether the agent has any interaction."""
    return bool(agent.load)


def demand_elsewhere(core: PoolState, agent: Agent, queue: str) -> float:
    """Return the demand on the agent's other queues."""
    names = [n for n in core.histories if n != queue and agent.group.serves_queue(n)]
    return sum(core.histories[name].demand(core.now) for name in names)


def naive(core: PoolState, choice: Choice, wanted: Selector, but: str = "") -> tuple[list[str], int]:
    """Return all agents who could take it, best first, from a search through all agents; and their number."""
    queue = name_of(choice)
    able = [
        agent
        for agent in core.agents.values()
        if agent.id != but
        and agent.group.serves_queue(queue)
        and meets(wanted, agent.skills)
        and agent.group.capacity.fits(agent.load, "chat")
    ]
    idle: Callable[[Agent], tuple[bool, int, str]] = lambda a: (busy(a), a.ranked_since, a.id)  # noqa: E731
    keys: dict[Choice, Callable[[Agent], tuple[object, ...]]] = {
        Choice.LONGEST_IDLE: idle,
        Choice.LOAD_RATIO: lambda a: (a.group.capacity.ratio(a.load), a.ranked_since, a.id),
        Choice.SKILL_SCORE: lambda a: (-score((wanted,), a.skills), *idle(a)),
        Choice.ROUND_ROBIN: lambda a: (a.turn, a.id),
        Choice.ADAPTIVE: lambda a: (demand_elsewhere(core, a, queue), *idle(a)),
    }
    among = sorted(able, key=idle)[:FEW] if choice is Choice.ADAPTIVE and len(able) > FEW else able
    return [agent.id for agent in sorted(among, key=keys[choice])], len(able)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize(("agents", "seed"), [(MANY, 1), (MANY, 2), (20, 3)])
def test_both_ways_find_the_best_of_many(choice: Choice, agents: int, seed: int) -> None:
    """In sixty decisions, the winner and the next ones are those of the naive search, also when agents have declined."""
    world, dice = a_crowd(seed, agents)
    core = world.engine.core
    for n in range(60):
        wanted = requires("x", dice.choice((1, 1, 2, 4)))
        ranked, able = naive(core, choice, wanted)
        if not ranked:
            break
        second, _ = naive(core, choice, wanted, but=ranked[0])
        offered = only(world.enqueue(f"i{n}", queue=name_of(choice), requirements=(wanted,)), fx.Offered)
        found = [agent for agent, _ in core.interactions[f"i{n}"].rationale.candidates]
        assert found == ranked[: len(found)]
        assert len(found) >= (1 if choice is Choice.SKILL_SCORE else min(2, able))
        assert (offered.agent_id, offered.reason, offered.considered) == (ranked[0], REASONS[choice], agents)
        assert offered.eligible == able if agents < FEW else 1 <= offered.eligible <= MANY
        if dice.random() < 0.3:
            world.decline(f"i{n}")
            assert world.offered(f"i{n}") == (second[0] if second else "")
        if dice.random() < 0.5 and world.offered(f"i{n}"):
            world.accept(f"i{n}")
        world.wait(dice.choice((0, 500)))


@pytest.mark.parametrize(
    ("choice", "reason", "measure"),
    [
        (Choice.LONGEST_IDLE, "LONGEST_IDLE", ""),
        (Choice.UNSPECIFIED, "LONGEST_IDLE", ""),
        (Choice.LOAD_RATIO, "LEAST_LOAD", "load_ratio"),
        (Choice.SKILL_SCORE, "BEST_SKILL_SCORE", "skill_score"),
        (Choice.ROUND_ROBIN, "NEXT_IN_TURN", "turn"),
        (Choice.ADAPTIVE, "LEAST_DEMAND_ELSEWHERE", "demand"),
    ],
)
def test_a_decision_keeps_the_best_five_with_their_measures(choice: Choice, reason: str, measure: str) -> None:
    """It also keeps when it was made, how many could have taken it, and how many agents there are."""
    team = [an_agent(f"a{n}", {"x": 2}) for n in range(7)]
    world = World(a_pool(*team, an_agent("b"), queues=[a_queue(choice=choice)], lease_ms=LONG))
    for profile in team:
        world.sign_in(profile.agent_id)
        world.wait(1_000)
    offered = only(world.enqueue("i", requirements=(requires("x", 2),)), fx.Offered)
    rationale = world.engine.core.interactions["i"].rationale
    assert (rationale.at_ms, rationale.eligible, rationale.considered) == (world.now, 7, 8)
    assert (offered.reason, offered.eligible, offered.considered) == (reason, 7, 8)
    assert [agent for agent, _ in rationale.candidates] == [f"a{n}" for n in range(5)]
    values = {"load_ratio": 0.0, "skill_score": 0.5, "turn": 0.0, "demand": 0.0}
    first = ("idle_ms", 7_000.0)
    assert rationale.candidates[0][1] == (((measure, values[measure]), first) if measure else (first,))
    assert rationale.candidates[4][1][-1] == ("idle_ms", 3_000.0)


def test_demand_of_other_queues_counts_recent_arrivals() -> None:
    """Only queues whose own requirements the agent meets count; demand is halved after five minutes."""
    queues = [
        a_queue("q", choice=Choice.ADAPTIVE),
        a_queue("busy"),
        a_queue("hard", requirements=(requires("x", 9),)),
    ]
    world = World(a_pool(an_agent("a"), queues=queues, capacity=a_capacity(9), lease_ms=LONG))
    world.sign_in("a")
    for n in range(2):
        world.enqueue(f"b{n}", queue="busy")
        world.accept(f"b{n}")
        world.enqueue(f"h{n}", queue="hard")
    world.wait(300_000)
    world.enqueue("i")
    measures = dict(world.engine.core.interactions["i"].rationale.candidates[0][1])
    assert measures["demand"] == pytest.approx(1.0)


# Kept for one agent, or parked


def test_a_reserved_interaction_is_offered_with_its_own_reason() -> None:
    queue = a_queue(sticky_ms=60_000)
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[queue], lease_ms=LONG))
    world.sign_in("a", "b")
    world.wait(2_000)
    for name, attributes, reason in (
        ("asked", {"preferred_agent": "b"}, "PREFERRED_AGENT"),
        ("last", {"person_id": "p-asked"}, "LAST_AGENT"),
    ):
        offered = only(world.enqueue(name, **attributes), fx.Offered)
        assert (offered.agent_id, offered.reason, offered.eligible, offered.considered) == ("b", reason, 1, 1)
        world.accept(name)
        world.complete(name)
        world.wait(1_000)
    decided = world.engine.core.interactions
    world.enqueue("again", person_id="p-asked")
    assert decided["again"].rationale.candidates == (("b", (("idle_ms", 1_000.0),)),)
    assert decided["again"].rationale.at_ms == world.now


def test_a_call_goes_to_the_agent_who_parks_least_then_to_the_longest_idle() -> None:
    """The same holds when only freed agents are looked at."""
    voice = ChannelCapacity("voice", 4, exclusive=True, interrupts=("mail",))
    profile = CapacityProfile("", 4, (voice, ChannelCapacity("mail", 1)), 1)
    team = [an_agent(name, {f"only {name}": 1}) for name in "abc"]
    world = World(a_pool(*team, capacity=profile, lease_ms=LONG))
    world.sign_in("a", "b", "c")
    for n, agent in enumerate("aacb"):
        world.enqueue(f"m{n}", channel="mail", requirements=(requires(f"only {agent}"),))
        world.accept(f"m{n}")
        world.wait(1_000)
    offered = only(world.enqueue("call", channel="voice"), fx.Offered)
    assert (offered.agent_id, offered.reason, offered.eligible, offered.considered) == ("c", "INTERRUPTS", 1, 3)
    assert world.engine.core.interactions["call"].rationale.candidates == (("c", (("parked", 1.0),)),)
    second = only(world.enqueue("second", channel="voice"), fx.Offered)
    assert second.agent_id == "b"
    third = only(world.enqueue("third", channel="voice"), fx.Offered)
    assert third.agent_id == "a"
    assert world.engine.core.interactions["third"].rationale.candidates == (("a", (("parked", 2.0),)),)
    world.enqueue("fourth", channel="voice")
    assert world.offered("fourth") == ""
    world.decline("second")
    assert (world.offered("second"), world.offered("fourth")) == ("", "b")


def test_kept_free_counts_agents_who_would_have_to_park_something() -> None:
    """Two agents could take a call, one of them after parking; one is kept free, so one call is offered and the next is not."""
    voice = ChannelCapacity("voice", 2, exclusive=True, interrupts=("mail",))
    profile = CapacityProfile("", 2, (voice, ChannelCapacity("mail", 1)), 1)
    queues = [a_queue(keep_free=1), a_queue("mails")]
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=queues, capacity=profile, lease_ms=LONG))
    world.sign_in("a", "b")
    world.enqueue("mail", queue="mails", channel="mail")
    world.accept("mail")
    assert world.offered("mail") == ""
    world.enqueue("one", channel="voice")
    assert world.offered("one") == "b"
    world.enqueue("two", channel="voice")
    assert world.offered("two") == ""
    world.tell(cmd.CancelInteraction("one"))
    assert world.offered("two") == "b"


@pytest.mark.parametrize("by", ["profile", "configuration"])
def test_more_capacity_resumes_parked_interactions_and_then_serves_waiting_ones(by: str) -> None:
    """Whether the agent gets another profile, or the profile another total: both happen at once."""
    small, large = (
        CapacityProfile(name, total, (ChannelCapacity("voice", 2, interrupts=("mail",)),), 1)
        for name, total in (("small", 2), ("large", 4))
    )
    agent = an_agent("a", capacity_profile="small")
    world = World(a_pool(agent, capacity=[small, large], lease_ms=LONG))
    world.sign_in("a")
    world.enqueue("mail", channel="mail")
    world.accept("mail")
    world.enqueue("call", channel="voice")
    world.accept("call")
    world.enqueue("next", channel="mail")
    assert (world.offered("next"), world.engine.core.interactions["mail"].parked) == ("", True)
    if by == "profile":
        world.tell(cmd.UpsertAgent(an_agent("a", capacity_profile="large")))
    else:
        assert world.config is not None
        grown = replace(small, total=4)
        world.tell(cmd.ActivateConfiguration(replace(world.config, version=2, profiles=(grown, large))))
    assert not world.engine.core.interactions["mail"].parked
    assert world.offered("next") == "a"
