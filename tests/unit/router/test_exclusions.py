"""Exclusions: an agent does not get back an interaction that was taken from them while another agent could take it.

The examples are sequences of real contact centres; the properties hold for every sequence.
"""

from typing import Any

import pytest

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState
from services.router.domain.queries.explain import Explanation, explain
from tests.unit.router.world import World, a_capacity, a_pool, a_queue, all_of, an_agent, only, requires

FOREVER = 10**9
MINUTE = 60_000


def a_team(*agents: str, **queue: Any) -> World:
    """Return a world in which these agents are signed in, one after the other; all serve the queues `q` and `breach`."""
    world = World(a_pool(*map(an_agent, agents), queues=[a_queue(**queue), a_queue("breach")], lease_ms=FOREVER))
    for agent in agents:
        world.sign_in(agent)
        world.wait(1)
    return world


def said(world: World) -> Explanation:
    """Return the explanation of the interaction `i` now."""
    world.engine.advance(world.now)
    found = explain(world.engine, "i")
    assert found is not None
    return found


def excluded(world: World, agent: str) -> tuple[str, str]:
    """Return why an agent does not get `i`, and until when; empty when they could."""
    return next(((x.reason, x.detail) for x in said(world).excluded if agent in x.examples), ("", ""))


UNTIL_HELD = "until another agent has held it, or no other agent could take it"
TRANSFERRED = "until another agent has held it, the agent signs in again, or no other agent could take it"


# Taken away by an escalation


def test_what_an_escalation_takes_from_a_silent_agent_is_not_given_back_to_them() -> None:
    """D6. Agent a is silent until the breach; b is busy. a is free now and the longest idle, and still the interaction waits for b."""
    world = a_team("a", "b")
    world.holds("a", "i")
    world.holds("b", "other")
    effects = world.tell(cmd.Reroute("i", "breach"))
    assert only(effects, fx.Transferred).from_agent_id == "a"
    world.wait(10 * MINUTE)
    assert world.offered("i") == ""
    assert excluded(world, "a") == ("TAKEN_AWAY", UNTIL_HELD)
    assert said(world).smallest_change == "b finishes something"
    assert world.ask(cmd.AssignInteraction("i", "a", picked=True)) == "TAKEN_AWAY"
    assert world.ask(cmd.AssignInteraction("i", "a")) == "TAKEN_AWAY"
    world.enqueue("next")
    assert world.offered("next") == "a", "other interactions are offered to them as before"
    world.complete("other")
    assert world.offered("i") == "b"


def test_what_was_taken_away_goes_back_when_no_other_agent_is_there() -> None:
    """D6, alone. Agent a is silent, and the only one: the customer is better off with them than with no agent."""
    world = a_team("a")
    world.holds("a", "i")
    assert [o.agent_id for o in all_of(world.tell(cmd.Reroute("i", "breach")), fx.Offered)] == ["a"]


@pytest.mark.parametrize(
    "leaving", [cmd.SetAgentState("b", AgentState.OFFLINE), cmd.UpsertAgent(an_agent("b", queues=("q",)))]
)
def test_it_falls_back_when_the_last_other_agent_leaves(leaving: cmd.Command) -> None:
    """No command is about the interaction, and no timer is due: that b leaves is enough."""
    world = a_team("a", "b")
    world.holds("a", "i")
    world.holds("b", "other")
    world.tell(cmd.Reroute("i", "breach"))
    assert world.offered("i") == ""
    world.tell(leaving)
    if world.offered("other") == "a":  # b signed out, and what they held is older
        world.accept("other")
        world.complete("other")
    assert world.offered("i") == "a"


@pytest.mark.parametrize("leaving", [cmd.SetAgentState("b", AgentState.AWAY), cmd.CloseSession("b", "s-b")])
def test_an_agent_who_is_away_is_waited_for_for_a_while(leaving: cmd.Command) -> None:
    """For `ask_again`: a break or a lost connection may be short, but its end is not known."""
    world = a_team("a", "b", ask_again_ms=MINUTE)
    world.holds("a", "i")
    world.tell(leaving)
    world.tell(cmd.Reroute("i", ""))
    world.wait(MINUTE - 1)
    assert world.offered("i") == ""
    world.wait(1)
    assert world.offered("i") == "a"


def test_an_agent_who_leaves_their_desk_later_is_not_waited_for() -> None:
    """More than `ask_again` after the interaction was taken away, only agents at their desks count."""
    world = a_team("a", "b")
    world.holds("a", "i")
    world.holds("b", "other")
    world.tell(cmd.Reroute("i", "breach"))
    world.wait(5 * MINUTE)
    assert world.offered("i") == ""
    world.tell(cmd.SetAgentState("b", AgentState.AWAY))
    assert world.offered("i") == "a"


def test_an_agent_who_named_a_time_is_waited_for_for_a_while() -> None:
    """b wants it in a few seconds, so it does not go back to a; a longer time is not waited for."""
    for retry, chosen in ((4_000, "b"), (2 * MINUTE, "a")):
        world = a_team("a", "b", ask_again_ms=MINUTE)
        world.holds("a", "i")
        world.tell(cmd.TransferInteraction("a", "i"))
        assert world.offered("i") == "b"
        world.decline("i", retry_after_ms=retry)
        assert world.offered("i") == ""
        world.wait(min(retry, MINUTE))
        assert world.offered("i") == chosen


def test_it_is_over_once_another_agent_has_held_it() -> None:
    """Agent c is busy, so nothing falls back: a gets it because b has held it since."""
    world = a_team("a", "b", "c")
    world.holds("a", "i")
    world.tell(cmd.SetAgentState("b", AgentState.AWAY))
    world.holds("c", "other")
    world.tell(cmd.SetAgentState("b", AgentState.AVAILABLE))
    world.tell(cmd.Reroute("i", "breach"))
    assert world.offered("i") == "b"
    world.accept("i")
    world.tell(cmd.TransferInteraction("b", "i", queue="q"))
    assert world.offered("i") == "a"


def test_a_new_sign_in_does_not_bring_it_back() -> None:
    """A desk that is opened again is the same agent."""
    world = a_team("a", "b")
    world.holds("a", "i")
    world.holds("b", "other")
    world.tell(cmd.Reroute("i", "breach"))
    world.sign_in("a", session="again")
    assert world.offered("i") == ""


def test_a_supervisor_may_force_it_or_transfer_it_by_name() -> None:
    world = a_team("a", "b")
    world.holds("a", "i")
    world.holds("b", "other")
    world.tell(cmd.Reroute("i", "breach"))
    assert world.ask(cmd.AssignInteraction("i", "a", force=True)) == ""
    world.tell(cmd.Reroute("i", "q"))
    assert world.offered("i") == ""
    assert world.ask(cmd.TransferInteraction("", "i", to_agent_id="a")) == ""
    assert world.offered("i") == "a"


# The transferring agent


def test_the_only_agent_of_two_queues_gets_what_they_transfer() -> None:
    """D7. Without it there was no offer until a new sign-in, and a pick was refused."""
    world = a_team("a")
    world.holds("a", "i")
    world.tell(cmd.TransferInteraction("a", "i", queue="breach"))
    assert world.offered("i") == "a"
    assert world.accept("i") == ""


def test_the_only_agent_may_pick_what_they_transferred() -> None:
    """D7, with an agent who shows no offers: no other agent could take it, so a pick and an assignment are carried out."""
    for command in (cmd.AssignInteraction("i", "a", picked=True), cmd.AssignInteraction("i", "a")):
        world = World(a_pool(an_agent("a"), queues=[a_queue()], capacity=a_capacity(2), lease_ms=FOREVER))
        world.sign_in("a", credits=1)
        world.holds("a", "i")
        world.enqueue("shown")
        world.tell(cmd.TransferInteraction("a", "i"))
        assert (world.offered("shown"), world.offered("i")) == ("a", "")
        assert world.ask(command) == ""


def test_a_busy_agent_is_waited_for_and_an_unable_one_is_not() -> None:
    """Only an agent who could take it counts: not one without the skill, the queue or the channel."""
    agents = (
        an_agent("a", {"french": 5}),
        an_agent("unskilled"),
        an_agent("elsewhere", {"french": 5}, queues=("other",)),
        an_agent("writes", {"french": 5}, capacity_profile="texts"),
    )
    profiles = (a_capacity(1, "one"), a_capacity(1, "texts", voice=(0, 0, False)))
    queues = [a_queue(requirements=(requires("french"),)), a_queue("other")]
    world = World(a_pool(*agents, queues=queues, capacity=profiles, lease_ms=FOREVER))
    world.sign_in("a")
    world.enqueue("i", channel="voice")
    world.accept("i")
    world.sign_in("unskilled", "elsewhere", "writes")
    world.tell(cmd.TransferInteraction("a", "i"))
    assert world.offered("i") == "a"


def test_the_explanation_names_the_transferring_agent_and_the_end() -> None:
    world = a_team("a", "b")
    world.holds("a", "i")
    world.holds("b", "other")
    world.tell(cmd.TransferInteraction("a", "i", queue="breach"))
    assert excluded(world, "a") == ("TRANSFERRING_AGENT", TRANSFERRED)
    world.sign_in("a", session="again")
    assert world.offered("i") == "a"


# Declined


def test_an_agent_who_declined_is_asked_again_when_no_other_agent_is_there() -> None:
    """Five minutes after the decline, by default: asking at once would only be declined again."""
    world = a_team("a")
    world.enqueue("i")
    world.decline("i")
    assert excluded(world, "a") == (
        "DECLINED",
        "until the agent signs in again, or, from 300 s from now on, no other agent could take it",
    )
    world.wait(5 * MINUTE - 1)
    assert world.offered("i") == ""
    world.wait(1)
    assert world.offered("i") == "a"


def test_an_agent_who_declined_is_not_asked_again_while_another_could_take_it() -> None:
    world = a_team("a", "b", ask_again_ms=7_000)
    world.holds("a", "first")
    world.holds("b", "busy")
    world.tell(cmd.CompleteInteraction("a", "first"))
    world.enqueue("i")
    world.decline("i")
    world.wait(60 * MINUTE)
    assert world.offered("i") == ""
    assert excluded(world, "a") == ("DECLINED", "until the agent signs in again, or no other agent could take it")
    world.tell(cmd.SetAgentState("b", AgentState.AWAY))
    assert world.offered("i") == "a"


def test_a_time_that_the_agent_named_is_kept() -> None:
    world = a_team("a", ask_again_ms=1_000)
    world.enqueue("i")
    world.decline("i", retry_after_ms=90_000)
    assert excluded(world, "a") == ("DECLINED", "until 90 s from now, as the agent asked")
    world.wait(89_999)
    assert world.offered("i") == ""
    world.wait(1)
    assert world.offered("i") == "a"


# Not answered


def test_an_agent_who_did_not_answer_gets_it_again_when_they_are_back() -> None:
    world = a_team("a")
    world.enqueue("i")
    world.wait(10_000)
    assert excluded(world, "a") == ("NOT_ANSWERED", "until the agent becomes available again")
    assert world.ask(cmd.AssignInteraction("i", "a", picked=True)) == "NOT_ANSWERED"
    world.tell(cmd.SetAgentState("a", AgentState.AVAILABLE))
    assert world.offered("i") == "a"


@pytest.mark.parametrize("end", ["silence", "decline"])
def test_what_was_taken_away_stays_so_after_another_end(end: str) -> None:
    """Agent a gets it back because no other agent is there, and does not take it; then b comes: a is not asked before b."""
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(), a_queue("breach")], lease_ms=FOREVER))
    world.sign_in("a")
    world.holds("a", "i")
    world.tell(cmd.Reroute("i", "breach"))
    assert world.offered("i") == "a"
    world.sign_in("b")
    world.holds("b", "other")
    if end == "decline":
        world.decline("i", retry_after_ms=1_000)
    else:
        world.wait(10_000)
    world.wait(2_000)
    world.tell(cmd.SetAgentState("a", AgentState.AVAILABLE))
    assert world.offered("i") == ""
    assert excluded(world, "a")[0] == "TAKEN_AWAY"
    world.complete("other")
    assert world.offered("i") == "b"
