"""D21: carrying out the smallest change routes the work, whatever keeps agents from taking it; and nothing less does."""

import re
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from services.router.domain import commands as cmd
from services.router.domain.model import AgentState
from services.router.domain.queries.explain import explain
from tests.unit.router.world import World, a_pool, a_queue, an_agent, requires

LONG = 10**9


@dataclass(frozen=True, slots=True)
class Desk:
    """An agent and what keeps them from taking the work."""

    skill: float
    serves: bool
    busy: bool
    """Holds one interaction, as many as fit."""
    state: str

    @property
    def obstacles(self) -> int:
        """Number of things that must change."""
        return (self.skill < 3) + (not self.serves) + self.busy + (self.state != "available")


DESKS = st.builds(
    Desk,
    st.sampled_from([0.0, 1.0, 3.0]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["available", "away", "offline", "lost"]),
)


def a_world(desks: list[Desk]) -> World:
    """Return the agents a0, a1 …, as the desks say."""
    agents = [
        an_agent(
            f"a{n}", {"french": d.skill} if d.skill else {}, queues=(f"own-{n}", "q") if d.serves else (f"own-{n}",)
        )
        for n, d in enumerate(desks)
    ]
    queues = [a_queue(requirements=(requires("french", 3),)), *(a_queue(f"own-{n}") for n in range(len(desks)))]
    world = World(a_pool(*agents, queues=queues, lease_ms=LONG, grace_ms=LONG))
    for n, desk in enumerate(desks):
        if desk.state == "offline" and not desk.busy:
            continue
        world.sign_in(f"a{n}")
        if desk.busy:
            world.holds(f"a{n}", f"work-{n}", queue=f"own-{n}")
        if desk.state == "away":
            world.tell(cmd.SetAgentState(f"a{n}", AgentState.AWAY))
        elif desk.state in ("lost", "offline"):
            world.tell(cmd.CloseSession(f"a{n}", f"s-a{n}"))
    return world


def carry_out(world: World, change: str) -> None:
    """Do what the text says."""
    for part in change.split(" and "):
        found = re.fullmatch(
            r"(?P<agent>a\d) (?P<what>signs in|becomes available|reconnects|gets the skill|is given this queue|finishes something)"
            r"|the requirement is lowered to what (?P<lowered>a\d) has",
            part,
        )
        assert found is not None, part
        agent_id = found["agent"] or found["lowered"]
        agent = world.engine.core.agents[agent_id]
        match found["what"]:
            case "signs in":
                world.sign_in(agent_id)
            case "becomes available":
                world.tell(cmd.SetAgentState(agent_id, AgentState.AVAILABLE))
            case "reconnects":
                world.sign_in(agent_id, session="again", resumes=f"s-{agent_id}")
            case "gets the skill":
                world.tell(cmd.UpsertAgent(replace(agent.profile, skills=(("french", 3.0),))))
            case "is given this queue":
                world.tell(cmd.UpsertAgent(replace(agent.profile, queues=(*agent.profile.queues, "q"))))
            case "finishes something":
                world.tell(cmd.CompleteInteraction(agent_id, f"work-{agent_id[1:]}"))
            case _:
                lowered = (requires("french", agent.skills["french"]),)
                assert world.engine.core.config is not None
                config = world.engine.core.config
                queues = tuple(replace(q, requirements=lowered) if q.name == "q" else q for q in config.queues)
                named = tuple(each.profile for each in world.engine.core.agents.values())
                pool = replace(config, version=config.version + 1, queues=queues, agents=named)
                world.tell(cmd.ActivateConfiguration(pool))


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.lists(DESKS, min_size=1, max_size=3))
def test_the_smallest_change_routes_the_work(desks: list[Desk]) -> None:
    """It is about the agent with the fewest obstacles, and names them all."""
    world = a_world(desks)
    world.enqueue("i")
    found = explain(world.engine, "i")
    assert found is not None
    if world.offered("i"):
        assert found.smallest_change == ""
        return
    parts = found.smallest_change.split(" and ")
    assert len(parts) == min(desk.obstacles for desk in desks)
    event(f"{len(parts)} changes")
    carry_out(world, found.smallest_change)
    assert world.offered("i"), found.smallest_change


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(DESKS.filter(lambda desk: desk.obstacles > 1), min_size=1, max_size=3), st.data())
def test_a_part_of_it_is_not_enough(desks: list[Desk], data: st.DataObject) -> None:
    world = a_world(desks)
    world.enqueue("i")
    found = explain(world.engine, "i")
    assert found is not None
    parts = found.smallest_change.split(" and ")
    left = data.draw(st.sampled_from(parts), label="left out")
    carry_out(world, " and ".join(part for part in parts if part != left))
    assert not world.offered("i")
