"""Sessions that are opened again: resumed in time, resumed late, or new."""

import pytest

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState
from tests.unit.router.world import World, a_pool, an_agent, only


@pytest.mark.parametrize(("resumes", "offered", "reason"), [("s-a", "", "SESSION_RESUMED"), ("", "a", "SIGNED_IN")])
def test_declines_remain_in_a_session_that_is_resumed_late(resumes: str, offered: str, reason: str) -> None:
    """After the lease the agent has the state from before. A new session is another sign-in, and the agent may be asked again."""
    world = World(a_pool(an_agent("a"), lease_ms=20_000))
    world.sign_in("a")
    world.enqueue("i")
    world.decline("i")
    world.wait(20_000)
    assert world.state("a") is AgentState.OFFLINE
    changed = only(world.sign_in("a", session="late", resumes=resumes), fx.AgentStateChanged)
    assert (changed.after, changed.reason) == (AgentState.AVAILABLE, reason)
    assert world.offered("i") == offered


def test_a_session_is_resumed_late_once() -> None:
    """The token is valid for the lost session; after a new session it has no meaning."""
    world = World(a_pool(an_agent("a"), lease_ms=20_000))
    world.sign_in("a")
    world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    world.wait(20_000)
    world.sign_in("a", session="new")
    world.wait(20_000)
    world.sign_in("a", session="late", resumes="s-a")
    assert world.state("a") is AgentState.AVAILABLE


def test_the_requested_state_takes_precedence_over_the_earlier_one() -> None:
    world = World(a_pool(an_agent("a"), lease_ms=20_000))
    world.sign_in("a")
    world.wait(20_000)
    world.sign_in("a", session="late", resumes="s-a", state=AgentState.AWAY)
    assert world.state("a") is AgentState.AWAY
    world.sign_in("a", session="later", resumes="late", state=AgentState.NOT_RESPONDING)
    assert world.state("a") is AgentState.AWAY
