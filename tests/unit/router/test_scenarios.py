"""Scenarios of the field that must work, tested from outside: commands in, offers out."""

import pytest

from services.policy.model.routing import CapacityProfile, ChannelCapacity, Choice, Operator
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState
from tests.unit.router.world import World, a_capacity, a_pool, a_queue, all_of, an_agent, only, requires


def test_load_ratio_ranks_by_share_of_capacity_then_by_longest_idle() -> None:
    """A uses 3 of 5 (for 5 min), B 3 of 4 (3 min), C 3 of 5 (7 min), D 0 of 3 (2 min): D, C, A, B."""
    agents = [
        an_agent(name, capacity_profile=f"of {total}", queues=("q", f"only-{name}"))
        for name, total in (("A", 5), ("B", 4), ("C", 5), ("D", 3))
    ]
    queues = [a_queue(choice=Choice.LOAD_RATIO), *(a_queue(f"only-{name}") for name in "ABCD")]
    world = World(
        a_pool(*agents, queues=queues, capacity=[a_capacity(n, name=f"of {n}") for n in (3, 4, 5)], lease_ms=10**9)
    )
    for agent, minutes_until_next in (("C", 2), ("A", 2), ("B", 1), ("D", 2)):
        world.sign_in(agent)
        for n in range(0 if agent == "D" else 3):
            world.enqueue(f"{agent}{n}", queue=f"only-{agent}")
            world.accept(f"{agent}{n}")
        world.wait(minutes_until_next * 60_000)
    world.enqueue("job")
    assert [agent for agent, _ in _ranked(world, "job")] == ["D", "C", "A", "B"]
    assert world.offered("job") == "D"


def _ranked(world: World, interaction_id: str) -> tuple[tuple[str, tuple[tuple[str, float], ...]], ...]:
    return world.engine.core.interactions[interaction_id].rationale.candidates


def test_skill_score_prefers_the_agent_who_exceeds_the_requirements_most() -> None:
    """language=french, sales>=10, cost<=10 for G(10,10), H(15,10), I(10,9): scores .667, .707, .675; order H, I, G."""
    french = {"language=french": 1.0}
    agents = [
        an_agent("G", {**french, "sales": 10, "cost": 10}),
        an_agent("H", {**french, "sales": 15, "cost": 10}),
        an_agent("I", {**french, "sales": 10, "cost": 9}),
    ]
    world = World(a_pool(*agents, queues=[a_queue(choice=Choice.SKILL_SCORE)]))
    world.sign_in("G", "I", "H")
    job = (
        requires("language", 0, Operator.EQUAL, text="french"),
        requires("sales", 10),
        requires("cost", 10, Operator.AT_MOST),
    )
    world.enqueue("job", requirements=job)
    ranked = {agent: dict(measures)["skill_score"] for agent, measures in _ranked(world, "job")}
    assert list(ranked) == ["H", "I", "G"]
    assert ranked == pytest.approx({"H": 0.7075, "I": 0.6750, "G": 0.6667}, abs=1e-3)


def test_a_selector_that_expires_widens_the_choice_without_any_new_event() -> None:
    """French>=4 until 30 s, French>=3 for ever, DynamoDB>=5: agent (3, 5) gets it at 30 s sharp."""
    world = World(a_pool(an_agent("a", {"french": 3, "dynamodb": 5})))
    world.sign_in("a")
    world.engine.core.sessions["s-a"].lease_until = world.now + 3_600_000
    requirements = (requires("french", 4, expires_after_ms=30_000), requires("french", 3), requires("dynamodb", 5))
    world.enqueue("job", requirements=requirements)
    world.wait(29_999)
    assert world.offered("job") == ""
    world.wait(1)
    assert world.offered("job") == "a"


def test_weighted_capacity_leaves_room_for_a_call_beside_two_chats_and_two_mails() -> None:
    """Total 100; voice 60, chat 10 (at most 2), email 10 (at most 2): of three chats and three mails two each, and a call still fits."""
    capacity = a_capacity(100, voice=(60, 0, False), chat=(10, 2, False), email=(10, 2, False))
    world = World(a_pool(an_agent("a"), capacity=capacity))
    world.sign_in("a")
    for channel in ("chat", "email"):
        for n in range(3):
            world.enqueue(f"{channel}{n}", channel=channel)
    offered = [name for name in world.engine.core.interactions if world.offered(name)]
    assert offered == ["chat0", "chat1", "email0", "email1"]
    world.enqueue("call", channel="voice")
    assert world.offered("call") == "a"


def test_a_channel_excludes_another_in_one_direction_only() -> None:
    """D19: at most two chats, which exclude calls; tasks go with everything; a call excludes chats and no tasks."""
    rules = (
        ChannelCapacity("chat", 1, 2, excludes=("voice",)),
        ChannelCapacity("task", 1),
        ChannelCapacity("voice", 1, 1, excludes=("chat",)),
    )

    def fit_beside(held: str) -> set[str]:
        found = set()
        for channel in ("chat", "task", "voice"):
            world = World(a_pool(an_agent("a"), capacity=CapacityProfile("", 10, rules, 0)))
            world.sign_in("a")
            world.holds("a", "first", channel=held)
            world.enqueue("second", channel=channel)
            found |= {channel} if world.offered("second") else set()
        return found

    assert fit_beside("chat") == {"chat", "task"}
    assert fit_beside("task") == {"chat", "task", "voice"}
    assert fit_beside("voice") == {"task"}


def test_one_direction_of_an_exclusion_does_not_imply_the_other() -> None:
    """While an e-mail is held no call comes; while a call is held e-mails come."""
    rules = (ChannelCapacity("email", 1, excludes=("voice",)), ChannelCapacity("voice", 1))
    world = World(a_pool(an_agent("a"), capacity=CapacityProfile("", 10, rules, 0)))
    world.sign_in("a")
    world.holds("a", "call", channel="voice")
    world.enqueue("mail", channel="email")
    assert world.offered("mail") == "a"
    world.accept("mail")
    world.enqueue("call 2", channel="voice")
    assert world.offered("call 2") == ""
    world.complete("mail")
    assert world.offered("call 2") == "a"


def test_what_was_parked_for_an_offer_stays_parked_when_a_supervisor_forces_it() -> None:
    """The agent has the offer of the call that is assigned to them. The mail must not come back for a moment, over capacity."""
    rules = (ChannelCapacity("mail", 2), ChannelCapacity("voice", 2, interrupts=("mail",)))
    world = World(a_pool(an_agent("a"), capacity=CapacityProfile("", 2, rules, 0)))
    world.sign_in("a")
    world.holds("a", "mail", channel="mail")
    world.enqueue("call", channel="voice")
    assert world.offered("call") == "a"
    effects = world.tell(cmd.AssignInteraction("call", "a", force=True))
    assert not all_of(effects, fx.Resumed)
    assert not only(effects, fx.Assigned).over_capacity
    assert world.engine.core.interactions["mail"].parked
    world.complete("call")
    assert not world.engine.core.interactions["mail"].parked


def test_an_exclusive_channel_takes_the_whole_agent() -> None:
    """Voice 100, chat 20: one chat blocks the call until it ends; five chats fit, not six."""
    capacity = a_capacity(100, voice=(100, 1, True), chat=(20, 0, False))
    world = World(a_pool(an_agent("a"), capacity=capacity))
    world.sign_in("a")
    world.holds("a", "chat")
    world.enqueue("call", channel="voice", priority=9)
    assert world.offered("call") == ""
    world.complete("chat")
    assert world.offered("call") == "a"
    world.accept("call")
    world.complete("call")
    for n in range(6):
        world.enqueue(f"chat{n}")
    assert [bool(world.offered(f"chat{n}")) for n in range(6)] == [True] * 5 + [False]


def test_a_desk_with_one_credit_is_shown_one_offer_at_a_time() -> None:
    """Two interactions wait: there is one offer; the second comes only after the first is answered. Declining after acceptance is an error."""
    world = World(a_pool(an_agent("a"), capacity=a_capacity(5)))
    world.sign_in("a", credits=1)
    world.enqueue("first")
    world.enqueue("second")
    assert (world.offered("first"), world.offered("second")) == ("a", "")
    offer_id = only(world.log, fx.Offered).offer_id
    assert world.accept("first") == ""
    assert world.offered("second") == "a"
    assert world.ask(cmd.DeclineOffer("a", offer_id)) == "OFFER_ALREADY_ACCEPTED"


def test_an_agent_who_declined_is_not_asked_again_until_they_sign_in_again() -> None:
    """The next agent gets the offer; the first one gets none until they sign in again."""
    world = World(a_pool(an_agent("a"), an_agent("b"), lease_ms=10**9))
    world.sign_in("a")
    world.wait(1)
    world.sign_in("b")
    world.enqueue("job")
    world.decline("job")
    assert world.offered("job") == "b"
    world.decline("job")
    world.wait(3_600_000)
    assert world.offered("job") == ""
    world.sign_in("a", session="again")
    assert world.offered("job") == "a"


def test_a_decline_may_name_a_time_after_which_to_ask_again() -> None:
    """Retry after 30 s: nothing at 29.999 s, offered at 30 s."""
    world = World(a_pool(an_agent("a"), lease_ms=10**9))
    world.sign_in("a")
    world.enqueue("job")
    world.decline("job", retry_after_ms=30_000)
    world.wait(29_999)
    assert world.offered("job") == ""
    world.wait(1)
    assert world.offered("job") == "a"


def test_an_offer_without_an_answer_expires_and_the_interaction_keeps_its_place() -> None:
    """The agent is NOT_RESPONDING and gets nothing until they return; the interaction is still ahead of later ones."""
    world = World(a_pool(an_agent("a"), an_agent("b"), lease_ms=10**9))
    world.sign_in("a")
    world.enqueue("old")
    world.wait(5_000)
    world.enqueue("new")
    effects = world.wait(5_000)
    ended = only(effects, fx.OfferEnded)
    assert (ended.end.name, ended.reason) == ("EXPIRED", "NO_ANSWER")
    assert world.state("a") is AgentState.NOT_RESPONDING
    world.wait(60_000)
    assert not world.offered("old")
    world.sign_in("b")
    assert (world.offered("old"), world.offered("new")) == ("b", "")
    world.tell(cmd.SetAgentState("a", AgentState.AVAILABLE))
    assert world.offered("new") == "a"


def test_a_preferred_agent_is_waited_for_then_anyone_may() -> None:
    """Preferred agent P until 45 s: other idle agents get no offer before, any may get one after."""
    queue = a_queue(sticky_ms=45_000)
    world = World(a_pool(an_agent("other"), an_agent("p"), queues=[queue], lease_ms=10**9))
    world.sign_in("p")
    world.enqueue("before", person_id="ali")
    world.accept("before")
    world.complete("before")
    world.holds("p", "busy")
    world.sign_in("other")
    world.enqueue("again", person_id="ali")
    world.wait(44_999)
    assert world.offered("again") == ""
    world.wait(1)
    assert world.offered("again") == "other"


def test_a_preferred_agent_who_becomes_free_in_time_gets_their_customer() -> None:
    """The agent gets the offer with the reason LAST_AGENT, before anything else that waits."""
    queue = a_queue(sticky_ms=45_000)
    world = World(a_pool(an_agent("p"), queues=[queue]))
    world.sign_in("p")
    world.enqueue("before", person_id="ali")
    world.accept("before")
    world.complete("before")
    world.holds("p", "busy")
    world.enqueue("again", person_id="ali")
    offered = only(world.complete("busy"), fx.Offered)
    assert (offered.attributes.interaction_id, offered.reason) == ("again", "LAST_AGENT")


def test_equal_priority_goes_by_age_and_to_the_longest_idle() -> None:
    """The oldest interaction goes to the longest-idle agent."""
    world = World(a_pool(an_agent("x"), an_agent("y")))
    world.enqueue("young", arrived_at_ms=world.now - 1_000)
    world.enqueue("old", arrived_at_ms=world.now - 9_000)
    world.sign_in("x")
    world.wait(1)
    world.sign_in("y")
    assert [o.attributes.interaction_id for o in all_of(world.log, fx.Offered)] == ["old", "young"]
    assert world.offered("old") == "x"


def test_priority_grows_with_waiting_where_the_queue_says_so() -> None:
    """One point a minute: after six minutes a plain interaction goes before a new one of priority 5."""
    world = World(a_pool(an_agent("a"), queues=[a_queue(ageing_per_minute=1.0)], lease_ms=10**9))
    world.enqueue("plain")
    world.wait(6 * 60_000)
    world.enqueue("urgent", priority=5)
    world.sign_in("a")
    assert world.offered("plain") == "a"
