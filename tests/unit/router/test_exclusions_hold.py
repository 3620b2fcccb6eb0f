"""Properties of exclusions, checked without the engine's own tests for them, over random lives of a few interactions and agents."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState, OfferEnd, Stage
from tests.unit.router.world import GATEWAY, World, a_pool, a_queue, an_agent

FOREVER = 10**12
AGENTS = ("a", "b", "c")
ASK_AGAIN_MS = 30_000
DOINGS = (
    "enqueue",
    "accept",
    "accept",
    "decline",
    "decline for",
    "reroute",
    "transfer",
    "complete",
    "away",
    "back",
    "back",
    "again",
    "out",
    "wait",
)
STEPS = st.lists(
    st.tuples(st.sampled_from(DOINGS), st.integers(0, 5), st.sampled_from([1, 3_000, 12_000])), max_size=40
)
SETTINGS = settings(max_examples=200, derandomize=True, suppress_health_check=list(HealthCheck))


@dataclass
class Life:
    """A pool of three agents of whom each takes one interaction at a time, and what was observed of it."""

    world: World
    had: dict[str, set[str]] = field(default_factory=dict)
    """By interaction: agents from whom it was taken, or who transferred it in their present sign-in, since an agent held it."""
    given_back: int = 0
    read: int = 0

    def do(self, what: str, which: int, ms: int) -> None:
        """Do one thing, if it can be done now, and look at what followed."""
        world, agent = self.world, AGENTS[which % 3]
        interactions = sorted(world.engine.core.interactions)
        name = interactions[which % len(interactions)] if interactions else ""
        known = world.engine.core.interactions.get(name)
        offered, held = known is not None and known.offer is not None, known is not None and bool(known.agent_id)
        match what:
            case "enqueue" if len(interactions) < 4:
                world.enqueue()
            case "accept" if offered:
                world.accept(name)
            case "decline" if offered:
                world.decline(name)
            case "decline for" if offered:
                world.decline(name, retry_after_ms=ms)
            case "reroute" if held:
                world.tell(cmd.Reroute(name, ("q", "breach")[which % 2]))
            case "transfer" if held and known is not None:
                world.tell(cmd.TransferInteraction(known.agent_id, name, ("q", "breach")[which % 2]))
            case "complete" if held:
                world.complete(name)
            case "away":
                world.tell(cmd.SetAgentState(agent, AgentState.AWAY))
            case "back":
                world.tell(cmd.SetAgentState(agent, AgentState.AVAILABLE))
            case "again":
                world.tell(cmd.SignIn(agent, f"{world.fresh()}-{agent}", reply_to=GATEWAY))
                for name_ in self.transferred_by(agent):
                    self.had[name_].discard(agent)
            case "out":
                world.tell(cmd.SetAgentState(agent, AgentState.OFFLINE))
            case "wait":
                world.wait(ms)
        self.look()

    def transferred_by(self, agent: str) -> list[str]:
        """Return the interactions that the agent transferred: a new sign-in ends that."""
        return [name for name, agents in self.had.items() if agent in agents and (name, agent) not in self.taken]

    taken: set[tuple[str, str]] = field(default_factory=set)
    """Interactions that were taken from agents, whom a new sign-in does not help."""

    def look(self) -> None:
        """Follow the new events: when an agent is asked to take back what they had, no other agent at a desk could take it."""
        for effect in self.world.log[self.read :]:
            match effect:
                case fx.Transferred(attributes=of, from_agent_id=agent, reason=reason) if agent:
                    self.had.setdefault(of.interaction_id, set()).add(agent)
                    if reason == "REROUTED":
                        self.taken.add((of.interaction_id, agent))
                case fx.Assigned(attributes=of):
                    self.had.pop(of.interaction_id, None)
                    self.taken -= {(of.interaction_id, agent) for agent in AGENTS}
                case fx.Offered(attributes=of, agent_id=agent) if agent in self.had.get(of.interaction_id, ()):
                    self.given_back += 1
                    assert not self.others(of.interaction_id), f"{of.interaction_id} is given back to {agent}"
        self.read = len(self.world.log)

    def there(self) -> list[str]:
        """Return the agents who are at their desks."""
        return [agent for agent in AGENTS if self.world.state(agent) is AgentState.AVAILABLE]

    def declined(self, name: str) -> set[str]:
        """Return agents whose last answer about an interaction was that they do not want it."""
        last: dict[str, bool] = {}
        for effect in self.world.log:
            match effect:
                case fx.OfferEnded(attributes=of, agent_id=agent, end=end) if of.interaction_id == name:
                    last[agent] = end is OfferEnd.DECLINED or last.get(agent, False)
                case fx.Assigned(attributes=of, agent_id=agent) if of.interaction_id == name:
                    last[agent] = False
        return {agent for agent, no in last.items() if no}

    def others(self, name: str) -> list[str]:
        """Return agents at their desks who did not have it and did not decline it."""
        against = self.had.get(name, set()) | self.declined(name)
        return [agent for agent in self.there() if agent not in against]


def live(steps: list[tuple[str, int, int]]) -> Life:
    """Live through these steps."""
    queues = [a_queue(ask_again_ms=ASK_AGAIN_MS), a_queue("breach", ask_again_ms=ASK_AGAIN_MS)]
    life = Life(World(a_pool(*map(an_agent, AGENTS), queues=queues, lease_ms=FOREVER, grace_ms=FOREVER)))
    for agent in AGENTS:
        life.world.sign_in(agent)
        life.world.wait(1)
    for step in steps:
        life.do(*step)
    return life


@SETTINGS
@given(STEPS)
def test_what_an_agent_had_is_not_given_back_while_another_could_take_it(steps: list[tuple[str, int, int]]) -> None:
    live(steps)


@SETTINGS
@given(STEPS)
def test_nothing_waits_for_ever_while_an_agent_who_could_take_it_is_free(steps: list[tuple[str, int, int]]) -> None:
    """Agents come back whenever they did not answer, and hold what they hold. Soon every free agent is asked about everything that waits,
    except what they had or declined while another agent, who is busy, could take it."""
    life = live(steps)
    world, core = life.world, life.world.engine.core
    for _ in range(60):
        for agent in AGENTS:
            world.tell(cmd.SetAgentState(agent, AgentState.AVAILABLE))
        world.wait(1_000)
        life.look()
    for interaction in core.interactions.values():
        for agent in life.there() if interaction.stage is Stage.WAITING else ():
            if core.agents[agent].load:
                continue
            excused = agent in life.had.get(interaction.id, ()) or agent in life.declined(interaction.id)
            assert excused, f"{interaction.id} waits while {agent} is free"
            assert life.others(interaction.id), f"{interaction.id} waits in vain while {agent} is free"


def test_the_lives_contain_what_is_given_back() -> None:
    """Otherwise the first property would say nothing."""
    steps = [("enqueue", 0, 1), ("accept", 0, 1), ("out", 1, 1), ("out", 2, 1), ("reroute", 0, 1)]
    assert live(steps).given_back == 1
